import { useQuery } from '@tanstack/react-query';
import { useParams } from 'react-router';
import { backupQuery } from '../../api/backups';
import type { Cluster } from '../../api/types';
import type { Crumb } from '../../components/Page';
import { dateTime, dayOf } from '../../format/time';
import { paths } from '../../paths';
import { useCluster } from '../clusters/ClusterLayout';
import { clusterCrumbs } from '../clusters/crumbs';

/** The backup that the address names, and the way to it. */
export function useBackup() {
  const cluster = useCluster();
  const { backupId = '', database = '', schema = '', table = '' } = useParams();
  const backup = useQuery(backupQuery(cluster.id, backupId));
  return { cluster, backupId, database, schema, table, backup };
}

/** `Clusters / shop / Backups / Backup of April 20, 2023 at 8:00:00 PM / ...` */
export function backupCrumbs(cluster: Cluster, asOf: string | undefined, rest: Crumb[]): Crumb[] {
  return clusterCrumbs(cluster, [
    { label: 'Backups', to: paths.backups(cluster.id, asOf && dayOf(asOf)) },
    ...(rest.length > 0 ? rest : [{ label: dateTime(asOf) }]),
  ]);
}
