/**
 * What all pages of a cluster share: the cluster itself, and the word that it is unavailable while a restore runs, or
 * that it is detached.
 */
import { Anchor } from '@mantine/core';
import { IconPlugOff, IconRestore } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, Outlet, useOutletContext, useParams } from 'react-router';
import { ApiError } from '../../api/client';
import { clusterQuery } from '../../api/clusters';
import type { Cluster } from '../../api/types';
import { Async } from '../../components/Async';
import { Notice } from '../../components/Notice';
import { sentence } from '../../format/words';
import { paths } from '../../paths';
import { MissingPage } from '../NotFoundPage';
import { isDetached } from './words';

export function ClusterLayout() {
  const { clusterId = '' } = useParams();
  const cluster = useQuery(clusterQuery(clusterId));
  if (!cluster.data && cluster.error instanceof ApiError && cluster.error.status === 404) {
    return (
      <MissingPage title="Cluster not found" error={cluster.error}>
        <Anchor component={Link} to={paths.clusters()}>
          Go to the clusters
        </Anchor>
      </MissingPage>
    );
  }
  return (
    <Async query={cluster} label="the cluster">
      {(cluster) => (
        <>
          {cluster.strongroom.unavailable && (
            <Unavailable cluster={cluster} reason={cluster.strongroom.unavailable} />
          )}
          {isDetached(cluster) && <Detached cluster={cluster} />}
          <Outlet context={cluster} />
        </>
      )}
    </Async>
  );
}

/** The cluster of the page; only below `ClusterLayout`. */
export const useCluster = () => useOutletContext<Cluster>();

function Unavailable({ cluster, reason }: { cluster: Cluster; reason: string }) {
  return (
    <Notice mb="lg" title={`${cluster.name} is unavailable`} icon={<IconRestore size={18} aria-hidden />}>
      {sentence(reason)}{' '}
      <Anchor component={Link} to={paths.restoreJobs(cluster.id)} size="sm" underline="always">
        See Restore Jobs
      </Anchor>
    </Notice>
  );
}

function Detached({ cluster }: { cluster: Cluster }) {
  return (
    <Notice
      mb="lg"
      tone="idle"
      role="note"
      title={`${cluster.name} is detached`}
      icon={<IconPlugOff size={18} aria-hidden />}
    >
      No more backups of it are taken. Those that exist are kept until they expire, and can be restored into
      another cluster.
    </Notice>
  );
}

export { ClusterLayout as Component };
