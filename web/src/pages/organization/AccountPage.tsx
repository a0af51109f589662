/** What one may see and change of oneself. */
import { Button, Group, Stack } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { type FormEvent, useState } from 'react';
import { useSession, useSetPassword } from '../../api/session';
import type { User } from '../../api/types';
import { ErrorNotice } from '../../components/Async';
import { Facts } from '../../components/Facts';
import { Page } from '../../components/Page';
import { Panel } from '../../components/Panel';
import { SecretField } from '../../components/TextField';
import { RoleTags } from './Roles';

export function AccountPage() {
  const session = useSession().data;
  if (!session?.user) return null;
  return (
    <Page title="Account">
      <Stack maw={680}>
        <Panel>
          <Facts
            of={[
              ['Name', session.user.name],
              ['E-mail', session.user.email],
              ['Roles', <RoleTags key="roles" roles={session.roles} />],
            ]}
          />
        </Panel>
        <Password user={session.user} />
      </Stack>
    </Page>
  );
}

function Password({ user }: { user: User }) {
  const set = useSetPassword();
  const [current, setCurrent] = useState('');
  const [password, setPassword] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    set.mutate(
      { user: user.id, password, current_password: current },
      {
        onSuccess: () => {
          setCurrent('');
          setPassword('');
          notifications.show({ message: 'The password was changed.' });
        },
      },
    );
  };
  return (
    <Panel title="Change password">
      <form onSubmit={submit}>
        <Stack>
          <SecretField
            label="Present password"
            autoComplete="current-password"
            value={current}
            onChange={setCurrent}
          />
          <SecretField
            label="New password"
            autoComplete="new-password"
            value={password}
            onChange={setPassword}
          />
          {set.isError && <ErrorNotice title="Not changed" error={set.error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={set.isPending} disabled={current === '' || password === ''}>
              Change password
            </Button>
          </Group>
        </Stack>
      </form>
    </Panel>
  );
}

export { AccountPage as Component };
