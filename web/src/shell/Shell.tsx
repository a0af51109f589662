/** The frame of every page but signing in: header, navigation, the page. Nobody signed in: go and do that first. */
import { AppShell, Burger, Group, Loader, Text, UnstyledButton } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useEffect } from 'react';
import { Link, Navigate, Outlet, ScrollRestoration, useLocation } from 'react-router';
import { useSession } from '../api/session';
import { ErrorNotice } from '../components/Async';
import { paths } from '../paths';
import { Brand } from './Brand';
import { ColorScheme } from './ColorScheme';
import { Navigation } from './Navigation';
import { UserMenu } from './UserMenu';

export function Shell() {
  const session = useSession();
  const location = useLocation();
  const [open, { toggle, close }] = useDisclosure();
  // biome-ignore lint/correctness/useExhaustiveDependencies: whoever goes to another page has chosen from the menu.
  useEffect(close, [location.pathname]);
  useEffect(() => {
    if (!open) return;
    const onKey = (event: KeyboardEvent) => event.key === 'Escape' && close();
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [open, close]);

  if (session.isPending) {
    return (
      <Group justify="center" mih="100vh" role="status" aria-label="Loading the console">
        <Loader />
      </Group>
    );
  }
  if (session.data === undefined) {
    return (
      <Group justify="center" mih="100vh" p="md" component="main">
        <ErrorNotice error={session.error} retry={() => void session.refetch()} />
      </Group>
    );
  }
  if (session.data === null) {
    const here = location.pathname + location.search;
    return <Navigate to={paths.signIn(here === '/' ? undefined : here)} replace />;
  }
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 232, breakpoint: 'sm', collapsed: { mobile: !open } }}
      padding={{ base: 'md', md: 'xl' }}
    >
      <a className="skip-link" href="#content">
        Skip to content
      </a>
      <AppShell.Header px="md">
        <Group h="100%" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap" style={{ minWidth: 0 }}>
            <Burger
              opened={open}
              onClick={toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label={open ? 'Close navigation' : 'Open navigation'}
              aria-expanded={open}
            />
            <UnstyledButton component={Link} to={paths.clusters()} aria-label="Strongroom, clusters">
              <Group gap={10} wrap="nowrap">
                <Brand />
                <Text fw={700} visibleFrom="xs">
                  Strongroom
                </Text>
              </Group>
            </UnstyledButton>
            <Text c="dimmed" size="sm" truncate>
              {session.data.organization.name}
            </Text>
          </Group>
          <Group gap={4} wrap="nowrap">
            <ColorScheme />
            <UserMenu session={session.data} />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm" aria-label="Main">
        <Navigation />
      </AppShell.Navbar>
      <AppShell.Main id="content">
        <div style={{ maxWidth: 1160, margin: '0 auto' }}>
          <Outlet />
        </div>
      </AppShell.Main>
      <ScrollRestoration />
    </AppShell>
  );
}
