/** The first rows of a table in a backup, read from the storage alone: no server is asked. */
import { Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ACTIONS } from '../../api/actions';
import { rowsQuery } from '../../api/backups';
import type { BackupRows } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty } from '../../components/Async';
import { Page } from '../../components/Page';
import { count } from '../../format/size';
import { dateTime } from '../../format/time';
import { sentence } from '../../format/words';
import { paths } from '../../paths';
import { tableName } from './BackupTablesPage';
import { backupCrumbs, useBackup } from './useBackup';

export function RowsPage() {
  const { cluster, backupId, backup, database, schema, table } = useBackup();
  const rows = useQuery(rowsQuery(cluster.id, backupId, database, schema, table));
  const asOf = backup.data?.as_of_time;
  const name = tableName(schema, table);
  return (
    <Page
      title={name}
      tab={`Rows of ${name}`}
      crumbs={backupCrumbs(cluster, asOf, [
        { label: `Backup of ${dateTime(asOf)}`, to: paths.databases(cluster.id, backupId) },
        { label: database, to: paths.tables(cluster.id, backupId, database) },
        { label: name },
      ])}
      lead={`The first rows, as they were on ${dateTime(asOf)} UTC.`}
      actions={
        <ActionButton
          variant="default"
          action={actionOf(backup.data?.strongroom.actions, ACTIONS.restore)}
          to={paths.restoreTable(cluster.id, backupId, database, schema, table)}
        >
          Restore
        </ActionButton>
      }
    >
      <Async query={rows} label="the rows">
        {(rows) =>
          rows.rows.length === 0 ? (
            <Empty title="No rows">The table was empty.</Empty>
          ) : (
            <Grid rows={rows} label={`First rows of ${name}`} />
          )
        }
      </Async>
    </Page>
  );
}

/** Rows have no keys that we know of: their place is their name. */
function Grid({ rows, label }: { rows: BackupRows; label: string }) {
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard. */}
      <section className="panel grid-scroll" aria-label={label} tabIndex={0}>
        <table className="grid">
          <thead>
            <tr>
              {rows.columns.map((column) => (
                <th key={column.name} scope="col" title={column.type}>
                  {column.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.rows.map((row, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: see above.
              <tr key={index}>
                {row.map((value, column) => (
                  <td key={rows.columns[column]?.name} title={value ?? undefined}>
                    {value === null ? <span className="null">NULL</span> : value}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <Text c="dimmed" size="sm">
        {rows.truncated
          ? `The first ${count(rows.rows.length)} of ${count(rows.rows_in_all)} rows. Restore the table to see all.`
          : 'These are all rows.'}{' '}
        {rows.notes.map(sentence).join(' ')}
      </Text>
    </>
  );
}

export { RowsPage as Component };
