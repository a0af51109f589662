import { ActionIcon, Group, Menu, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconDots, IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ACTIONS } from '../../api/actions';
import { useChangeUser, useCreateUser, useDeleteUser, usersQuery } from '../../api/organization';
import { useSession, useSetPassword } from '../../api/session';
import type { User } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async } from '../../components/Async';
import { FormDialog } from '../../components/FormDialog';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { Status } from '../../components/Status';
import { SecretField, TextField } from '../../components/TextField';
import { When } from '../../components/When';
import { sentence } from '../../format/words';
import { DeleteDialog } from './DeleteDialog';
import { EditRoles, RoleTags } from './Roles';

type Dialog = { kind: 'create' } | { kind: 'roles' | 'password' | 'delete'; user: User };

export function UsersPage() {
  const users = useQuery(usersQuery);
  const session = useSession().data;
  const [dialog, setDialog] = useState<Dialog>();
  const close = () => setDialog(undefined);
  const columns: Column<User>[] = [
    {
      header: 'Name',
      long: true,
      cell: (user) => (
        <div>
          <Text size="sm" fw={600}>
            {user.name || user.email}
          </Text>
          <Text size="xs" c="dimmed">
            {user.email}
          </Text>
        </div>
      ),
    },
    { header: 'Roles', stack: true, cell: (user) => <RoleTags roles={user.roles} /> },
    {
      header: 'State',
      cell: (user) =>
        user.disabled ? <Status tone="idle">Disabled</Status> : <Status tone="ok">Active</Status>,
    },
    {
      header: 'Last sign-in',
      cell: (user) => (user.last_sign_in ? <When at={user.last_sign_in} /> : 'Never'),
    },
    {
      header: '',
      label: 'Change',
      shrink: true,
      cell: (user) => (
        <Group gap={4} wrap="nowrap" justify="flex-end">
          <ActionButton
            size="xs"
            variant="default"
            action={actionOf(session?.actions, ACTIONS.manageUsers)}
            onClick={() => setDialog({ kind: 'roles', user })}
            aria-label={`Edit the roles of ${user.name || user.email}`}
          >
            Edit roles
          </ActionButton>
          <UserActions user={user} onDialog={setDialog} />
        </Group>
      ),
    },
  ];
  return (
    <Page
      title="Users and roles"
      lead="Roles on the organization hold on every cluster. Restores need Org Administrator, Cluster Admin or Cluster Operator."
      actions={
        <ActionButton
          action={actionOf(session?.actions, ACTIONS.manageUsers)}
          leftSection={<IconPlus size={16} aria-hidden />}
          onClick={() => setDialog({ kind: 'create' })}
        >
          Add user
        </ActionButton>
      }
    >
      <Async query={users} label="the users">
        {({ items }) => (
          <List label="Users" items={items} columns={columns} itemKey={(user) => user.id} room="much" utc />
        )}
      </Async>
      {dialog?.kind === 'create' && <CreateUser onClose={close} />}
      {dialog?.kind === 'roles' && (
        <EditRoles
          subject={{ ...dialog.user, name: dialog.user.name || dialog.user.email }}
          onClose={close}
        />
      )}
      {dialog?.kind === 'password' && <SetPassword user={dialog.user} onClose={close} />}
      {dialog?.kind === 'delete' && <DeleteUser user={dialog.user} onClose={close} />}
    </Page>
  );
}

function UserActions({ user, onDialog }: { user: User; onDialog: (dialog: Dialog) => void }) {
  const change = useChangeUser();
  const toggle = () =>
    change.mutate(
      { user: user.id, disabled: !user.disabled },
      {
        onSuccess: () =>
          notifications.show({ message: `${user.email} was ${user.disabled ? 'enabled' : 'disabled'}.` }),
        onError: (error) =>
          notifications.show({ color: 'red', title: 'Not changed', message: sentence(error.message) }),
      },
    );
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`More about ${user.name || user.email}`}>
          <IconDots size={16} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => onDialog({ kind: 'password', user })}>Set password</Menu.Item>
        <Menu.Item onClick={toggle}>{user.disabled ? 'Enable' : 'Disable'}</Menu.Item>
        <Menu.Item onClick={() => onDialog({ kind: 'delete', user })}>Delete</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function CreateUser({ onClose }: { onClose: () => void }) {
  const create = useCreateUser();
  const [email, setEmail] = useState('');
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const submit = () =>
    create.mutate(
      { email, name: name.trim(), password: password || undefined },
      {
        onSuccess: () => {
          notifications.show({ message: `${email} was added. Now give them a role.` });
          onClose();
        },
      },
    );
  return (
    <FormDialog
      title="Add user"
      verb="Add user"
      failed="Not added"
      sending={create}
      onSubmit={submit}
      onClose={onClose}
    >
      <TextField label="E-mail" type="email" value={email} onChange={setEmail} data-autofocus />
      <TextField label="Name" value={name} onChange={setName} />
      <SecretField
        label="First password"
        description="They can change it after signing in."
        autoComplete="new-password"
        value={password}
        onChange={setPassword}
      />
    </FormDialog>
  );
}

function SetPassword({ user, onClose }: { user: User; onClose: () => void }) {
  const set = useSetPassword();
  const [password, setPassword] = useState('');
  const submit = () =>
    set.mutate(
      { user: user.id, password },
      {
        onSuccess: () => {
          notifications.show({ message: `${user.email} has a new password, and is signed out everywhere.` });
          onClose();
        },
      },
    );
  return (
    <FormDialog
      title={`Password of ${user.email}`}
      verb="Set password"
      failed="Not set"
      sending={set}
      ready={password !== ''}
      onSubmit={submit}
      onClose={onClose}
    >
      <SecretField
        label="New password"
        autoComplete="new-password"
        value={password}
        onChange={setPassword}
        data-autofocus
      />
    </FormDialog>
  );
}

function DeleteUser({ user, onClose }: { user: User; onClose: () => void }) {
  return (
    <DeleteDialog
      what={user.email}
      verb="Delete user"
      id={user.id}
      removal={useDeleteUser()}
      onClose={onClose}
    >
      They are signed out, and cannot sign in again. What they did stays in the audit log.
    </DeleteDialog>
  );
}

export { UsersPage as Component };
