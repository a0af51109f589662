/** What all pages of a cluster share: the cluster itself, and the word that it is unavailable while a restore runs. */
import { Alert, Anchor } from '@mantine/core';
import { IconRestore } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, Outlet, useOutletContext, useParams } from 'react-router';
import { clusterQuery } from '../../api/clusters';
import type { Cluster } from '../../api/types';
import { Async } from '../../components/Async';
import { paths } from '../../paths';

export function ClusterLayout() {
  const { clusterId = '' } = useParams();
  const cluster = useQuery(clusterQuery(clusterId));
  return (
    <Async query={cluster} label="the cluster">
      {(cluster) => (
        <>
          {cluster.strongroom.unavailable && (
            <Unavailable cluster={cluster} reason={cluster.strongroom.unavailable} />
          )}
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
    <Alert
      role="status"
      mb="lg"
      variant="outline"
      color="yellow"
      title={`${cluster.name} is unavailable`}
      icon={<IconRestore size={18} aria-hidden />}
      styles={{ root: { background: 'var(--mantine-color-body)' }, title: { color: 'var(--warn-text)' } }}
    >
      {reason}{' '}
      <Anchor component={Link} to={paths.restoreJobs(cluster.id)} size="sm" underline="always">
        See Restore Jobs
      </Anchor>
    </Alert>
  );
}

export { ClusterLayout as Component };
