/** One restore: how far it is, table by table; how it ended, and what a person has to set again. */
import { Alert, List as Bullets, Button, Group, Paper, Progress, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useParams } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { isOpen } from '../../api/jobs';
import { restoreQuery, useCancelRestore, useRestoreEvents } from '../../api/restores';
import type { Restore, Progress as Steps } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async } from '../../components/Async';
import { Confirm } from '../../components/Confirm';
import { Code } from '../../components/Copy';
import { Facts } from '../../components/Facts';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { JobStatus, Status } from '../../components/Status';
import { useNow } from '../../components/useNow';
import { count, databaseSize, toNumber } from '../../format/size';
import { dateTime, duration } from '../../format/time';
import { paths } from '../../paths';
import { useCluster } from '../clusters/ClusterLayout';
import { restoreType } from '../restore/words';

export function RestoreJobPage() {
  const cluster = useCluster();
  const { restoreId = '' } = useParams();
  const restore = useQuery(restoreQuery(cluster.id, restoreId));
  const open = restore.data !== undefined && isOpen(restore.data.strongroom.state);
  useRestoreEvents(cluster.id, restoreId, open);
  return (
    <Async query={restore} label="the restore job">
      {(restore) => (
        <Page
          title={`Restore ${restoreType(restore).replace(/^./, (letter) => letter.toLowerCase())}`}
          crumbs={[
            { label: 'Restore Jobs', to: paths.restoreJobs(cluster.id) },
            { label: restore.id.slice(0, 8) },
          ]}
          actions={open && <Cancel cluster={cluster.id} restore={restore} />}
        >
          <Outcome restore={restore} />
          <About restore={restore} />
          {restore.strongroom.progress && <Tables progress={restore.strongroom.progress} />}
        </Page>
      )}
    </Async>
  );
}

function About({ restore }: { restore: Restore }) {
  const now = useNow(1_000);
  const { strongroom } = restore;
  return (
    <Paper className="panel" p="lg">
      <Stack gap="md">
        <Facts
          of={[
            ['Source > Destination', `${restore.source_cluster_name} > ${restore.destination_cluster_name}`],
            ['Backup taken on', `${dateTime(restore.backup_end_time)} UTC`],
            ['Restore start', `${dateTime(strongroom.started_at ?? restore.created_at)} UTC`],
            ['Restore end', restore.completed_at ? `${dateTime(restore.completed_at)} UTC` : '--'],
            ['Duration', duration(strongroom.started_at, restore.completed_at ?? now)],
            ['Requested by', strongroom.requested_by ?? '--'],
            [
              'Job ID',
              <span key="id" className="mono">
                {restore.id}
              </span>,
            ],
          ]}
        />
        {strongroom.statement && <Code what="statement">{strongroom.statement}</Code>}
      </Stack>
    </Paper>
  );
}

function Outcome({ restore }: { restore: Restore }) {
  const { state, progress, set_again, error_code, error_message, cancel_requested } = restore.strongroom;
  if (isOpen(state)) {
    const done = restore.completion_percent * 100;
    return (
      <Paper className="panel" p="lg">
        <Group justify="space-between" mb="xs">
          <JobStatus state={state} stopping={cancel_requested} />
          <Text className="numbers">{Math.floor(done)}%</Text>
        </Group>
        <Progress value={done} size="lg" aria-label="Restore progress" />
        <Text role="status" size="sm" c="dimmed" mt="xs">
          {progress?.step ?? 'Waiting for a worker.'}
        </Text>
      </Paper>
    );
  }
  if (state === 'SUCCEEDED') {
    return (
      <Notice color="green" title="The restore succeeded">
        {set_again.length > 0 ? (
          <>
            <Text size="sm" fw={600} mt={4}>
              To be set again by you
            </Text>
            <Bullets size="sm" mt={4} spacing={4}>
              {set_again.map((item) => (
                <Bullets.Item key={item}>{item}</Bullets.Item>
              ))}
            </Bullets>
          </>
        ) : (
          <Text size="sm">Nothing has to be set again: owners and privileges came along.</Text>
        )}
      </Notice>
    );
  }
  if (state === 'CANCELED') {
    return (
      <Notice color="gray" title="The restore was canceled">
        <Text size="sm">{restore.destination_cluster_name} is as it was before.</Text>
      </Notice>
    );
  }
  return (
    <Notice color="red" title="The restore failed">
      <Stack gap={6}>
        <Text size="sm">
          {error_code && <span className="mono">{error_code}</span>}{' '}
          {error_message ?? restore.client_error_message}
        </Text>
        <Text size="sm">
          {restore.destination_cluster_name} is as it was before: nothing of the restore was kept.
        </Text>
      </Stack>
    </Notice>
  );
}

function Notice({ color, title, children }: { color: string; title: string; children: React.ReactNode }) {
  return (
    <Alert
      role="status"
      variant="outline"
      color={color}
      title={title}
      styles={{
        root: { background: 'var(--mantine-color-body)' },
        title: { color: 'var(--mantine-color-text)' },
      }}
    >
      {children}
    </Alert>
  );
}

type TableProgress = Steps['tables'][number];

function Tables({ progress }: { progress: Steps }) {
  const columns: Column<TableProgress>[] = [
    { header: 'Table', cell: (table) => `${table.database}.${table.schema}.${table.name}` },
    { header: 'Rows', align: 'end', cell: (table) => count(table.rows_done) },
    {
      header: 'Loaded',
      align: 'end',
      cell: (table) => `${databaseSize(table.bytes_done)} of ${databaseSize(table.bytes_total)}`,
    },
    { header: 'Progress', cell: (table) => <TableBar table={table} /> },
  ];
  return (
    <section aria-labelledby="tables">
      <Group justify="space-between" mb="xs" align="baseline">
        <Title order={2} id="tables">
          Tables
        </Title>
        <Text c="dimmed" size="sm" className="numbers">
          {`${count(progress.tables_done)} of ${count(progress.tables_total)} done, ${databaseSize(progress.bytes_done)} of ${databaseSize(progress.bytes_total)}`}
        </Text>
      </Group>
      {progress.notes.length > 0 && (
        <Bullets size="sm" mb="sm" c="dimmed">
          {progress.notes.map((note) => (
            <Bullets.Item key={note}>{note}</Bullets.Item>
          ))}
        </Bullets>
      )}
      {progress.tables.length > 0 && (
        <List
          label="Progress of the tables"
          items={progress.tables}
          columns={columns}
          itemKey={(table) => `${table.database}.${table.schema}.${table.name}`}
        />
      )}
    </section>
  );
}

function TableBar({ table }: { table: TableProgress }) {
  if (table.state === 'DONE') return <Status tone="ok">Loaded</Status>;
  if (table.state === 'WAITING') return <Status tone="idle">Waiting</Status>;
  const total = toNumber(table.bytes_total);
  return (
    <Progress
      value={total > 0 ? (toNumber(table.bytes_done) / total) * 100 : 0}
      miw={120}
      aria-label={`Progress of ${table.name}`}
    />
  );
}

function Cancel({ cluster, restore }: { cluster: string; restore: Restore }) {
  const [asked, setAsked] = useState(false);
  const cancel = useCancelRestore(cluster);
  if (restore.strongroom.cancel_requested) {
    return (
      <Button variant="default" disabled>
        Canceling
      </Button>
    );
  }
  return (
    <>
      <ActionButton
        variant="default"
        action={actionOf(restore.strongroom.actions, ACTIONS.cancel)}
        onClick={() => setAsked(true)}
      >
        Cancel restore
      </ActionButton>
      {asked && (
        <Confirm
          title="Cancel this restore"
          verb="Cancel restore"
          danger
          busy={cancel.isPending}
          error={cancel.error}
          onClose={() => setAsked(false)}
          onConfirm={() => cancel.mutate(restore.id, { onSuccess: () => setAsked(false) })}
        >
          <Text size="sm">
            What it has loaded is removed, and {restore.destination_cluster_name} stays as it is.
          </Text>
        </Confirm>
      )}
    </>
  );
}

export { RestoreJobPage as Component };
