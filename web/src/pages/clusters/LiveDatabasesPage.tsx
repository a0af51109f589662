/** The databases that the cluster has now: where a name is taken, it is made free here. */
import { Group, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ACTIONS } from '../../api/actions';
import { liveDatabasesQuery, useDropDatabase, useRenameDatabase } from '../../api/clusters';
import type { Action, Cluster, Database } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty } from '../../components/Async';
import { Confirm } from '../../components/Confirm';
import { FormDialog } from '../../components/FormDialog';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { NameField } from '../../components/TextField';
import { count } from '../../format/size';
import { useCluster } from './ClusterLayout';
import { clusterCrumbs } from './crumbs';

/** The database of the connection URL, which can neither be renamed nor dropped through that. */
function connectedDatabase(cluster: Cluster): string | undefined {
  const url = cluster.strongroom.connection_url;
  return url && URL.canParse(url) ? decodeURIComponent(new URL(url).pathname.slice(1)) : undefined;
}

export function LiveDatabasesPage() {
  const cluster = useCluster();
  const databases = useQuery(liveDatabasesQuery(cluster.id));
  const [renaming, setRenaming] = useState<Database>();
  const [dropping, setDropping] = useState<Database>();
  const action = actionOf(cluster.strongroom.actions, ACTIONS.manageDatabases);
  const own = connectedDatabase(cluster);
  const changeOf = (database: Database): Action =>
    action.allowed && database.name === own
      ? { ...action, allowed: false, reason: 'Strongroom itself connects to this database.' }
      : action;
  const columns: Column<Database>[] = [
    { header: 'Name', long: true, cell: (database) => database.name },
    {
      header: 'Tables',
      align: 'end',
      // Nothing is said of a database into which nobody may look.
      cell: (database) => (database.table_count ? count(database.table_count) : '--'),
    },
    { header: 'Owner', cell: (database) => database.strongroom.owner },
    { header: 'Regions', cell: (database) => database.strongroom.regions.join(', ') || '--' },
    {
      header: '',
      label: 'Change',
      shrink: true,
      cell: (database) => (
        <Group gap={6} wrap="nowrap" justify="flex-end">
          <ActionButton
            size="xs"
            variant="default"
            action={changeOf(database)}
            onClick={() => setRenaming(database)}
            aria-label={`Rename ${database.name}`}
          >
            Rename
          </ActionButton>
          <ActionButton
            size="xs"
            variant="default"
            action={changeOf(database)}
            onClick={() => setDropping(database)}
            aria-label={`Drop ${database.name}`}
          >
            Drop
          </ActionButton>
        </Group>
      ),
    },
  ];
  return (
    <Page
      title="Databases"
      crumbs={clusterCrumbs(cluster, [{ label: 'Databases' }])}
      tab={`Databases of ${cluster.name}`}
      lead="What the cluster holds now. A restore needs a name that is free."
    >
      <Async query={databases} label="the databases">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No databases">The cluster has no databases of its own.</Empty>
          ) : (
            <List label="Databases" items={items} columns={columns} itemKey={(database) => database.name} />
          )
        }
      </Async>
      {renaming && (
        <Rename cluster={cluster.id} database={renaming.name} onClose={() => setRenaming(undefined)} />
      )}
      {dropping && (
        <Drop cluster={cluster.id} database={dropping.name} onClose={() => setDropping(undefined)} />
      )}
    </Page>
  );
}

interface ChangeProps {
  cluster: string;
  database: string;
  onClose: () => void;
}

function Rename({ cluster, database, onClose }: ChangeProps) {
  const rename = useRenameDatabase(cluster);
  const [name, setName] = useState(`archived_${database}`);
  const submit = () =>
    rename.mutate(
      { name: database, new_name: name },
      {
        onSuccess: () => {
          notifications.show({ message: `${database} is now called ${name}.` });
          onClose();
        },
      },
    );
  return (
    <FormDialog
      title={`Rename ${database}`}
      verb="Rename"
      sending={rename}
      ready={name !== '' && name !== database}
      onSubmit={submit}
      onClose={onClose}
    >
      <NameField
        label="New name"
        description="Sessions that use the database have to end first."
        value={name}
        onChange={setName}
        data-autofocus
      />
    </FormDialog>
  );
}

function Drop({ cluster, database, onClose }: ChangeProps) {
  const drop = useDropDatabase(cluster);
  return (
    <Confirm
      title={`Drop ${database}`}
      verb="Drop database"
      danger
      typed={database}
      sending={drop}
      onClose={onClose}
      onConfirm={() =>
        drop.mutate(database, {
          onSuccess: () => {
            notifications.show({ message: `${database} was dropped.` });
            onClose();
          },
        })
      }
    >
      <Text size="sm">
        The database and all that is in it are removed from the cluster. Only a backup brings it back.
      </Text>
    </Confirm>
  );
}

export { LiveDatabasesPage as Component };
