/** Every restore into or from the cluster, live. */
import { Anchor, Progress } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Fragment } from 'react';
import { Link } from 'react-router';
import { isOpen } from '../../api/jobs';
import { restoresQuery, useRestoreEvents } from '../../api/restores';
import type { Restore } from '../../api/types';
import { Async, Empty } from '../../components/Async';
import { type Column, List } from '../../components/List';
import { JobStatus } from '../../components/Status';
import { When } from '../../components/When';
import { paths } from '../../paths';
import { useCluster } from '../clusters/ClusterLayout';
import { fromTo, restoreType, shortId } from '../restore/words';

export function RestoreJobsTab() {
  const cluster = useCluster();
  const restores = useQuery(restoresQuery(cluster.id));
  // Browsers allow few connections to one service: only the newest open restore is followed live here.
  const followed = restores.data?.find((restore) => isOpen(restore.strongroom.state));
  const columns: Column<Restore>[] = [
    {
      header: 'Source > Destination',
      cell: (restore) => fromTo(restore),
    },
    { header: 'Restore type', long: true, stack: true, cell: (restore) => <What restore={restore} /> },
    { header: 'Backup taken on', cell: (restore) => <When at={restore.backup_end_time} /> },
    { header: 'Status', cell: (restore) => <RestoreStatus restore={restore} /> },
    {
      header: 'Restore start',
      cell: (restore) => <When at={restore.strongroom.started_at ?? restore.created_at} />,
    },
    { header: 'Restore end', cell: (restore) => <When at={restore.completed_at} /> },
    {
      header: 'Job ID',
      nowrap: true,
      cell: (restore) => (
        <Anchor
          component={Link}
          to={paths.restoreJob(cluster.id, restore.id)}
          className="mono"
          title={restore.id}
          aria-label={`Restore job ${restore.id}`}
        >
          {shortId(restore.id)}
        </Anchor>
      ),
    },
  ];
  return (
    <>
      {followed && <Follow key={followed.id} cluster={cluster.id} restore={followed.id} />}
      <Async query={restores} label="the restore jobs">
        {(items) =>
          items.length === 0 ? (
            <Empty title="No restore jobs">Choose a backup and restore it: how it goes is shown here.</Empty>
          ) : (
            <List
              label="Restore Jobs"
              items={items}
              columns={columns}
              itemKey={(restore) => restore.id}
              room="much"
              utc
            />
          )
        }
      </Async>
    </>
  );
}

function Follow({ cluster, restore }: { cluster: string; restore: string }) {
  useRestoreEvents(cluster, restore, true);
  return null;
}

/** What becomes of it stays on one line where it can. */
function What({ restore }: { restore: Restore }) {
  const [what, to] = restoreType(restore).split(' → ');
  return (
    <>
      <Dotted>{what}</Dotted>{' '}
      {to !== undefined && (
        <span style={{ display: 'inline-block' }}>
          → <Dotted>{to}</Dotted>
        </span>
      )}
    </>
  );
}

/** A name of several parts, which breaks between them. */
function Dotted({ children }: { children: string | undefined }) {
  return children?.split('.').map((part, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: the place is all that tells two parts of one name apart.
    <Fragment key={index}>
      {index > 0 && (
        <>
          .<wbr />
        </>
      )}
      {part}
    </Fragment>
  ));
}

function RestoreStatus({ restore }: { restore: Restore }) {
  const { state, cancel_requested } = restore.strongroom;
  return (
    <div style={{ minWidth: 90 }}>
      <JobStatus state={state} stopping={cancel_requested} />
      {state === 'RUNNING' && (
        <Progress value={restore.completion_percent * 100} size="xs" mt={4} aria-label="Restore progress" />
      )}
    </div>
  );
}

export { RestoreJobsTab as Component };
