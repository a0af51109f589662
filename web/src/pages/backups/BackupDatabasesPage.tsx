/** The databases of a backup. One without tables is not listed. */
import { Anchor, List as Bullets, Group, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { backupDatabasesQuery } from '../../api/backups';
import type { BackupDatabase } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty } from '../../components/Async';
import { type Column, List } from '../../components/List';
import { Notice } from '../../components/Notice';
import { Page } from '../../components/Page';
import { matches, Search } from '../../components/Search';
import { count, databaseSize } from '../../format/size';
import { dateTime } from '../../format/time';
import { sentence } from '../../format/words';
import { paths } from '../../paths';
import { BackupLead } from './BackupLead';
import { backupCrumbs, useBackup } from './useBackup';

export function BackupDatabasesPage() {
  const { cluster, backupId, backup } = useBackup();
  const databases = useQuery(backupDatabasesQuery(cluster.id, backupId));
  const [search, setSearch] = useState('');
  const asOf = backup.data?.as_of_time;
  const restore = actionOf(backup.data?.strongroom.actions, ACTIONS.restore);
  const columns: Column<BackupDatabase>[] = [
    { header: 'Name', long: true, cell: (database) => database.name },
    { header: 'Size', align: 'end', cell: (database) => databaseSize(database.size_bytes) },
    {
      header: 'Tables',
      align: 'end',
      cell: (database) => (
        <Anchor
          component={Link}
          to={paths.tables(cluster.id, backupId, database.name)}
          size="sm"
          aria-label={`${database.tables} tables of ${database.name}`}
        >
          {count(database.tables)}
        </Anchor>
      ),
    },
    {
      header: '',
      label: 'Restore',
      shrink: true,
      align: 'end',
      cell: (database) => (
        <ActionButton
          size="xs"
          variant="default"
          action={restore}
          to={paths.restoreDatabase(cluster.id, backupId, database.name)}
          aria-label={`Restore ${database.name}`}
        >
          Restore
        </ActionButton>
      ),
    },
  ];
  return (
    <Page
      title="Databases"
      tab={`Databases in the backup of ${dateTime(asOf)}`}
      crumbs={backupCrumbs(cluster, asOf, [{ label: `Backup of ${dateTime(asOf)}` }])}
      lead={<BackupLead backup={backup.data} />}
    >
      <Async query={databases} label="the databases">
        {({ databases: all, omissions }) => (
          <Stack gap="md">
            {omissions.length > 0 && (
              <Notice title="Not in this backup" role="note">
                <Bullets size="sm">
                  {omissions.map((omission) => (
                    <Bullets.Item key={omission.object}>
                      {omission.object}: {sentence(omission.reason)}
                    </Bullets.Item>
                  ))}
                </Bullets>
              </Notice>
            )}
            <Group>
              <Search label="Search databases" value={search} onChange={setSearch} />
            </Group>
            <Found
              all={all.filter(hasTables)}
              found={all.filter((database) => hasTables(database) && matches(database.name, search))}
              columns={columns}
            />
          </Stack>
        )}
      </Async>
    </Page>
  );
}

const hasTables = (database: BackupDatabase) => database.tables > 0;

function Found({
  all,
  found,
  columns,
}: {
  all: BackupDatabase[];
  found: BackupDatabase[];
  columns: Column<BackupDatabase>[];
}) {
  if (all.length === 0)
    return <Empty title="No databases with tables">A database without tables is not listed.</Empty>;
  if (found.length === 0) return <Empty title="No such database">No database's name contains this.</Empty>;
  return (
    <List
      label="Databases"
      items={found}
      columns={columns}
      itemKey={(database) => database.name}
      room="little"
    />
  );
}

export { BackupDatabasesPage as Component };
