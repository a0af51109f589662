/** The three states of anything that is asked for: waiting, failed, there. */
import { Button, Group, Skeleton, Stack, Text, Title } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { ApiError } from '../api/client';
import { sentence } from '../format/words';
import { Notice } from './Notice';

interface AsyncProps<T> {
  query: UseQueryResult<T>;
  /** What is waited for, for those who cannot see the skeleton. */
  label: string;
  rows?: number;
  children: (data: T) => ReactNode;
}

export function Async<T>({ query, label, rows = 5, children }: AsyncProps<T>) {
  if (query.data !== undefined) {
    return (
      <>
        {query.isError && <StaleNotice error={query.error} />}
        {children(query.data)}
      </>
    );
  }
  if (query.isError) return <ErrorNotice error={query.error} retry={() => void query.refetch()} />;
  return <Loading label={label} rows={rows} />;
}

export function Loading({ label, rows = 5 }: { label: string; rows?: number }) {
  return (
    <Stack gap="sm" p="md" className="panel" role="status" aria-label={`Loading ${label}`}>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the bars are all alike and never move.
        <Skeleton key={row} height={18} width={row % 3 === 2 ? '72%' : '100%'} />
      ))}
    </Stack>
  );
}

/** A refusal, in the service's words. */
export function ErrorNotice({ error, title, retry }: { error: unknown; title?: string; retry?: () => void }) {
  const known = error instanceof ApiError ? error : undefined;
  const message = error instanceof Error ? error.message : String(error);
  return (
    <Notice role="alert" tone="bad" title={title ?? titleOf(known)}>
      <Stack gap={6} align="flex-start">
        <Text size="sm">{sentence(message)}</Text>
        {known?.hint && (
          <Text size="sm" c="dimmed" style={{ whiteSpace: 'pre-line' }}>
            {sentence(known.hint)}
          </Text>
        )}
        {known?.requestId && (
          <Text size="xs" c="dimmed">
            Request <span className="mono">{known.requestId}</span>
          </Text>
        )}
        {retry && known?.status !== 403 && known?.status !== 404 && (
          <Button size="xs" variant="default" mt={4} onClick={retry}>
            Try again
          </Button>
        )}
      </Stack>
    </Notice>
  );
}

function titleOf(error: ApiError | undefined): string {
  switch (error?.status) {
    case 0:
    case 503:
      return 'Not available';
    case 403:
      return 'Not permitted';
    case 404:
      return 'Not found';
    case 429:
      return 'Too many requests';
    default:
      return 'That did not work';
  }
}

function StaleNotice({ error }: { error: Error }) {
  return (
    <Text role="status" size="sm" c="var(--warn-text)">
      What is shown may be old: {sentence(error.message)}
    </Text>
  );
}

/** Nothing is there, and why, and what one can do. */
export function Empty({
  title,
  children,
  action,
}: {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <Stack className="panel" align="center" gap={6} py={48} px="md" ta="center">
      <Title order={2}>{title}</Title>
      {children && (
        <Text component="div" c="dimmed" size="sm" maw={520}>
          {children}
        </Text>
      )}
      {action && <Group mt="sm">{action}</Group>}
    </Stack>
  );
}
