import { TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Backup, Cluster, CreateRestore } from '../../api/types';
import { Async } from '../../components/Async';
import { dateTime } from '../../format/time';
import { paths } from '../../paths';
import { backupCrumbs, useBackup } from '../backups/useBackup';
import { useDependencyOptions, useDestination } from './fields';
import { RestoreModule } from './RestoreModule';

export function RestoreDatabasePage() {
  const { cluster, backup, database } = useBackup();
  return (
    <Async query={backup} label="the backup">
      {(backup) => <Module source={cluster} backup={backup} database={database} />}
    </Async>
  );
}

function Module({ source, backup, database }: { source: Cluster; backup: Backup; database: string }) {
  const { destination, field } = useDestination(source);
  const { options, field: dependencies } = useDependencyOptions();
  const [name, setName] = useState(database);
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
  return (
    <RestoreModule
      title="Restore database"
      crumbs={backupCrumbs(source, backup.as_of_time, [
        { label: `Backup of ${dateTime(backup.as_of_time)}`, to: paths.databases(source.id, backup.id) },
        { label: database },
      ])}
      source={source}
      backup={backup}
      destination={destination}
      body={body}
      what={['Database', database]}
      becomes={['Restore to', name]}
      back={paths.databases(source.id, backup.id)}
    >
      {field}
      <TextInput
        label="Restore to"
        description="The name of the destination database. It must not be in use; a new database is created."
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        autoComplete="off"
        spellCheck={false}
        error={name === '' ? 'A name is needed.' : undefined}
      />
      {dependencies}
    </RestoreModule>
  );
}

export { RestoreDatabasePage as Component };
