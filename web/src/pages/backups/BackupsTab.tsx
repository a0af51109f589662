/**
 * The backups of one day. A dedicated cluster's list tells type, size and databases; a serverless one's whether a
 * backup is still in progress. Which day is part of the address.
 */
import { Anchor, Group, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link, useSearchParams } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { backupConfigQuery, backupDaysQuery, backupsQuery, openBackupsQuery } from '../../api/backups';
import type { Backup, Cluster, Job } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, Empty } from '../../components/Async';
import { DayPicker, monthsAround } from '../../components/DayPicker';
import { type Column, List } from '../../components/List';
import { Status } from '../../components/Status';
import { useNow } from '../../components/useNow';
import { When } from '../../components/When';
import { backupSize, count, counted } from '../../format/size';
import { type Day, dateTime, dayOf, expiresIn, isDay, shortDay } from '../../format/time';
import { paths } from '../../paths';
import { useCluster } from '../clusters/ClusterLayout';
import { isDedicated, isDetached } from '../clusters/words';
import { BackupMenu } from './BackupMenu';
import { sayCadence } from './cadence';

/** A row: a backup, or a job that is about to become one. */
type Row = { backup: Backup; job?: undefined } | { job: Job; backup?: undefined };

export function BackupsTab() {
  const cluster = useCluster();
  const now = useNow();
  const today = dayOf(now);
  const [search, setSearch] = useSearchParams();
  const asked = search.get('date');
  const day = isDay(asked) && asked <= today ? asked : today;
  const setDay = (chosen: Day) => setSearch(chosen === today ? {} : { date: chosen });

  const dedicated = isDedicated(cluster);
  const [month, setMonth] = useState<Day>();
  const shown = monthsAround(month ?? day);
  const days = useQuery(backupDaysQuery(cluster.id, shown.from, shown.until));
  const marks = new Map(days.data?.days.map((one) => [one.date, one]));
  const backups = useQuery(backupsQuery(cluster.id, day, day === today));
  const open = useQuery({ ...openBackupsQuery(cluster.id), enabled: day === today });
  const rows = (items: Backup[]): Row[] => [
    ...(!dedicated && day === today ? (open.data ?? []).map((job) => ({ job })) : []),
    ...items.map((backup) => ({ backup })),
  ];
  return (
    <Stack gap="md">
      <Group justify="space-between" align="flex-end" gap="sm">
        <div>
          <Title order={2}>{dedicated ? 'Past backups by day' : 'Backup Recovery'}</Title>
          <HowOften cluster={cluster} />
        </div>
        <DayPicker
          day={day}
          today={today}
          markOf={(one) => marks.get(one)}
          onMonth={setMonth}
          onChange={(chosen) => {
            setMonth(undefined);
            setDay(chosen);
          }}
        />
      </Group>
      {dedicated && day === today && <OpenBackups cluster={cluster} jobs={open.data ?? []} />}
      <FailedBackups cluster={cluster} failed={marks.get(day)?.failed ?? 0} />
      <Async query={backups} label="the backups">
        {({ items, more }) => {
          const all = rows(items);
          if (all.length === 0) return <NoBackups day={day} today={today} cluster={cluster} />;
          return (
            <>
              <List
                label={`Backups of ${shortDay(day)}`}
                items={all}
                columns={dedicated ? dedicatedColumns(cluster, now) : serverlessColumns(cluster, now)}
                itemKey={(row) => row.backup?.id ?? row.job?.id ?? ''}
                room={dedicated ? 'some' : 'little'}
              />
              {more && (
                <Text c="dimmed" size="sm">
                  The newest {count(items.length)} backups of the day are shown.
                </Text>
              )}
            </>
          );
        }}
      </Async>
    </Stack>
  );
}

function dedicatedColumns(cluster: Cluster, now: Date): Column<Row>[] {
  return [
    { header: 'Data From (UTC)', cell: (row) => <When at={row.backup?.as_of_time} /> },
    {
      header: 'Type',
      cell: (row) => (row.backup?.strongroom.type === 'INCREMENTAL' ? 'Incremental' : 'Full'),
    },
    { header: 'Size', align: 'end', cell: (row) => backupSize(row.backup?.strongroom.size_bytes) },
    { header: 'Expires In', align: 'end', cell: (row) => expiresIn(row.backup?.strongroom.expires_at, now) },
    {
      header: 'Databases',
      align: 'end',
      cell: ({ backup }) => backup && <Databases cluster={cluster} backup={backup} />,
    },
    {
      header: '',
      label: 'Restore',
      shrink: true,
      align: 'end',
      cell: ({ backup }) => backup && <Actions cluster={cluster} backup={backup} />,
    },
  ];
}

function serverlessColumns(cluster: Cluster, now: Date): Column<Row>[] {
  return [
    {
      header: 'Data From (UTC)',
      cell: ({ backup, job }) => (
        <When at={backup ? backup.as_of_time : (job?.started_at ?? job?.created_at)} />
      ),
    },
    {
      header: 'Status',
      cell: ({ backup }) =>
        backup ? (
          <Status tone="ok">Complete</Status>
        ) : (
          <Status tone="busy" live>
            In Progress
          </Status>
        ),
    },
    {
      header: 'Expires In',
      align: 'end',
      cell: ({ backup }) => expiresIn(backup?.strongroom.expires_at, now),
    },
    {
      header: '',
      label: 'Restore',
      shrink: true,
      align: 'end',
      cell: ({ backup }) =>
        backup ? (
          <Actions cluster={cluster} backup={backup} />
        ) : (
          <span style={{ paddingInlineEnd: 44 }}>--</span>
        ),
    },
  ];
}

/** How many databases; a way to them for those who may look inside. */
function Databases({ cluster, backup }: { cluster: Cluster; backup: Backup }) {
  const { databases, actions } = backup.strongroom;
  if (!actionOf(actions, ACTIONS.seeContents).allowed) return databases;
  return (
    <Anchor
      component={Link}
      to={paths.databases(cluster.id, backup.id)}
      size="sm"
      aria-label={`${databases} databases in the backup of ${dateTime(backup.as_of_time)}`}
    >
      {databases}
    </Anchor>
  );
}

function Actions({ cluster, backup }: { cluster: Cluster; backup: Backup }) {
  return (
    <Group gap={4} wrap="nowrap" justify="flex-end">
      <ActionButton
        size="xs"
        variant="default"
        action={actionOf(backup.strongroom.actions, ACTIONS.restore)}
        to={paths.restoreCluster(cluster.id, backup.id)}
        aria-label={`Restore the backup of ${dateTime(backup.as_of_time)}`}
      >
        Restore
      </ActionButton>
      <BackupMenu cluster={cluster} backup={backup} />
    </Group>
  );
}

/** `Backups are run hourly.`, or however often the settings say. */
function HowOften({ cluster }: { cluster: Cluster }) {
  const config = useQuery(backupConfigQuery(cluster.id)).data;
  if (!config || isDetached(cluster) || !cluster.strongroom.managed_backups.available) return null;
  return (
    <Text c="dimmed" size="sm">
      {config.enabled ? sayCadence(cluster, config) : 'Scheduled backups are switched off.'}
    </Text>
  );
}

function OpenBackups({ cluster, jobs }: { cluster: Cluster; jobs: Job[] }) {
  if (jobs.length === 0) return null;
  return (
    <Text role="status" size="sm">
      <Status tone="busy" live>
        A backup is in progress.
      </Status>{' '}
      <Anchor component={Link} to={paths.incompleteBackups(cluster.id)} size="sm" underline="always">
        See Incomplete Backups
      </Anchor>
    </Text>
  );
}

/** What failed on the day is not in the list, and without a word the day would look complete. */
function FailedBackups({ cluster, failed }: { cluster: Cluster; failed: number }) {
  if (failed === 0) return null;
  return (
    <Text role="status" size="sm">
      <Status tone="bad">{`${counted(failed, 'backup')} failed on this day.`}</Status>{' '}
      <Anchor component={Link} to={paths.incompleteBackups(cluster.id)} size="sm" underline="always">
        See Incomplete Backups
      </Anchor>
    </Text>
  );
}

function NoBackups({ cluster, day, today }: { cluster: Cluster; day: Day; today: Day }) {
  const { last_backup_at, managed_backups } = cluster.strongroom;
  if (!last_backup_at) {
    if (!managed_backups.available)
      return (
        <Empty title="No managed backups">
          Those that you take into your own storage are listed by{' '}
          <span className="mono">strongroom backups --in</span> with its URL.
        </Empty>
      );
    if (isDetached(cluster)) return <Empty title="No backups">None was taken before it was detached.</Empty>;
    return (
      <Empty title="No backups yet">The first full backup begins as soon as the cluster is attached.</Empty>
    );
  }
  return (
    <Empty
      title={day === today ? 'No backups today' : `No backups on ${shortDay(day)}`}
      action={
        <Anchor component={Link} to={paths.backups(cluster.id, dayOf(last_backup_at))}>
          Go to the newest backup
        </Anchor>
      }
    >
      Days are in UTC. The calendar marks those that have backups.
    </Empty>
  );
}

export { BackupsTab as Component };
