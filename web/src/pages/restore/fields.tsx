/** Choices that the restore modules share. */
import { Checkbox, Fieldset, Select, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useSearchParams } from 'react-router';
import { clustersQuery } from '../../api/clusters';
import type { Cluster, RestoreOptions } from '../../api/types';
import { type Choices, choicesOf, SKIPS, type Skip } from './choices';

/** The choices that the address brings along; those that are made later stay in the page. */
export function useAskedChoices(): Choices {
  const [search] = useSearchParams();
  return useState(() => choicesOf(search))[0];
}

/**
 * Into which cluster; the backup's own unless another one is chosen. Whether it may be, the plan tells. Where the
 * backup's own is detached, nothing is chosen for anybody.
 */
export function useDestination(source: Cluster, asked?: string) {
  const clusters = useQuery(clustersQuery);
  const detached = source.state === 'DELETED';
  const [chosen, setChosen] = useState(asked ?? (detached ? null : source.id));
  const all = clusters.data?.items ?? (detached ? [] : [source]);
  const destination = all.find((cluster) => cluster.id === chosen);
  const field = (
    <Select
      label="Restore to cluster"
      placeholder="Choose a cluster"
      description={detached ? `${source.name} is detached: choose where its data shall go.` : undefined}
      data={all.map((cluster) => ({
        value: cluster.id,
        label: cluster.id === source.id ? `${cluster.name} (this cluster)` : cluster.name,
      }))}
      value={destination?.id ?? null}
      onChange={(value) => value && setChosen(value)}
      allowDeselect={false}
      searchable={all.length > 8}
    />
  );
  return { destination, field };
}

export const SKIP_LABELS: Record<Skip, string> = {
  skip_missing_foreign_keys: 'Skip missing foreign keys',
  skip_missing_sequences: 'Skip missing sequences',
  skip_missing_views: 'Skip missing views',
  skip_missing_roles: 'Skip missing roles',
};

const SAYS: Record<Skip, string> = {
  skip_missing_foreign_keys: 'Leaves out foreign keys to tables that are not restored with it.',
  skip_missing_sequences: 'Leaves out the default of columns whose sequence is not restored with it.',
  skip_missing_views: 'Leaves out views that need something which is not restored with them.',
  skip_missing_roles: 'What belonged to roles that the cluster lacks belongs to the restoring role.',
};

export function useDependencyOptions(asked: Skip[] = []) {
  const [chosen, setChosen] = useState(asked);
  const set = (skip: Skip, on: boolean) =>
    setChosen((known) => [...known.filter((one) => one !== skip), ...(on ? [skip] : [])]);
  const field = (
    <Fieldset legend="Dependency options">
      <Stack gap="sm">
        {SKIPS.map((skip) => (
          <Checkbox
            key={skip}
            label={SKIP_LABELS[skip]}
            description={SAYS[skip]}
            checked={chosen.includes(skip)}
            onChange={(event) => set(skip, event.currentTarget.checked)}
          />
        ))}
      </Stack>
    </Fieldset>
  );
  const options: RestoreOptions = Object.fromEntries(
    SKIPS.filter((skip) => chosen.includes(skip)).map((skip) => [skip, true]),
  );
  return { options, field, skip: (skip: Skip) => set(skip, true) };
}
