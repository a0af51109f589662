/** One restore: how far it is, table by table; how it ended, and what a person has to set again. */
import { Anchor, List as Bullets, Button, Group, Paper, Progress, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useParams } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { isOpen } from '../../api/jobs';
import { restoreQuery, useCancelRestore, useRestoreEvents } from '../../api/restores';
import type { Restore, Progress as Steps } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async } from '../../components/Async';
import { Confirm } from '../../components/Confirm';
import { Code, Copy } from '../../components/Copy';
import { Facts } from '../../components/Facts';
import { type Column, List } from '../../components/List';
import { Notice } from '../../components/Notice';
import { Page } from '../../components/Page';
import { Failure, JobStatus, Status } from '../../components/Status';
import { useNow } from '../../components/useNow';
import { count, databaseSize, toNumber } from '../../format/size';
import { dateTime, dayOf, duration } from '../../format/time';
import { sentence } from '../../format/words';
import { paths } from '../../paths';
import { useCluster } from '../clusters/ClusterLayout';
import { clusterCrumbs } from '../clusters/crumbs';
import { againPath } from '../restore/choices';
import { fromTo, restoredTo, restoreType, shortId } from '../restore/words';

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
          crumbs={clusterCrumbs(cluster, [
            { label: 'Restore Jobs', to: paths.restoreJobs(cluster.id) },
            { label: shortId(restore.id) },
          ])}
          actions={
            open ? <Cancel cluster={cluster.id} restore={restore} /> : <Afterwards restore={restore} />
          }
        >
          <Outcome restore={restore} />
          <About restore={restore} />
          {restore.strongroom.progress && (
            <Tables
              progress={restore.strongroom.progress}
              removed={['FAILED', 'CANCELED'].includes(restore.strongroom.state)}
            />
          )}
        </Page>
      )}
    </Async>
  );
}

function About({ restore }: { restore: Restore }) {
  const now = useNow(1_000);
  const { strongroom } = restore;
  const to = restoredTo(restore);
  return (
    <Paper className="panel" p="lg">
      <Stack gap="md">
        <Facts
          of={[
            ['Source > Destination', fromTo(restore)],
            to !== undefined && ['Restore to', to],
            ['Backup taken on', <BackupLink key="backup" restore={restore} />],
            ['Restore start', `${dateTime(strongroom.started_at ?? restore.created_at)} UTC`],
            ['Restore end', restore.completed_at ? `${dateTime(restore.completed_at)} UTC` : '--'],
            ['Duration', duration(strongroom.started_at, restore.completed_at ?? now)],
            ['Requested by', strongroom.requested_by ?? '--'],
            [
              'Job ID',
              <Group key="id" gap={4}>
                <span className="mono">{restore.id}</span>
                <Copy value={restore.id} what="job ID" />
              </Group>,
            ],
          ]}
        />
        {strongroom.statement && <Code what="statement">{strongroom.statement}</Code>}
      </Stack>
    </Paper>
  );
}

function Outcome({ restore }: { restore: Restore }) {
  const { strongroom } = restore;
  const { state, progress, set_again, cancel_requested } = strongroom;
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
          {sentence(progress?.step ?? 'Waiting for a worker')}
        </Text>
      </Paper>
    );
  }
  if (state === 'SUCCEEDED') {
    return (
      <Notice tone="ok" title="The restore succeeded">
        {set_again.length > 0 ? (
          <>
            <Text size="sm" fw={600} mt={4}>
              To be set again by you
            </Text>
            <Bullets size="sm" mt={4} spacing={4}>
              {set_again.map((item) => (
                <Bullets.Item key={item}>{sentence(item)}</Bullets.Item>
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
      <Notice tone="idle" title="The restore was canceled">
        <Text size="sm">{restore.destination_cluster_name} is as it was before.</Text>
      </Notice>
    );
  }
  return (
    <Notice tone="bad" title="The restore failed">
      <Stack gap={6}>
        <div>
          <Failure
            code={strongroom.error_code}
            message={strongroom.error_message ?? restore.client_error_message}
            hint={strongroom.error_hint}
          />
        </div>
        <Text size="sm">
          {restore.destination_cluster_name} is as it was before: nothing of the restore was kept.
        </Text>
      </Stack>
    </Notice>
  );
}

type TableProgress = Steps['tables'][number];

/** To where the backup is looked into; a restore of a cluster names no database of it. */
function BackupLink({ restore }: { restore: Restore }) {
  const { type, backup_id, backup_end_time, strongroom } = restore;
  const source = strongroom.source_cluster_id;
  // Of a cluster that is hidden there is nothing to look into.
  if (!source || !backup_id || !backup_end_time) return <>hidden from you</>;
  const text = `${dateTime(backup_end_time)} UTC`;
  const to =
    type === 'CLUSTER' ? paths.backups(source, dayOf(backup_end_time)) : paths.databases(source, backup_id);
  return (
    <Anchor component={Link} to={to} size="sm">
      {text}
    </Anchor>
  );
}

/** What people want next: to see what is there now, or to try once more. */
function Afterwards({ restore }: { restore: Restore }) {
  const again = againPath(restore);
  const { state, destination_cluster_id: destination } = restore.strongroom;
  return (
    <>
      {state === 'SUCCEEDED' && destination && (
        <Button component={Link} to={paths.liveDatabases(destination)} variant="default">
          See databases
        </Button>
      )}
      {again && (
        <Button component={Link} to={again} variant="default">
          Restore again
        </Button>
      )}
    </>
  );
}

interface TablesProps {
  progress: Steps;
  /** Nothing of what was loaded is there any more. */
  removed: boolean;
}

function Tables({ progress, removed }: TablesProps) {
  const columns: Column<TableProgress>[] = [
    { header: 'Table', long: true, cell: (table) => `${table.database}.${table.schema}.${table.name}` },
    { header: 'Rows', align: 'end', cell: (table) => count(table.rows_done) },
    {
      header: 'Loaded',
      align: 'end',
      cell: (table) => `${databaseSize(table.bytes_done)} of ${databaseSize(table.bytes_total)}`,
    },
    { header: 'Progress', cell: (table) => <TableBar table={table} removed={removed} /> },
  ];
  return (
    <section aria-labelledby="tables">
      <Group justify="space-between" mb="xs" align="baseline">
        <Title order={2} id="tables">
          {removed ? 'How far it was' : 'Tables'}
        </Title>
        <Text c="dimmed" size="sm" className="numbers">
          {`${count(progress.tables_done)} of ${count(progress.tables_total)} ${removed ? 'loaded, then removed' : 'done'}, ${databaseSize(progress.bytes_done)} of ${databaseSize(progress.bytes_total)}`}
        </Text>
      </Group>
      {progress.notes.length > 0 && (
        <Bullets size="sm" mb="sm" c="dimmed">
          {progress.notes.map((note) => (
            <Bullets.Item key={note}>{sentence(note)}</Bullets.Item>
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

function TableBar({ table, removed }: { table: TableProgress; removed: boolean }) {
  if (removed)
    return <Status tone="idle">{table.state === 'WAITING' ? 'Not loaded' : 'Loaded, then removed'}</Status>;
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
          leave="Keep it"
          sending={cancel}
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
