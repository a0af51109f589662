/** How often backups are taken, how long they are kept, how often one is tried. */
import { Button, Group, Paper, Select, Stack, Switch, Text, Title } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { ACTIONS } from '../../api/actions';
import { type BackupSettingsChange, backupConfigQuery, useChangeBackupConfig } from '../../api/backups';
import type { BackupConfig, Cluster } from '../../api/types';
import { actionOf } from '../../components/ActionButton';
import { Async, ErrorNotice } from '../../components/Async';
import { Confirm } from '../../components/Confirm';
import { Notice } from '../../components/Notice';
import { Unsaved } from '../../components/Unsaved';
import { interval } from '../../format/time';
import { sentence } from '../../format/words';
import { useCluster } from '../clusters/ClusterLayout';
import { sayCadence } from './cadence';

export function SettingsTab() {
  const cluster = useCluster();
  const config = useQuery(backupConfigQuery(cluster.id));
  return (
    <Async query={config} label="the settings">
      {(config) => <Settings key={JSON.stringify(config)} cluster={cluster} config={config} />}
    </Async>
  );
}

const choices = (values: number[], present: number, say: (value: number) => string) =>
  [...new Set([...values, present])]
    .sort((a, b) => a - b)
    .map((value) => ({ value: String(value), label: say(value) }));

function Settings({ cluster, config }: { cluster: Cluster; config: BackupConfig }) {
  const [enabled, setEnabled] = useState(config.enabled);
  const [frequency, setFrequency] = useState(config.frequency_minutes);
  const [retention, setRetention] = useState(config.retention_days);
  const [drills, setDrills] = useState(config.strongroom.drill_every_days);
  const change = useChangeBackupConfig(cluster.id);
  const action = actionOf(cluster.strongroom.actions, ACTIONS.changeSettings);
  const locked = !action.allowed;

  const wanted: BackupSettingsChange = {
    ...(enabled !== config.enabled && { enabled }),
    // A request that switches backups off cannot change the other two.
    ...(enabled && frequency !== config.frequency_minutes && { frequency_minutes: frequency }),
    ...(enabled && retention !== config.retention_days && { retention_days: retention }),
    ...(drills !== config.strongroom.drill_every_days && { strongroom: { drill_every_days: drills } }),
  };
  const changed = Object.keys(wanted).length > 0;
  const [asking, setAsking] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (wanted.retention_days === undefined) save();
    else setAsking(true);
  };
  const save = () => {
    // The form is made anew from what was saved, so its own callbacks would not be called any more.
    change.mutateAsync(wanted).then(
      () => notifications.show({ message: 'The settings were saved.' }),
      () => setAsking(false),
    );
  };
  return (
    <>
      <form onSubmit={submit}>
        <Paper className="panel" p="lg" maw={680}>
          <Stack gap="lg">
            <div>
              <Title order={2}>Backup Settings</Title>
              {enabled && cluster.strongroom.plan === 'DEDICATED' && (
                <Text size="sm" c="dimmed" mt={4}>
                  {sayCadence(cluster, { frequency_minutes: frequency, retention_days: retention })}
                </Text>
              )}
            </div>
            {locked && (
              <Notice tone="idle" role="note">
                {sentence(action.reason ?? 'You may not change the settings')}
              </Notice>
            )}
            <Switch
              label="Enable backups"
              description="Switched off, no more backups are taken on schedule. Those that exist stay until they expire."
              checked={enabled}
              disabled={locked}
              onChange={(event) => setEnabled(event.currentTarget.checked)}
            />
            <Select
              label="Schedule backups every"
              data={choices(config.strongroom.allowed_frequencies, config.frequency_minutes, interval)}
              value={String(frequency)}
              onChange={(value) => value && setFrequency(Number(value))}
              disabled={locked || !enabled || config.strongroom.allowed_frequencies.length < 2}
              allowDeselect={false}
              maw={280}
            />
            <Select
              label="Retain backups for"
              description={
                config.strongroom.retention_can_be_set
                  ? 'This can be changed once. It holds for backups taken from then on.'
                  : 'It has been changed once, and cannot be changed again.'
              }
              data={choices(
                config.strongroom.allowed_retentions,
                config.retention_days,
                (days) => `${days} days`,
              )}
              value={String(retention)}
              onChange={(value) => value && setRetention(Number(value))}
              disabled={locked || !enabled || !config.strongroom.retention_can_be_set}
              allowDeselect={false}
              maw={280}
            />
            <Select
              label="Restore drills"
              description="A drill restores the newest backup into a throwaway server and counts every row."
              data={[
                { value: '0', label: 'Never' },
                ...choices([1, 7, 30], drills || 7, (days) =>
                  days === 1 ? 'Every day' : `Every ${days} days`,
                ),
              ]}
              value={String(drills)}
              onChange={(value) => value && setDrills(Number(value))}
              disabled={locked}
              allowDeselect={false}
              maw={280}
            />
            {enabled && (wanted.frequency_minutes !== undefined || wanted.retention_days !== undefined) && (
              <Text role="status" size="sm" c="dimmed">
                A full backup follows at once when you save.
              </Text>
            )}
            {change.isError && <ErrorNotice title="Not saved" error={change.error} />}
            <Group justify="flex-end">
              <Button type="submit" disabled={locked || !changed} loading={change.isPending}>
                Save
              </Button>
            </Group>
          </Stack>
        </Paper>
      </form>
      <Unsaved when={changed && !change.isPending} />
      {asking && (
        <Confirm
          title={`Retain backups for ${retention} days`}
          verb="Save"
          danger
          typed={String(retention)}
          sending={{ isPending: change.isPending, error: null }}
          onClose={() => setAsking(false)}
          onConfirm={save}
        >
          <Text size="sm">
            Backups that are taken from now on are kept {retention} days instead of {config.retention_days}.
            This can be changed once, and never again.
          </Text>
        </Confirm>
      )}
    </>
  );
}

export { SettingsTab as Component };
