/** The tables of a database in a backup. */
import { Anchor, Group, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { backupTablesQuery } from '../../api/backups';
import type { BackupTable } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty } from '../../components/Async';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { matches, Search } from '../../components/Search';
import { count, tableSize } from '../../format/size';
import { dateTime } from '../../format/time';
import { paths } from '../../paths';
import { BackupLead } from './BackupLead';
import { backupCrumbs, useBackup } from './useBackup';

/** A table as people call it: its schema is only told where it is not the usual one. */
export const tableName = (schema: string, name: string) => (schema === 'public' ? name : `${schema}.${name}`);

export function BackupTablesPage() {
  const { cluster, backupId, backup, database } = useBackup();
  const tables = useQuery(backupTablesQuery(cluster.id, backupId, database));
  const [search, setSearch] = useState('');
  const asOf = backup.data?.as_of_time;
  const restore = actionOf(backup.data?.strongroom.actions, ACTIONS.restore);
  const columns: Column<BackupTable>[] = [
    {
      header: 'Name',
      long: true,
      cell: (table) => (
        <Anchor
          component={Link}
          to={paths.table(cluster.id, backupId, database, table.schema, table.name)}
          size="sm"
        >
          {tableName(table.schema, table.name)}
        </Anchor>
      ),
    },
    {
      header: 'Size',
      align: 'end',
      cell: (table) => (
        <span title={`${tableSize(table.total_bytes)} in all`}>{tableSize(table.size_bytes)}</span>
      ),
    },
    { header: 'Rows', align: 'end', cell: (table) => count(table.rows) },
    {
      header: '',
      label: 'Restore',
      shrink: true,
      align: 'end',
      cell: (table) => (
        <ActionButton
          size="xs"
          variant="default"
          action={restore}
          to={paths.restoreTable(cluster.id, backupId, database, table.schema, table.name)}
          aria-label={`Restore ${tableName(table.schema, table.name)}`}
        >
          Restore
        </ActionButton>
      ),
    },
  ];
  return (
    <Page
      title={`Tables in ${database}`}
      crumbs={backupCrumbs(cluster, asOf, [
        { label: `Backup of ${dateTime(asOf)}`, to: paths.databases(cluster.id, backupId) },
        { label: database },
      ])}
      lead={<BackupLead backup={backup.data} />}
    >
      <Async query={tables} label="the tables">
        {({ tables }) => {
          const found = tables.filter((table) => matches(`${table.schema}.${table.name}`, search));
          return (
            <Stack gap="md">
              <Group>
                <Search label="Search tables" value={search} onChange={setSearch} />
              </Group>
              {found.length === 0 ? (
                <Empty title={tables.length === 0 ? 'No tables' : 'No such table'} />
              ) : (
                <List
                  label="Tables"
                  items={found}
                  columns={columns}
                  itemKey={(table) => `${table.schema}.${table.name}`}
                  room="little"
                />
              )}
            </Stack>
          );
        }}
      </Async>
    </Page>
  );
}

export { BackupTablesPage as Component };
