/** The databases that the cluster has now: where a name is taken, it is made free here. */
import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { ACTIONS } from '../../api/actions';
import { liveDatabasesQuery, useDropDatabase, useRenameDatabase } from '../../api/clusters';
import type { Database } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty, ErrorNotice } from '../../components/Async';
import { Confirm } from '../../components/Confirm';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { count } from '../../format/size';
import { useCluster } from './ClusterLayout';

export function LiveDatabasesPage() {
  const cluster = useCluster();
  const databases = useQuery(liveDatabasesQuery(cluster.id));
  const [renaming, setRenaming] = useState<Database>();
  const [dropping, setDropping] = useState<Database>();
  const action = actionOf(cluster.strongroom.actions, ACTIONS.manageDatabases);
  const columns: Column<Database>[] = [
    { header: 'Name', cell: (database) => database.name },
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
            action={action}
            onClick={() => setRenaming(database)}
            aria-label={`Rename ${database.name}`}
          >
            Rename
          </ActionButton>
          <ActionButton
            size="xs"
            variant="default"
            action={action}
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
  const submit = (event: FormEvent) => {
    event.preventDefault();
    rename.mutate(
      { name: database, new_name: name },
      {
        onSuccess: () => {
          notifications.show({ message: `${database} is now called ${name}.` });
          onClose();
        },
      },
    );
  };
  return (
    <Modal opened onClose={onClose} title={`Rename ${database}`}>
      <form onSubmit={submit}>
        <Stack>
          <TextInput
            label="New name"
            description="Sessions that use the database have to end first."
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            required
            withAsterisk={false}
            data-autofocus
          />
          {rename.isError && <ErrorNotice error={rename.error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={rename.isPending} disabled={name === '' || name === database}>
              Rename
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
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
      busy={drop.isPending}
      error={drop.error}
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
