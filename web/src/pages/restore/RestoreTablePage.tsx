import { Group, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Backup, Cluster, CreateRestore } from '../../api/types';
import { Async } from '../../components/Async';
import { dateTime } from '../../format/time';
import { paths } from '../../paths';
import { tableName } from '../backups/BackupTablesPage';
import { backupCrumbs, useBackup } from '../backups/useBackup';
import { useDependencyOptions, useDestination } from './fields';
import { RestoreModule } from './RestoreModule';

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
  const { destination, field } = useDestination(source);
  const { options, field: dependencies } = useDependencyOptions();
  const [into, setInto] = useState(database);
  const [intoSchema, setIntoSchema] = useState(schema);
  const [name, setName] = useState(table);
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
      destination={destination}
      body={body}
      what={['Table', `${database}.${schema}.${table}`]}
      becomes={['Restore to', `${into}.${intoSchema}.${name}`]}
      back={paths.tables(source.id, backup.id, database)}
    >
      {field}
      <TextInput
        label="Restore to"
        description="The destination database. The table goes into it if it exists; otherwise it is created."
        value={into}
        onChange={(event) => setInto(event.currentTarget.value)}
        autoComplete="off"
        spellCheck={false}
        error={into === '' ? 'A name is needed.' : undefined}
      />
      <Group grow align="flex-start">
        <TextInput
          label="Schema"
          value={intoSchema}
          onChange={(event) => setIntoSchema(event.currentTarget.value)}
          autoComplete="off"
          spellCheck={false}
          error={intoSchema === '' ? 'A name is needed.' : undefined}
        />
        <TextInput
          label="Table name"
          description="Another name puts it beside the live one."
          inputWrapperOrder={['label', 'input', 'description', 'error']}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          autoComplete="off"
          spellCheck={false}
          error={name === '' ? 'A name is needed.' : undefined}
        />
      </Group>
      {dependencies}
    </RestoreModule>
  );
}

export { RestoreTablePage as Component };
