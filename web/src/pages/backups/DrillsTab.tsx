/** Restores that were tried, so that nobody has to find out on the day. */
import { List as Bullets, Group, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ACTIONS } from '../../api/actions';
import { drillsQuery, useStartDrill } from '../../api/backups';
import { isOpen } from '../../api/jobs';
import type { Drill } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty, ErrorNotice } from '../../components/Async';
import { type Column, List } from '../../components/List';
import { Failure, JobStatus } from '../../components/Status';
import { useNow } from '../../components/useNow';
import { When } from '../../components/When';
import { count } from '../../format/size';
import { duration } from '../../format/time';
import { useCluster } from '../clusters/ClusterLayout';

export function DrillsTab() {
  const cluster = useCluster();
  const drills = useQuery(drillsQuery(cluster.id));
  const start = useStartDrill(cluster.id);
  const now = useNow(5_000);
  const button = (
    <ActionButton
      variant="default"
      action={actionOf(cluster.strongroom.actions, ACTIONS.startDrill)}
      loading={start.isPending}
      onClick={() => start.mutate(undefined)}
    >
      Start a drill
    </ActionButton>
  );
  const columns: Column<Drill>[] = [
    { header: 'Started', cell: (drill) => <When at={drill.started_at ?? drill.created_at} /> },
    { header: 'Backup taken on', cell: (drill) => <When at={drill.backup_as_of_time} /> },
    { header: 'Duration', cell: (drill) => duration(drill.started_at, drill.finished_at ?? now) },
    { header: 'Result', stack: true, cell: (drill) => <Result drill={drill} /> },
    { header: 'Tables', align: 'end', cell: (drill) => count(drill.tables_checked) },
    { header: 'Rows', align: 'end', cell: (drill) => count(drill.rows_checked) },
  ];
  return (
    <Stack gap="md">
      <Group justify="space-between" gap="sm">
        <Text c="dimmed" size="sm" maw={640}>
          A drill restores a backup into a throwaway server and compares every table with what the backup says
          of itself. Your clusters are not touched.
        </Text>
        {button}
      </Group>
      {start.isError && <ErrorNotice title="No drill was begun" error={start.error} />}
      <Async query={drills} label="the drills">
        {(items) =>
          items.length === 0 ? (
            <Empty title="No drills yet">
              {cluster.strongroom.managed_backups.available
                ? 'A backup that was never restored is a hope. Try one, or let Settings do it regularly.'
                : 'There are no managed backups to try.'}
            </Empty>
          ) : (
            <List label="Drills" items={items} columns={columns} itemKey={(drill) => drill.id} utc />
          )
        }
      </Async>
    </Stack>
  );
}

function Result({ drill }: { drill: Drill }) {
  return (
    <div>
      <JobStatus state={drill.state} />
      {!isOpen(drill.state) && drill.error_message && (
        <Failure code={drill.error_code} message={drill.error_message} hint={drill.error_hint} />
      )}
      {drill.differences.length > 0 && (
        <Bullets size="sm">
          {drill.differences.map((difference) => (
            <Bullets.Item key={difference}>{difference}</Bullets.Item>
          ))}
        </Bullets>
      )}
    </div>
  );
}

export { DrillsTab as Component };
