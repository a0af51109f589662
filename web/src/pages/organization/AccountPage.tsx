/** What one may see and change of oneself. */
import { Button, Group, Paper, PasswordInput, Stack, Title } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { type FormEvent, useState } from 'react';
import { useSession, useSetPassword } from '../../api/session';
import type { User } from '../../api/types';
import { ErrorNotice } from '../../components/Async';
import { Facts } from '../../components/Facts';
import { Page } from '../../components/Page';
import { RoleTags } from './Roles';

export function AccountPage() {
  const session = useSession().data;
  if (!session?.user) return null;
  return (
    <Page title="Account">
      <Stack maw={680}>
        <Paper className="panel" p="lg">
          <Facts
            of={[
              ['Name', session.user.name],
              ['E-mail', session.user.email],
              ['Roles', <RoleTags key="roles" roles={session.roles} />],
            ]}
          />
        </Paper>
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
    <Paper className="panel" p="lg">
      <form onSubmit={submit}>
        <Stack>
          <Title order={2}>Change password</Title>
          <PasswordInput
            label="Present password"
            autoComplete="current-password"
            value={current}
            onChange={(event) => setCurrent(event.currentTarget.value)}
            required
            withAsterisk={false}
          />
          <PasswordInput
            label="New password"
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            required
            withAsterisk={false}
          />
          {set.isError && <ErrorNotice title="Not changed" error={set.error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={set.isPending} disabled={current === '' || password === ''}>
              Change password
            </Button>
          </Group>
        </Stack>
      </form>
    </Paper>
  );
}

export { AccountPage as Component };
