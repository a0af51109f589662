/** Backups that failed, wait or run: when, for how long, why not, and which statement they stand for. */
import { Progress, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ACTIONS } from '../../api/actions';
import { incompleteBackupsQuery, useCancelJob } from '../../api/backups';
import { isOpen } from '../../api/jobs';
import type { Job } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty, ErrorNotice } from '../../components/Async';
import { type Column, List } from '../../components/List';
import { Failure, Status } from '../../components/Status';
import { useNow } from '../../components/useNow';
import { When } from '../../components/When';
import { duration } from '../../format/time';
import { useCluster } from '../clusters/ClusterLayout';

export function IncompleteBackupsTab() {
  const cluster = useCluster();
  const jobs = useQuery(incompleteBackupsQuery(cluster.id));
  const cancel = useCancelJob(cluster.id);
  const now = useNow(1_000);
  const columns: Column<Job>[] = [
    { header: 'Started', cell: (job) => <When at={job.started_at ?? job.created_at} /> },
    { header: 'Duration', cell: (job) => duration(job.started_at, job.finished_at ?? now) },
    { header: 'Status', stack: true, cell: (job) => <BackupStatus job={job} /> },
    {
      header: 'Description',
      long: true,
      stack: true,
      cell: (job) => <span className="mono">{job.description ?? '--'}</span>,
    },
    {
      header: '',
      label: 'Cancel',
      shrink: true,
      cell: (job) =>
        isOpen(job.state) && (
          <ActionButton
            size="xs"
            variant="default"
            action={actionOf(job.actions, ACTIONS.cancel)}
            disabled={job.cancel_requested}
            onClick={() => cancel.mutate(job.id)}
          >
            Cancel
          </ActionButton>
        ),
    },
  ];
  return (
    <Stack gap="md">
      {cancel.isError && <ErrorNotice error={cancel.error} />}
      <Async query={jobs} label="the incomplete backups">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No incomplete backups">Backups that fail, wait or run are listed here.</Empty>
          ) : (
            <List
              label="Incomplete Backups"
              items={items}
              columns={columns}
              itemKey={(job) => job.id}
              room="much"
              utc
            />
          )
        }
      </Async>
    </Stack>
  );
}

function BackupStatus({ job }: { job: Job }) {
  switch (job.state) {
    case 'FAILED':
      return (
        <div style={{ minWidth: 180 }}>
          <Status tone="bad">{job.error_code ?? 'Failed'}</Status>
          <Failure message={job.error_message} hint={job.error_hint} />
        </div>
      );
    case 'CANCELED':
      return <Status tone="idle">Canceled</Status>;
    case 'PENDING':
      return (
        <div>
          <Status tone="busy">Pending</Status>
          {job.error_message && (
            <Failure message={`Attempt ${job.attempts} failed: ${job.error_message}`} hint={job.error_hint} />
          )}
        </div>
      );
    default: {
      const done = Math.round((job.progress?.fraction ?? 0) * 100);
      return (
        <div style={{ minWidth: 140 }}>
          <Status tone="busy" live>
            {job.cancel_requested ? 'Canceling' : `Running, ${done}%`}
          </Status>
          <Progress value={done} size="xs" mt={4} aria-label="Backup progress" />
        </div>
      );
    }
  }
}

export { IncompleteBackupsTab as Component };
