/** What is shown when a page itself breaks, or its code cannot be loaded after an update of the service. */
import { Button, Center, Stack, Text, Title } from '@mantine/core';
import { useRouteError } from 'react-router';

export function CrashPage() {
  const error = useRouteError();
  return (
    <Center mih="100vh" p="md">
      <Stack align="center" gap="sm" maw={520} ta="center">
        <Title order={1}>This page broke</Title>
        <Text c="dimmed">
          The service may have been updated while the console was open. Loading it again usually helps.
          Nothing that runs on your clusters is affected.
        </Text>
        <Text className="mono">{error instanceof Error ? error.message : 'Unknown error'}</Text>
        <Button onClick={() => window.location.reload()}>Load again</Button>
      </Stack>
    </Center>
  );
}
