/** What is other in a backup than in an earlier one: definitions, and rows if they are asked for. */
import { Group, Select, Stack, Switch, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useSearchParams } from 'react-router';
import { diffQuery, recentBackupsQuery } from '../../api/backups';
import type { Backup, Change } from '../../api/types';
import { Async, Empty } from '../../components/Async';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { count, toNumber } from '../../format/size';
import { dateTime } from '../../format/time';
import { backupCrumbs, useBackup } from './useBackup';

export function ChangesPage() {
  const { cluster, backupId, backup } = useBackup();
  const [search, setSearch] = useSearchParams();
  const recent = useQuery(recentBackupsQuery(cluster.id));
  const asOf = backup.data?.as_of_time;
  const others = (recent.data ?? []).filter((one) => one.id !== backupId);
  const other =
    search.get('other') ?? others.find((one) => asOf && one.as_of_time < asOf)?.id ?? others[0]?.id;
  const withRows = search.get('rows') === 'true';
  const set = (name: string, value: string | null) =>
    setSearch(
      (now) => {
        const next = new URLSearchParams(now);
        if (value) next.set(name, value);
        else next.delete(name);
        return next;
      },
      { replace: true },
    );
  return (
    <Page
      title="What changed"
      crumbs={backupCrumbs(cluster, asOf, [{ label: `Backup of ${dateTime(asOf)}` }])}
      lead={`In the backup of ${dateTime(asOf)} UTC, compared with another one.`}
    >
      <Group align="flex-end" gap="lg">
        <Select
          label="Compared with the backup of"
          data={others.map((one) => ({ value: one.id, label: labelOf(one) }))}
          value={other ?? null}
          onChange={(value) => set('other', value)}
          searchable
          allowDeselect={false}
          w={{ base: '100%', xs: 360 }}
          nothingFoundMessage="No such backup"
        />
        <Switch
          label="Count changed rows, too"
          description="Reads what differs between the two"
          checked={withRows}
          onChange={(event) => set('rows', event.currentTarget.checked ? 'true' : null)}
        />
      </Group>
      {other ? (
        <Changes cluster={cluster.id} backup={backupId} other={other} rows={withRows} />
      ) : (
        !recent.isPending && (
          <Empty title="No other backup">There is nothing to compare this backup with yet.</Empty>
        )
      )}
    </Page>
  );
}

const labelOf = (backup: Backup) =>
  `${dateTime(backup.as_of_time)} (${backup.strongroom.type === 'FULL' ? 'full' : 'incremental'})`;

function Changes({
  cluster,
  backup,
  other,
  rows,
}: {
  cluster: string;
  backup: string;
  other: string;
  rows: boolean;
}) {
  const diff = useQuery(diffQuery(cluster, backup, other, rows));
  const columns: Column<Change>[] = [
    { header: 'Object', cell: (change) => change.name },
    { header: 'Kind', cell: (change) => change.kind },
    { header: 'Change', cell: (change) => <What change={change} /> },
    { header: 'Rows', align: 'end', cell: rowsOf },
  ];
  return (
    <Async query={diff} label="the changes">
      {({ changes }) =>
        changes.length === 0 ? (
          <Empty title="Nothing changed">Both backups hold the same.</Empty>
        ) : (
          <List
            label="Changes"
            items={changes}
            columns={columns}
            itemKey={(change) => `${change.kind} ${change.name} ${change.change}`}
          />
        )
      }
    </Async>
  );
}

function What({ change }: { change: Change }) {
  return (
    <Stack gap={2}>
      <span>{change.change}</span>
      {change.detail && (
        <Text size="xs" className="mono" c="dimmed" style={{ whiteSpace: 'pre-wrap' }}>
          {change.detail}
        </Text>
      )}
    </Stack>
  );
}

function rowsOf(change: Change): string {
  const parts = [
    toNumber(change.rows_added) > 0 && `+${count(change.rows_added)}`,
    toNumber(change.rows_removed) > 0 && `−${count(change.rows_removed)}`,
  ].filter(Boolean);
  return parts.join(' ') || '--';
}

export { ChangesPage as Component };
