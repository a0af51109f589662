import { Group } from '@mantine/core';
import { useState } from 'react';
import type { Backup, Cluster, CreateRestore } from '../../api/types';
import { Async } from '../../components/Async';
import { NameField } from '../../components/TextField';
import { dateTime } from '../../format/time';
import { paths } from '../../paths';
import { tableName } from '../backups/BackupTablesPage';
import { backupCrumbs, useBackup } from '../backups/useBackup';
import { useAskedChoices, useDependencyOptions, useDestination } from './fields';
import { RestoreModule } from './RestoreModule';
import { usePlan } from './usePlan';

export function RestoreTablePage() {
  const { cluster, backup, database, schema, table } = useBackup();
  return (
    <Async query={backup} label="the backup">
      {(backup) => (
        <Module source={cluster} backup={backup} database={database} schema={schema} table={table} />
      )}
    </Async>
  );
}

interface ModuleProps {
  source: Cluster;
  backup: Backup;
  database: string;
  schema: string;
  table: string;
}

function Module({ source, backup, database, schema, table }: ModuleProps) {
  const asked = useAskedChoices();
  const { destination, field } = useDestination(source, asked.to);
  const { options, field: dependencies, skip } = useDependencyOptions(asked.skips);
  const [into, setInto] = useState(asked.names.into_db ?? database);
  const [intoSchema, setIntoSchema] = useState(asked.names.into_schema ?? schema);
  const [name, setName] = useState(asked.names.new_table_name ?? table);
  const complete = into !== '' && intoSchema !== '' && name !== '';
  const body: CreateRestore | undefined = complete
    ? {
        type: 'TABLE',
        backup_id: backup.id,
        source_cluster_id: source.id,
        objects: [{ database, schema, table }],
        restore_opts: {
          ...options,
          into_db: into,
          ...(intoSchema !== schema && { into_schema: intoSchema }),
          ...(name !== table && { new_table_name: name }),
        },
      }
    : undefined;
  const planned = usePlan(destination, body);
  const full = `${into}.${intoSchema}.${name}`;
  const taken = planned.plan?.conflicts.some((conflict) => conflict.name === full);
  return (
    <RestoreModule
      title="Restore table"
      crumbs={backupCrumbs(source, backup.as_of_time, [
        { label: `Backup of ${dateTime(backup.as_of_time)}`, to: paths.databases(source.id, backup.id) },
        { label: database, to: paths.tables(source.id, backup.id, database) },
        { label: tableName(schema, table) },
      ])}
      source={source}
      backup={backup}
      planned={planned}
      what={['Table', `${database}.${schema}.${table}`]}
      becomes={['Restore to', full]}
      back={paths.tables(source.id, backup.id, database)}
      ways={{ rename: setName, skip, into }}
      more={dependencies}
    >
      {field}
      <NameField
        label="Restore to"
        description="The destination database. The table goes into it if it exists; otherwise it is created."
        value={into}
        onChange={setInto}
      />
      <Group grow align="flex-start">
        <NameField label="Schema" value={intoSchema} onChange={setIntoSchema} />
        <NameField
          label="Table name"
          description="Another name puts it beside the live one."
          inputWrapperOrder={['label', 'input', 'error', 'description']}
          value={name}
          onChange={setName}
          error={taken && `${name} exists already.`}
        />
      </Group>
    </RestoreModule>
  );
}

export { RestoreTablePage as Component };
