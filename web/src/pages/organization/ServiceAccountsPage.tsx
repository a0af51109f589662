/** Accounts of programs, and the keys that they show. A key's secret is seen once. */
import { Button, Group, Modal, Paper, Stack, Text, Title } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ACTIONS } from '../../api/actions';
import {
  apiKeysQuery,
  serviceAccountsQuery,
  useCreateApiKey,
  useCreateServiceAccount,
  useDeleteApiKey,
  useDeleteServiceAccount,
} from '../../api/organization';
import { useSession } from '../../api/session';
import type { ApiKey, ServiceAccount } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty } from '../../components/Async';
import { Code } from '../../components/Copy';
import { FormDialog } from '../../components/FormDialog';
import { Notice } from '../../components/Notice';
import { Page } from '../../components/Page';
import { LongTextField, TextField } from '../../components/TextField';
import { dateTime } from '../../format/time';
import { DeleteDialog } from './DeleteDialog';
import { EditRoles, RoleTags, useRoles } from './Roles';

type Dialog =
  | { kind: 'create' }
  | { kind: 'roles' | 'key' | 'delete'; account: ServiceAccount }
  | { kind: 'revoke'; apiKey: ApiKey };

export function ServiceAccountsPage() {
  const accounts = useQuery(serviceAccountsQuery);
  const keys = useQuery(apiKeysQuery);
  const session = useSession().data;
  const [dialog, setDialog] = useState<Dialog>();
  const close = () => setDialog(undefined);
  const create = (
    <ActionButton
      action={actionOf(session?.actions, ACTIONS.manageServiceAccounts)}
      leftSection={<IconPlus size={16} aria-hidden />}
      onClick={() => setDialog({ kind: 'create' })}
    >
      Add service account
    </ActionButton>
  );
  return (
    <Page
      title="Service accounts"
      lead="Programs use the API with keys of a service account. Its roles say what they may do."
      actions={create}
    >
      <Async query={accounts} label="the service accounts">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No service accounts" action={create}>
              Scripts, Terraform and monitoring each deserve one of their own.
            </Empty>
          ) : (
            <Stack gap="md">
              {items.map((account) => (
                <Account
                  key={account.id}
                  account={account}
                  keys={keys.data?.items.filter((key) => key.service_account_id === account.id) ?? []}
                  onDialog={setDialog}
                />
              ))}
            </Stack>
          )
        }
      </Async>
      {dialog?.kind === 'create' && <CreateAccount onClose={close} />}
      {dialog?.kind === 'roles' && <EditRoles subject={dialog.account} onClose={close} />}
      {dialog?.kind === 'key' && <CreateKey account={dialog.account} onClose={close} />}
      {dialog?.kind === 'delete' && <DeleteAccount account={dialog.account} onClose={close} />}
      {dialog?.kind === 'revoke' && <DeleteKey apiKey={dialog.apiKey} onClose={close} />}
    </Page>
  );
}

function Account({
  account,
  keys,
  onDialog,
}: {
  account: ServiceAccount;
  keys: ApiKey[];
  onDialog: (dialog: Dialog) => void;
}) {
  return (
    <Paper className="panel" p="lg" component="section" aria-label={account.name}>
      <Group justify="space-between" align="flex-start" gap="sm">
        <div style={{ flex: '1 1 280px' }}>
          <Title order={2}>{account.name}</Title>
          <Text c="dimmed" size="sm" mb="xs">
            {account.description || 'No description'}
          </Text>
          <RoleTags roles={account.roles} />
        </div>
        <Group gap={6}>
          <Button
            size="xs"
            variant="default"
            onClick={() => onDialog({ kind: 'roles', account })}
            aria-label={`Edit the roles of ${account.name}`}
          >
            Edit roles
          </Button>
          <Button
            size="xs"
            variant="default"
            onClick={() => onDialog({ kind: 'key', account })}
            aria-label={`Create an API key of ${account.name}`}
          >
            Create API key
          </Button>
          <Button
            size="xs"
            variant="default"
            onClick={() => onDialog({ kind: 'delete', account })}
            aria-label={`Delete ${account.name}`}
          >
            Delete
          </Button>
        </Group>
      </Group>
      {keys.length > 0 && (
        <Stack
          gap={4}
          mt="md"
          component="ul"
          pl={0}
          style={{ listStyle: 'none', borderTop: '1px solid var(--line)', paddingTop: 12 }}
        >
          {keys.map((key) => (
            <Group key={key.id} component="li" justify="space-between" wrap="nowrap">
              <div style={{ minWidth: 0 }}>
                <Text size="sm">{key.name}</Text>
                <Text size="xs" c="dimmed">
                  {sayKey(key)}
                </Text>
              </div>
              <Button
                size="xs"
                variant="default"
                style={{ flex: 'none' }}
                onClick={() => onDialog({ kind: 'revoke', apiKey: key })}
                aria-label={`Delete the API key ${key.name}`}
              >
                Delete
              </Button>
            </Group>
          ))}
        </Stack>
      )}
    </Paper>
  );
}

/** Which key it is, and whether somebody still uses it. */
function sayKey({ created_at, strongroom: { prefix, last_used } }: ApiKey): string {
  const used = last_used ? `last used ${dateTime(last_used)} UTC` : 'never used';
  return `API key ${prefix}…, created ${dateTime(created_at)} UTC, ${used}`;
}

function CreateAccount({ onClose }: { onClose: () => void }) {
  const create = useCreateServiceAccount();
  const roles = useRoles();
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  return (
    <FormDialog
      title="Add service account"
      verb="Add service account"
      failed="Not added"
      size="lg"
      sending={create}
      ready={name.trim() !== ''}
      onSubmit={() =>
        create.mutate({ name: name.trim(), description, roles: roles.chosen }, { onSuccess: onClose })
      }
      onClose={onClose}
    >
      <TextField label="Name" value={name} onChange={setName} data-autofocus />
      <LongTextField label="Description" value={description} onChange={setDescription} />
      {roles.field}
    </FormDialog>
  );
}

function CreateKey({ account, onClose }: { account: ServiceAccount; onClose: () => void }) {
  const create = useCreateApiKey();
  const [name, setName] = useState('');
  if (create.data) {
    return (
      <Modal opened onClose={onClose} title="API key created" closeOnClickOutside={false}>
        <Stack>
          <Notice title="Copy the secret now">
            It is not shown again. Whoever has it can do what {account.name} may do.
          </Notice>
          <Code what="secret">{create.data.secret}</Code>
          <Group justify="flex-end">
            <Button onClick={onClose}>Done</Button>
          </Group>
        </Stack>
      </Modal>
    );
  }
  return (
    <FormDialog
      title={`API key of ${account.name}`}
      verb="Create API key"
      failed="Not created"
      sending={create}
      ready={name.trim() !== ''}
      onSubmit={() => create.mutate({ name: name.trim(), service_account_id: account.id })}
      onClose={onClose}
    >
      <TextField
        label="Name"
        description="What will use it, so that you know which one to delete."
        value={name}
        onChange={setName}
        data-autofocus
      />
    </FormDialog>
  );
}

function DeleteKey({ apiKey, onClose }: { apiKey: ApiKey; onClose: () => void }) {
  return (
    <DeleteDialog
      what={`the API key ${apiKey.name}`}
      verb="Delete API key"
      id={apiKey.id}
      removal={useDeleteApiKey()}
      onClose={onClose}
    >
      Whatever uses it is refused from now on.
    </DeleteDialog>
  );
}

function DeleteAccount({ account, onClose }: { account: ServiceAccount; onClose: () => void }) {
  return (
    <DeleteDialog
      what={account.name}
      verb="Delete service account"
      id={account.id}
      removal={useDeleteServiceAccount()}
      onClose={onClose}
    >
      All its API keys stop working.
    </DeleteDialog>
  );
}

export { ServiceAccountsPage as Component };
