import { Text } from '@mantine/core';
import type { Backup, Cluster } from '../../api/types';
import { Async } from '../../components/Async';
import { dateTime, dayOf } from '../../format/time';
import { paths } from '../../paths';
import { backupCrumbs, useBackup } from '../backups/useBackup';
import { useAskedChoices, useDestination } from './fields';
import { RestoreModule } from './RestoreModule';
import { usePlan } from './usePlan';

export function RestoreClusterPage() {
  const { cluster, backup } = useBackup();
  return (
    <Async query={backup} label="the backup">
      {(backup) => <Module source={cluster} backup={backup} />}
    </Async>
  );
}

function Module({ source, backup }: { source: Cluster; backup: Backup }) {
  const { destination, field } = useDestination(source, useAskedChoices().to);
  const planned = usePlan(destination, {
    type: 'CLUSTER',
    backup_id: backup.id,
    source_cluster_id: source.id,
  });
  return (
    <RestoreModule
      title="Restore cluster"
      crumbs={backupCrumbs(source, backup.as_of_time, [
        { label: `Backup of ${dateTime(backup.as_of_time)}` },
      ])}
      source={source}
      backup={backup}
      planned={planned}
      what={['Databases', backup.strongroom.databases]}
      back={paths.backups(source.id, dayOf(backup.as_of_time))}
      danger={(destination) => (
        <Text size="sm">
          The restore erases all data in {destination.name}, and replaces it with the data of the backup of{' '}
          {dateTime(backup.as_of_time)} UTC. The cluster is unavailable until it ends.
        </Text>
      )}
    >
      {field}
    </RestoreModule>
  );
}

export { RestoreClusterPage as Component };
