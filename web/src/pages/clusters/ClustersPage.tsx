import { Anchor, Group } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { clustersQuery } from '../../api/clusters';
import { useSession } from '../../api/session';
import type { Cluster } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty } from '../../components/Async';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { useNow } from '../../components/useNow';
import { dateTime, dueIn, fromNow } from '../../format/time';
import { paths } from '../../paths';
import { BackupMark, ClusterState, planName, providerName } from './words';

export function ClustersPage() {
  const clusters = useQuery(clustersQuery);
  const session = useSession();
  const now = useNow();
  const attach = (
    <ActionButton
      action={actionOf(session.data?.actions, ACTIONS.attachCluster)}
      to={paths.attachCluster()}
      leftSection={<IconPlus size={16} aria-hidden />}
    >
      Attach cluster
    </ActionButton>
  );
  const columns: Column<Cluster>[] = [
    {
      header: 'Name',
      nowrap: true,
      cell: (cluster) => (
        <Anchor component={Link} to={paths.cluster(cluster.id)} fw={600} size="sm">
          {cluster.name}
        </Anchor>
      ),
    },
    { header: 'Plan', cell: planName },
    { header: 'Provider', nowrap: true, cell: providerName },
    { header: 'Regions', cell: (cluster) => <Regions of={cluster.strongroom.regions} /> },
    { header: 'State', nowrap: true, cell: (cluster) => <ClusterState cluster={cluster} /> },
    {
      header: 'Last backup',
      cell: (cluster) => (
        <Group gap={8} wrap="wrap">
          <span title={`${dateTime(cluster.strongroom.last_backup_at)} UTC`}>
            {fromNow(cluster.strongroom.last_backup_at, now)}
          </span>
          <BackupMark cluster={cluster} />
        </Group>
      ),
    },
    {
      header: 'Next backup',
      nowrap: true,
      cell: (cluster) => (
        <span title={`${dateTime(cluster.strongroom.next_backup_at)} UTC`}>
          {dueIn(cluster.strongroom.next_backup_at, now)}
        </span>
      ),
    },
  ];
  return (
    <Page title="Clusters" actions={attach}>
      <Async query={clusters} label="the clusters">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No clusters yet" action={attach}>
              Attach a PostgreSQL cluster, and its first full backup begins at once.
            </Empty>
          ) : (
            <List label="Clusters" items={items} columns={columns} itemKey={(cluster) => cluster.id} />
          )
        }
      </Async>
    </Page>
  );
}

function Regions({ of }: { of: string[] }) {
  if (of.length === 0) return '--';
  return (
    <div>
      {of.map((region) => (
        <div key={region}>{region}</div>
      ))}
    </div>
  );
}
