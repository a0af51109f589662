/** The Backups page of a cluster: its tabs, each with its own address. */
import { Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconCloudOff } from '@tabler/icons-react';
import { Outlet, useLocation } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { useTakeBackup } from '../../api/backups';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { ErrorNotice } from '../../components/Async';
import { Code } from '../../components/Copy';
import { LinkTabs } from '../../components/LinkTabs';
import { Notice } from '../../components/Notice';
import { Page } from '../../components/Page';
import { sentence } from '../../format/words';
import { paths } from '../../paths';
import { useCluster } from '../clusters/ClusterLayout';
import { clusterCrumbs } from '../clusters/crumbs';
import { isDedicated, isDetached } from '../clusters/words';

export function BackupsLayout() {
  const cluster = useCluster();
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
      crumbs={clusterCrumbs(cluster, [{ label: 'Backups' }])}
      tab={`${tabs.find(([path]) => path === pathname)?.[1] ?? 'Backups'} of ${cluster.name}`}
      actions={
        managed.available &&
        !isDetached(cluster) && (
          <ActionButton
            variant="default"
            action={actionOf(cluster.strongroom.actions, ACTIONS.takeBackup)}
            loading={take.isPending}
            onClick={() =>
              take.mutate(undefined, {
                onSuccess: () =>
                  notifications.show({
                    message: isDedicated(cluster)
                      ? 'A backup begins. It is listed when it is complete.'
                      : 'A backup begins.',
                  }),
              })
            }
          >
            Back up now
          </ActionButton>
        )
      }
    >
      {take.isError && <ErrorNotice title="No backup was begun" error={take.error} />}
      {!managed.available && <NotManaged reason={managed.reason} />}
      <LinkTabs label="Backups" tabs={tabs} />
      <Outlet context={cluster} />
    </Page>
  );
}

/** What a person can do where the service takes no backups: the program takes them, into storage of one's own. */
function NotManaged({ reason }: { reason: string | null | undefined }) {
  return (
    <Notice
      title="Managed backups are not available for this cluster"
      icon={<IconCloudOff size={18} aria-hidden />}
    >
      <Stack gap="xs">
        <Text size="sm">{sentence(reason ?? 'They are not available')}</Text>
        <Text size="sm">Strongroom does that as a program, too, and restores from there:</Text>
        <Code what="command">strongroom backup --into s3://bucket/folder</Code>
      </Stack>
    </Notice>
  );
}

export { BackupsLayout as Component };
