/** The Backups page of a cluster: its tabs, each with its own address. */
import { Alert, Tabs } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconCloudOff } from '@tabler/icons-react';
import { Outlet, useLocation, useNavigate } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { useTakeBackup } from '../../api/backups';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { ErrorNotice } from '../../components/Async';
import { Page } from '../../components/Page';
import { paths } from '../../paths';
import { useCluster } from '../clusters/ClusterLayout';

export function BackupsLayout() {
  const cluster = useCluster();
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const take = useTakeBackup(cluster.id);
  const tabs = [
    [paths.backups(cluster.id), 'Backups'],
    [paths.incompleteBackups(cluster.id), 'Incomplete Backups'],
    [paths.restoreJobs(cluster.id), 'Restore Jobs'],
    [paths.backupSettings(cluster.id), 'Settings'],
    [paths.drills(cluster.id), 'Drills'],
  ] as const;
  const managed = cluster.strongroom.managed_backups;
  return (
    <Page
      title="Backups"
      tab={`${tabs.find(([path]) => path === pathname)?.[1] ?? 'Backups'} of ${cluster.name}`}
      actions={
        managed.available && (
          <ActionButton
            variant="default"
            action={actionOf(cluster.strongroom.actions, ACTIONS.takeBackup)}
            loading={take.isPending}
            onClick={() =>
              take.mutate(undefined, {
                onSuccess: () =>
                  notifications.show({ message: 'A backup begins. It is listed when it is complete.' }),
              })
            }
          >
            Back up now
          </ActionButton>
        )
      }
    >
      {take.isError && <ErrorNotice title="No backup was begun" error={take.error} />}
      {!managed.available && (
        <Alert
          role="status"
          variant="outline"
          color="yellow"
          title="Managed backups are not available for this cluster"
          icon={<IconCloudOff size={18} aria-hidden />}
          styles={{ root: { background: 'var(--mantine-color-body)' }, title: { color: 'var(--warn-text)' } }}
        >
          {managed.reason} You can take your own backups with <span className="mono">strongroom backup</span>,
          and restore from them.
        </Alert>
      )}
      <Tabs value={pathname} onChange={(path) => path && void navigate(path)} keepMounted={false}>
        <Tabs.List aria-label="Backups">
          {tabs.map(([path, label]) => (
            <Tabs.Tab key={path} value={path} style={{ whiteSpace: 'nowrap' }}>
              {label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value={pathname} pt="lg">
          <Outlet context={cluster} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

export { BackupsLayout as Component };
