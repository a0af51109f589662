import { Anchor, Group, Paper, Stack, Text, Title } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { storageHistoryQuery } from '../../api/backups';
import { connectionStringQuery, useDetachCluster } from '../../api/clusters';
import { storageLocationsQuery } from '../../api/organization';
import type { Cluster } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Chart } from '../../components/Chart';
import { Confirm } from '../../components/Confirm';
import { Code } from '../../components/Copy';
import { Facts } from '../../components/Facts';
import { Page } from '../../components/Page';
import { Panel } from '../../components/Panel';
import { useNow } from '../../components/useNow';
import { databaseSize, toNumber } from '../../format/size';
import { dateTime, dueIn, fromNow } from '../../format/time';
import { sentence } from '../../format/words';
import { paths } from '../../paths';
import { useCluster } from './ClusterLayout';
import { clusterCrumbs } from './crumbs';
import { BackupMark, ClusterState, engineName, isDetached, planName, providerName } from './words';

export function ClusterPage() {
  const cluster = useCluster();
  const now = useNow();
  const locations = useQuery({ ...storageLocationsQuery, retry: false });
  const location = locations.data?.items.find((one) => one.id === cluster.strongroom.storage_location_id);
  const { strongroom } = cluster;
  return (
    <Page
      title={cluster.name}
      crumbs={clusterCrumbs(cluster)}
      lead={
        <Group gap="md">
          <ClusterState cluster={cluster} />
          <BackupMark cluster={cluster} />
        </Group>
      }
    >
      <Stack gap="md">
        <Panel title="Cluster">
          <Facts
            of={[
              ['Engine', engineName(cluster)],
              ['Plan', planName(cluster)],
              ['Provider', providerName(cluster)],
              ['Regions', <Regions key="regions" cluster={cluster} />],
              ['Attached', `${dateTime(cluster.created_at)} UTC`],
              [
                'Cluster ID',
                <span key="id" className="mono">
                  {cluster.id}
                </span>,
              ],
            ]}
          />
        </Panel>
        <Panel title="Managed backups">
          {strongroom.managed_backups.available ? (
            <Facts
              of={[
                [
                  'Last backup',
                  strongroom.last_backup_at
                    ? `${dateTime(strongroom.last_backup_at)} UTC (${fromNow(strongroom.last_backup_at, now)})`
                    : 'None yet',
                ],
                [
                  'Next backup',
                  strongroom.next_backup_at
                    ? `${dateTime(strongroom.next_backup_at)} UTC (${dueIn(strongroom.next_backup_at, now)})`
                    : 'None is scheduled',
                ],
                // Not everybody may know the locations.
                location && ['Stored in', `${location.name} (${location.region})`],
                [
                  'More',
                  <Anchor key="more" component={Link} to={paths.backups(cluster.id)} size="sm">
                    Backups
                  </Anchor>,
                ],
              ]}
            />
          ) : (
            <Text size="sm">{sentence(strongroom.managed_backups.reason ?? 'They are not available')}</Text>
          )}
        </Panel>
        <Storage cluster={cluster} />
        <Connection cluster={cluster} />
        {!isDetached(cluster) && <Detach cluster={cluster} />}
      </Stack>
    </Page>
  );
}

function Regions({ cluster }: { cluster: Cluster }) {
  const { regions, primary_region } = cluster.strongroom;
  if (regions.length === 0) return '--';
  return regions
    .map((region) => (region === primary_region && regions.length > 1 ? `${region} (primary)` : region))
    .join(', ');
}

function Storage({ cluster }: { cluster: Cluster }) {
  const history = useQuery(storageHistoryQuery(cluster.id));
  const points = history.data?.points ?? [];
  // One point is no history yet.
  if (points.length < 2) return null;
  return (
    <Panel title="Storage over time" lead="What all backups of this cluster take in its storage location.">
      <Chart
        label="Stored"
        points={points.map((point) => ({ at: point.at, value: toNumber(point.stored_bytes) }))}
        say={databaseSize}
      />
    </Panel>
  );
}

function Connection({ cluster }: { cluster: Cluster }) {
  const connection = useQuery(connectionStringQuery(cluster.id));
  const text = connection.data?.connection_string ?? cluster.strongroom.connection_url;
  if (!text) return null;
  return (
    <Panel title="Connection" lead="How SQL clients reach this cluster. The password is not shown.">
      <Code what="connection string">{text}</Code>
    </Panel>
  );
}

function Detach({ cluster }: { cluster: Cluster }) {
  const [asked, setAsked] = useState(false);
  const navigate = useNavigate();
  const detach = useDetachCluster(cluster.id, () => {
    notifications.show({ message: `${cluster.name} was detached.` });
    void navigate(paths.clusters());
  });
  return (
    <Paper className="panel" p="lg">
      <Group justify="space-between" gap="md">
        <div style={{ flex: '1 1 320px' }}>
          <Title order={2} mb={4}>
            Detach this cluster
          </Title>
          <Text c="dimmed" size="sm">
            Strongroom stops backing it up. The cluster itself is not touched, and its backups stay until they
            expire: Clusters lists it among the detached ones.
          </Text>
        </div>
        <ActionButton
          variant="default"
          action={actionOf(cluster.strongroom.actions, ACTIONS.detachCluster)}
          onClick={() => setAsked(true)}
        >
          Detach
        </ActionButton>
      </Group>
      {asked && (
        <Confirm
          title={`Detach ${cluster.name}`}
          verb="Detach"
          danger
          typed={cluster.name}
          sending={detach}
          onClose={() => setAsked(false)}
          onConfirm={() => detach.mutate()}
        >
          <Text size="sm">
            No backups of this cluster will be taken any more. Its database server keeps running.
          </Text>
        </Confirm>
      )}
    </Paper>
  );
}

export { ClusterPage as Component };
