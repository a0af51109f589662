import { useState } from 'react';
import type { Backup, Cluster, CreateRestore } from '../../api/types';
import { Async } from '../../components/Async';
import { NameField } from '../../components/TextField';
import { dateTime } from '../../format/time';
import { paths } from '../../paths';
import { backupCrumbs, useBackup } from '../backups/useBackup';
import { useAskedChoices, useDependencyOptions, useDestination } from './fields';
import { RestoreModule } from './RestoreModule';
import { usePlan } from './usePlan';

export function RestoreDatabasePage() {
  const { cluster, backup, database } = useBackup();
  return (
    <Async query={backup} label="the backup">
      {(backup) => <Module source={cluster} backup={backup} database={database} />}
    </Async>
  );
}

function Module({ source, backup, database }: { source: Cluster; backup: Backup; database: string }) {
  const asked = useAskedChoices();
  const { destination, field } = useDestination(source, asked.to);
  const { options, field: dependencies, skip } = useDependencyOptions(asked.skips);
  const [name, setName] = useState(asked.names.new_db_name ?? database);
  const body: CreateRestore | undefined =
    name === ''
      ? undefined
      : {
          type: 'DATABASE',
          backup_id: backup.id,
          source_cluster_id: source.id,
          objects: [{ database }],
          restore_opts: { ...options, ...(name !== database && { new_db_name: name }) },
        };
  const planned = usePlan(destination, body);
  const taken = planned.plan?.conflicts.some((one) => one.kind === 'database' && one.name === name);
  return (
    <RestoreModule
      title="Restore database"
      crumbs={backupCrumbs(source, backup.as_of_time, [
        { label: `Backup of ${dateTime(backup.as_of_time)}`, to: paths.databases(source.id, backup.id) },
        { label: database },
      ])}
      source={source}
      backup={backup}
      planned={planned}
      what={['Database', database]}
      becomes={['Restore to', name]}
      back={paths.databases(source.id, backup.id)}
      ways={{ rename: setName, skip }}
      more={dependencies}
    >
      {field}
      <NameField
        label="Restore to"
        description="The name of the destination database. It must not be in use; a new database is created."
        value={name}
        onChange={setName}
        error={taken && `${name} exists already.`}
      />
    </RestoreModule>
  );
}

export { RestoreDatabasePage as Component };
