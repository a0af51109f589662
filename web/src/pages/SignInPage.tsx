import { Button, Center, Group, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { Navigate, useNavigate, useSearchParams } from 'react-router';
import { useSession, useSignIn } from '../api/session';
import { ErrorNotice } from '../components/Async';
import { useTitle } from '../components/Page';
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
              <TextInput
                label="E-mail"
                type="email"
                name="email"
                autoComplete="username"
                required
                withAsterisk={false}
                value={email}
                onChange={(event) => setEmail(event.currentTarget.value)}
                autoFocus
              />
              <PasswordInput
                label="Password"
                name="password"
                autoComplete="current-password"
                required
                withAsterisk={false}
                value={password}
                onChange={(event) => setPassword(event.currentTarget.value)}
              />
              {signIn.isError && <ErrorNotice title="Not signed in" error={signIn.error} />}
              <Button type="submit" fullWidth loading={signIn.isPending}>
                Sign in
              </Button>
            </Stack>
          </form>
          <Text c="dimmed" size="xs" ta="center">
            No account yet? Whoever runs this service makes one, with{' '}
            <span className="mono">strongroom users add</span>.
          </Text>
        </Stack>
      </Center>
    </>
  );
}
