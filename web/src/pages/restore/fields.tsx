/** Choices that the restore modules share. */
import { Checkbox, Fieldset, Select, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { clustersQuery } from '../../api/clusters';
import type { Cluster, RestoreOptions } from '../../api/types';

/** Into which cluster; the backup's own unless another one is chosen. Whether it may be, the plan tells. */
export function useDestination(source: Cluster) {
  const clusters = useQuery(clustersQuery);
  const [chosen, setChosen] = useState(source.id);
  const all = clusters.data?.items ?? [source];
  const destination = all.find((cluster) => cluster.id === chosen) ?? source;
  const field = (
    <Select
      label="Restore to cluster"
      data={all.map((cluster) => ({
        value: cluster.id,
        label: cluster.id === source.id ? `${cluster.name} (this cluster)` : cluster.name,
      }))}
      value={destination.id}
      onChange={(value) => value && setChosen(value)}
      allowDeselect={false}
      searchable={all.length > 8}
    />
  );
  return { destination, field };
}

const DEPENDENCIES = [
  {
    name: 'skip_missing_foreign_keys',
    label: 'Skip missing foreign keys',
    says: 'Leaves out foreign keys to tables that are not restored with it.',
  },
  {
    name: 'skip_missing_sequences',
    label: 'Skip missing sequences',
    says: 'Leaves out the default of columns whose sequence is not restored with it.',
  },
  {
    name: 'skip_missing_views',
    label: 'Skip missing views',
    says: 'Leaves out views that need something which is not restored with them.',
  },
] as const;

type Skips = Partial<Record<(typeof DEPENDENCIES)[number]['name'] | 'skip_missing_roles', boolean>>;

export function useDependencyOptions() {
  const [skips, setSkips] = useState<Skips>({});
  const box = (name: keyof Skips, label: string, says: string) => (
    <Checkbox
      key={name}
      label={label}
      description={says}
      checked={skips[name] ?? false}
      onChange={(event) => {
        const checked = event.currentTarget.checked;
        setSkips((known) => ({ ...known, [name]: checked }));
      }}
    />
  );
  const field = (
    <Fieldset legend="Dependency options">
      <Stack gap="sm">
        {DEPENDENCIES.map((option) => box(option.name, option.label, option.says))}
        {box(
          'skip_missing_roles',
          'Skip missing roles',
          'What belonged to roles that the cluster lacks belongs to the restoring role.',
        )}
      </Stack>
    </Fieldset>
  );
  const options: RestoreOptions = Object.fromEntries(Object.entries(skips).filter(([, on]) => on));
  return { options, field };
}
