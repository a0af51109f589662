/** What is other in a backup than in an earlier one: definitions, and rows if they are asked for. */
import { Group, Select, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useSearchParams } from 'react-router';
import { diffQuery, earlierBackupsQuery } from '../../api/backups';
import type { Backup, BackupDiff } from '../../api/types';
import { Async, Empty } from '../../components/Async';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { count, toNumber } from '../../format/size';
import { dateTime } from '../../format/time';
import { sentence } from '../../format/words';
import { backupCrumbs, useBackup } from './useBackup';

export function ChangesPage() {
  const { cluster, backupId, backup } = useBackup();
  const [search, setSearch] = useSearchParams();
  const asOf = backup.data?.as_of_time;
  const earlier = useQuery({
    ...earlierBackupsQuery(cluster.id, asOf ?? ''),
    enabled: asOf !== undefined,
  });
  const others = earlier.data ?? [];
  const other = search.get('other') ?? others[0]?.id;
  return (
    <Page
      title="What changed"
      crumbs={backupCrumbs(cluster, asOf, [{ label: `Backup of ${dateTime(asOf)}` }])}
      lead={`In the backup of ${dateTime(asOf)} UTC, compared with an earlier one.`}
    >
      <Group align="flex-end" gap="lg">
        <Select
          label="Compared with the backup of"
          data={others.map((one) => ({ value: one.id, label: labelOf(one) }))}
          value={other ?? null}
          onChange={(value) => value && setSearch({ other: value }, { replace: true })}
          searchable
          allowDeselect={false}
          w={{ base: '100%', xs: 440 }}
          nothingFoundMessage="No such backup"
        />
      </Group>
      {other ? (
        <Changes cluster={cluster.id} backup={backupId} other={other} />
      ) : (
        !earlier.isPending && (
          <Empty title="No earlier backup">There is nothing to compare this backup with.</Empty>
        )
      )}
    </Page>
  );
}

const labelOf = (backup: Backup) =>
  `${dateTime(backup.as_of_time)} (${backup.strongroom.type === 'FULL' ? 'full' : 'incremental'})`;

/** One thing that is other than before. */
interface Change {
  key: string;
  name: string;
  kind: string;
  change: string;
  detail?: string;
  rows?: string;
}

function Changes({ cluster, backup, other }: { cluster: string; backup: string; other: string }) {
  const diff = useQuery(diffQuery(cluster, backup, other));
  const columns: Column<Change>[] = [
    { header: 'Object', long: true, cell: (change) => change.name },
    { header: 'Kind', cell: (change) => change.kind },
    { header: 'Change', stack: true, cell: (change) => <What change={change} /> },
    { header: 'Rows', align: 'end', nowrap: true, cell: (change) => change.rows ?? '--' },
  ];
  return (
    <Async query={diff} label="the changes">
      {(diff) => {
        const changes = listed(diff);
        return (
          <Stack gap="md">
            {diff.notes.map((note) => (
              <Text key={note} size="sm" c="dimmed">
                {sentence(note)}
              </Text>
            ))}
            {changes.length === 0 ? (
              <Empty title="Nothing changed">Both backups hold the same.</Empty>
            ) : (
              <List label="Changes" items={changes} columns={columns} itemKey={(change) => change.key} />
            )}
          </Stack>
        );
      }}
    </Async>
  );
}

/** All changes in one list: databases, tables, definitions, sequences, roles. */
function listed(diff: BackupDiff): Change[] {
  const say = (change: string, from?: string | null) =>
    from ? `${change.toLowerCase()} from ${from}` : change.toLowerCase();
  const of = (kind: string, name: string, change: string, more?: Partial<Change>): Change => ({
    key: `${kind} ${name} ${change}`,
    kind,
    name,
    change,
    ...more,
  });
  const databases = diff.databases.flatMap((database) => [
    ...(['CHANGED', 'UNCHANGED'].includes(database.change)
      ? []
      : [of('database', database.name, say(database.change, database.renamed_from))]),
    ...database.tables.map((table) =>
      of('table', `${database.name}.${table.schema}.${table.name}`, say(table.change, table.renamed_from), {
        rows: rowsOf(table),
      }),
    ),
    ...database.definitions.map((definition) =>
      of(
        `definition of ${definition.kind}`,
        [database.name, definition.schema, definition.name].filter(Boolean).join('.'),
        say(definition.change),
        { detail: statements(definition.before, definition.after) },
      ),
    ),
    ...database.sequences.map((sequence) =>
      of('sequence', `${database.name}.${sequence.schema}.${sequence.name}`, 'moved', {
        detail: `${sequence.before ?? '--'} → ${sequence.after ?? '--'}`,
      }),
    ),
    ...(database.large_objects_changed > 0
      ? [of('large objects', database.name, `${count(database.large_objects_changed)} changed`)]
      : []),
  ]);
  const roles = diff.roles.map((role) =>
    of('role', role.name, say(role.change), { detail: role.what.join(', ') }),
  );
  return [...databases, ...roles];
}

const statements = (before: string | null | undefined, after: string | null | undefined) =>
  [before && `before:\n${before}`, after && `${before ? 'after:\n' : ''}${after}`].filter(Boolean).join('\n');

function rowsOf(table: BackupDiff['databases'][number]['tables'][number]): string | undefined {
  const parts = [
    toNumber(table.rows_added) > 0 && `+${count(table.rows_added)}`,
    toNumber(table.rows_removed) > 0 && `−${count(table.rows_removed)}`,
  ].filter(Boolean);
  if (parts.length === 0) return undefined;
  return table.exact ? parts.join(' ') : `about ${parts.join(' ')}`;
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

export { ChangesPage as Component };
