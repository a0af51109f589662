/** What the API calls things, in the words that people see. */
import { Tooltip } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import type { Cluster } from '../../api/types';
import { Status } from '../../components/Status';

const PLANS = {
  SERVERLESS: 'Serverless',
  DEDICATED: 'Dedicated',
  BASIC: 'Basic',
  STANDARD: 'Standard',
  ADVANCED: 'Advanced',
} as const;

const PROVIDERS = { GCP: 'GCP', AWS: 'AWS', AZURE: 'Azure', SELF_HOSTED: 'Self-hosted' } as const;

export const planName = (cluster: Cluster): string =>
  PLANS[cluster.strongroom.plan] ?? cluster.strongroom.plan;

export const providerName = (cluster: Cluster): string =>
  PROVIDERS[cluster.strongroom.provider] ?? cluster.strongroom.provider;

/** Which of the two lists of backups a cluster has: the dedicated one tells type, size and databases. */
export const isDedicated = (cluster: Cluster): boolean =>
  cluster.strongroom.plan === 'DEDICATED' || cluster.strongroom.plan === 'ADVANCED';

/** No longer backed up; its backups are kept until they expire. */
export const isDetached = (cluster: Cluster): boolean => cluster.state === 'DELETED';

const engines: Record<string, string> = { postgres: 'PostgreSQL', cockroachdb: 'CockroachDB' };

export const engineName = (cluster: Cluster): string => {
  const engine = engines[cluster.strongroom.engine.toLowerCase()] ?? cluster.strongroom.engine;
  return cluster.strongroom.server_version ? `${engine} ${cluster.strongroom.server_version}` : engine;
};

export function ClusterState({ cluster }: { cluster: Cluster }) {
  if (cluster.strongroom.unavailable) {
    return (
      <Status tone="busy" live>
        Restoring
      </Status>
    );
  }
  switch (cluster.state) {
    case 'CREATED':
      return <Status tone="ok">Available</Status>;
    case 'CREATING':
      return (
        <Status tone="busy" live>
          Creating
        </Status>
      );
    case 'CREATION_FAILED':
      return <Status tone="bad">Creation failed</Status>;
    case 'LOCKED':
      return <Status tone="bad">Locked</Status>;
    case 'DELETED':
      return <Status tone="idle">Detached</Status>;
    default:
      return <Status tone="idle">{cluster.state}</Status>;
  }
}

/** A mark on clusters whose last backup was missed or failed. */
export function BackupMark({ cluster }: { cluster: Cluster }) {
  const { missed, last_backup_failed } = cluster.strongroom;
  if (!missed && !last_backup_failed) return null;
  const label = missed ? 'Backup missed' : 'Last backup failed';
  const more = missed
    ? 'A backup was due and has not been taken. Look at Incomplete Backups.'
    : 'The newest attempt failed. Look at Incomplete Backups.';
  return (
    <Tooltip label={more}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: its explanation has to be reachable by keyboard. */}
      <span className="tag" data-tone={missed ? 'bad' : 'warn'} tabIndex={0}>
        <IconAlertTriangle size={13} aria-hidden />
        {label}
      </span>
    </Tooltip>
  );
}
