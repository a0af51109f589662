import { Button, Center, Group, Stack, Text, Title } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { Navigate, useNavigate, useSearchParams } from 'react-router';
import { useSession, useSignIn } from '../api/session';
import { ErrorNotice } from '../components/Async';
import { useTitle } from '../components/Page';
import { SecretField, TextField } from '../components/TextField';
import { paths } from '../paths';
import { Brand } from '../shell/Brand';
import { ColorScheme } from '../shell/ColorScheme';

/** Where to go afterwards: only to a page of the console, never to what a foreign link asks for. */
function safeNext(next: string | null): string {
  return next?.startsWith('/') && !next.startsWith('//') && !next.startsWith('/\\') ? next : paths.clusters();
}

export function SignInPage() {
  useTitle('Sign in');
  const [search] = useSearchParams();
  const next = safeNext(search.get('next'));
  const session = useSession();
  const signIn = useSignIn();
  const navigate = useNavigate();
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');

  if (session.data && !signIn.isPending) return <Navigate to={next} replace />;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    signIn.mutate({ email, password }, { onSuccess: () => void navigate(next, { replace: true }) });
  };
  return (
    <>
      <Group justify="flex-end" p="md">
        <ColorScheme />
      </Group>
      <Center component="main" px="md" pt="8vh">
        <Stack w={360} maw="100%" gap="lg">
          <Stack gap={10} align="center">
            <Brand size={44} />
            <Title order={1}>Sign in to Strongroom</Title>
            <Text c="dimmed" size="sm" ta="center">
              Backups of your database clusters, and the way back.
            </Text>
          </Stack>
          <form onSubmit={submit} className="panel" style={{ padding: 24 }}>
            <Stack>
              <TextField
                label="E-mail"
                type="email"
                name="email"
                autoComplete="username"
                value={email}
                onChange={setEmail}
                autoFocus
              />
              <SecretField
                label="Password"
                name="password"
                autoComplete="current-password"
                value={password}
                onChange={setPassword}
              />
              {signIn.isError && <ErrorNotice title="Not signed in" error={signIn.error} />}
              <Button type="submit" fullWidth loading={signIn.isPending}>
                Sign in
              </Button>
            </Stack>
          </form>
          <Text c="dimmed" size="xs" ta="center">
            No account yet? Ask an Org Administrator. Whoever runs this service makes the first one, with{' '}
            <span className="mono">strongroom users create</span>.
          </Text>
        </Stack>
      </Center>
    </>
  );
}
