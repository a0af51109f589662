import { Button, Group, Stack, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { auditLogQuery } from '../../api/organization';
import type { AuditEntry } from '../../api/types';
import { Async, Empty } from '../../components/Async';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { Status, type Tone } from '../../components/Status';
import { When } from '../../components/When';

const columns: Column<AuditEntry>[] = [
  {
    header: 'Time (UTC)',
    cell: (entry) => <When at={entry.created_at} />,
  },
  {
    header: 'Action',
    cell: (entry) => <span className="mono">{entry.action.replace(/^AUDIT_LOG_ACTION_/, '')}</span>,
  },
  { header: 'By', cell: (entry) => entry.strongroom.actor.name },
  { header: 'Object', cell: (entry) => entry.cluster_name || entry.strongroom.object.name || '--' },
  {
    header: 'Outcome',
    cell: (entry) => <Outcome outcome={entry.strongroom.outcome} />,
  },
  { header: 'Details', cell: (entry) => <Details details={entry.strongroom.details} /> },
];

export function AuditLogPage() {
  const [action, setAction] = useState('');
  const [asked] = useDebouncedValue(action.trim().toUpperCase().replaceAll(' ', '_'), 300);
  const log = useInfiniteQuery(auditLogQuery(asked));
  return (
    <Page
      title="Audit log"
      lead="Who changed or restored what, and what was refused. Entries can not be changed."
    >
      <Stack gap="md">
        <Group>
          <TextInput
            label="Action"
            placeholder="CLUSTER_CREATED"
            value={action}
            onChange={(event) => setAction(event.currentTarget.value)}
            w={{ base: '100%', xs: 280 }}
          />
        </Group>
        <Async query={log} label="the audit log">
          {({ pages }) => {
            const entries = pages.flatMap((page) => page.entries);
            return entries.length === 0 ? (
              <Empty title="No entries" />
            ) : (
              <List label="Audit log" items={entries} columns={columns} itemKey={(entry) => entry.id} />
            );
          }}
        </Async>
        {log.hasNextPage && (
          <Group justify="center">
            <Button
              variant="default"
              loading={log.isFetchingNextPage}
              onClick={() => void log.fetchNextPage()}
            >
              Show older entries
            </Button>
          </Group>
        )}
      </Stack>
    </Page>
  );
}

const OUTCOMES: Record<string, { tone: Tone; label: string }> = {
  DONE: { tone: 'ok', label: 'Done' },
  REFUSED: { tone: 'bad', label: 'Refused' },
  FAILED: { tone: 'bad', label: 'Failed' },
};

function Outcome({ outcome }: { outcome: string }) {
  // A newer service may know outcomes that this console does not.
  const { tone, label } = OUTCOMES[outcome] ?? { tone: 'idle', label: outcome };
  return <Status tone={tone}>{label}</Status>;
}

function Details({ details }: { details: AuditEntry['strongroom']['details'] }) {
  const text = JSON.stringify(details);
  if (text === '{}') return '--';
  return (
    <details style={{ maxWidth: 320 }}>
      <summary style={{ cursor: 'pointer' }}>Show</summary>
      <Text className="mono" style={{ whiteSpace: 'pre-wrap' }}>
        {text}
      </Text>
    </details>
  );
}

export { AuditLogPage as Component };
