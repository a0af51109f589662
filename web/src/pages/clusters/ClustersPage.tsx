import { Anchor, Group, Stack, Switch } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Link, useSearchParams } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { allClustersQuery, clustersQuery } from '../../api/clusters';
import { useSession } from '../../api/session';
import type { Cluster } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty } from '../../components/Async';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { useNow } from '../../components/useNow';
import { dateTime, dueIn, fromNow } from '../../format/time';
import { paths } from '../../paths';
import { BackupMark, ClusterState, isDetached, planName, providerName } from './words';

/** In the address: whether those are listed, too, that are no longer backed up. */
const DETACHED = 'detached';

export function ClustersPage() {
  const [search, setSearch] = useSearchParams();
  const withDetached = search.has(DETACHED);
  const clusters = useQuery(withDetached ? allClustersQuery : clustersQuery);
  const session = useSession();
  const now = useNow();
  const mayAttach = actionOf(session.data?.actions, ACTIONS.attachCluster);
  const attach = (
    <ActionButton
      action={mayAttach}
      to={paths.attachCluster()}
      leftSection={<IconPlus size={16} aria-hidden />}
    >
      Attach cluster
    </ActionButton>
  );
  const columns: Column<Cluster>[] = [
    {
      header: 'Name',
      long: true,
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
          {isDetached(cluster) ? '--' : dueIn(cluster.strongroom.next_backup_at, now)}
        </span>
      ),
    },
  ];
  return (
    <Page title="Clusters" actions={attach}>
      <Stack gap="md">
        <Async query={clusters} label="the clusters">
          {({ items }) =>
            items.length === 0 ? (
              <NoClusters attach={mayAttach.allowed && attach} />
            ) : (
              <List
                label="Clusters"
                items={items}
                columns={columns}
                itemKey={(cluster) => cluster.id}
                room="much"
              />
            )
          }
        </Async>
        <Switch
          label="Show detached clusters"
          description="Their backups are kept until they expire."
          checked={withDetached}
          onChange={(event) =>
            setSearch(event.currentTarget.checked ? { [DETACHED]: 'shown' } : {}, { replace: true })
          }
        />
      </Stack>
    </Page>
  );
}

/** Whoever may attach one is the first here; to everybody else, the clusters are only not shown. */
function NoClusters({ attach }: { attach: ReactNode }) {
  if (attach) {
    return (
      <Empty title="No clusters yet" action={attach}>
        Attach a PostgreSQL cluster, and its first full backup begins at once.
      </Empty>
    );
  }
  return <Empty title="You see no clusters">An Org Administrator can give you a role on one.</Empty>;
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
