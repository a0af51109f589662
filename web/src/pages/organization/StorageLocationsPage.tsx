import { Button, Group, Text } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ACTIONS } from '../../api/actions';
import {
  storageLocationsQuery,
  useCheckStorageLocation,
  useCreateStorageLocation,
  useDeleteStorageLocation,
} from '../../api/organization';
import { useSession } from '../../api/session';
import type { StorageLocation } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty } from '../../components/Async';
import { FormDialog } from '../../components/FormDialog';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { Status } from '../../components/Status';
import { SecretField, TextField } from '../../components/TextField';
import { sentence } from '../../format/words';
import { DeleteDialog } from './DeleteDialog';

export function StorageLocationsPage() {
  const locations = useQuery(storageLocationsQuery);
  const session = useSession().data;
  const [adding, setAdding] = useState(false);
  const [deleting, setDeleting] = useState<StorageLocation>();
  const action = actionOf(session?.actions, ACTIONS.manageStorage);
  const add = (
    <ActionButton
      action={action}
      leftSection={<IconPlus size={16} aria-hidden />}
      onClick={() => setAdding(true)}
    >
      Add storage location
    </ActionButton>
  );
  const columns: Column<StorageLocation>[] = [
    {
      header: 'Name',
      cell: (location) => (
        <Text size="sm" fw={600}>
          {location.name}
        </Text>
      ),
    },
    { header: 'Region', cell: (location) => location.region },
    {
      header: 'URL',
      long: true,
      stack: true,
      cell: (location) => <span className="mono">{location.url}</span>,
    },
    { header: 'Encrypted', cell: (location) => (location.encrypted ? 'Yes' : 'No') },
    { header: 'Check', stack: true, cell: (location) => <Check location={location} /> },
    {
      header: '',
      label: 'Delete',
      shrink: true,
      cell: (location) => (
        <ActionButton
          size="xs"
          variant="default"
          action={action}
          onClick={() => setDeleting(location)}
          aria-label={`Delete ${location.name}`}
        >
          Delete
        </ActionButton>
      ),
    },
  ];
  return (
    <Page
      title="Storage locations"
      lead="Where backups are kept. A cluster's backups go to the location of its region."
      actions={add}
    >
      <Async query={locations} label="the storage locations">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No storage locations" action={add}>
              Add a bucket or a folder before you attach the first cluster.
            </Empty>
          ) : (
            <List
              label="Storage locations"
              items={items}
              columns={columns}
              itemKey={(location) => location.id}
              room="much"
            />
          )
        }
      </Async>
      {adding && <Add onClose={() => setAdding(false)} />}
      {deleting && <Delete location={deleting} onClose={() => setDeleting(undefined)} />}
    </Page>
  );
}

/** Writes, reads and deletes a small object there. */
function Check({ location }: { location: StorageLocation }) {
  const check = useCheckStorageLocation();
  return (
    <Group gap="xs">
      <Button
        size="xs"
        variant="default"
        loading={check.isPending}
        onClick={() => check.mutate(location.id)}
        aria-label={`Check ${location.name}`}
      >
        Check
      </Button>
      <span role="status">
        {check.data && <Status tone="ok">Works</Status>}
        {check.isError && <Status tone="bad">{sentence(check.error.message)}</Status>}
      </span>
    </Group>
  );
}

function Add({ onClose }: { onClose: () => void }) {
  const create = useCreateStorageLocation();
  const [name, setName] = useState('');
  const [region, setRegion] = useState('');
  const [url, setUrl] = useState('');
  const [passphrase, setPassphrase] = useState('');
  const submit = () =>
    create.mutate(
      { name: name.trim(), region, url, passphrase: passphrase || undefined },
      { onSuccess: onClose },
    );
  return (
    <FormDialog
      title="Add storage location"
      verb="Add storage location"
      failed="Not added"
      size="lg"
      sending={create}
      onSubmit={submit}
      onClose={onClose}
    >
      <TextField label="Name" value={name} onChange={setName} data-autofocus />
      <TextField label="Region" placeholder="europe-west1" value={region} onChange={setRegion} />
      <SecretField
        label="URL"
        description="s3://bucket/folder?AWS_ACCESS_KEY_ID=...&AWS_SECRET_ACCESS_KEY=...&AWS_REGION=... or file:///folder. Secrets in it are stored encrypted."
        placeholder="s3://"
        autoComplete="off"
        value={url}
        onChange={setUrl}
      />
      <SecretField
        label="Passphrase"
        description="Encrypts the backups before they leave this service. Keep a copy: without it nobody can restore them elsewhere."
        autoComplete="new-password"
        required={false}
        value={passphrase}
        onChange={setPassphrase}
      />
    </FormDialog>
  );
}

function Delete({ location, onClose }: { location: StorageLocation; onClose: () => void }) {
  return (
    <DeleteDialog
      what={location.name}
      verb="Delete storage location"
      id={location.id}
      removal={useDeleteStorageLocation()}
      onClose={onClose}
    >
      Strongroom forgets the location. What is stored there is not touched.
    </DeleteDialog>
  );
}

export { StorageLocationsPage as Component };
