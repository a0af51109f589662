/** What else one can do with a backup. */
import { ActionIcon, Menu } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconCopy, IconDots, IconGitCompare, IconShieldCheck } from '@tabler/icons-react';
import { Link, useNavigate } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { useStartDrill } from '../../api/backups';
import type { Backup, Cluster } from '../../api/types';
import { actionOf } from '../../components/ActionButton';
import { dateTime } from '../../format/time';
import { sentence } from '../../format/words';
import { paths } from '../../paths';

interface BackupMenuProps {
  cluster: Cluster;
  backup: Backup;
}

/** A list may have a thousand of these: what stands in the menu is made when somebody opens it. */
export function BackupMenu({ cluster, backup }: BackupMenuProps) {
  return (
    <Menu position="bottom-end" width={250}>
      <Menu.Target>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={`More about the backup of ${dateTime(backup.as_of_time)}`}
        >
          <IconDots size={16} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Items cluster={cluster} backup={backup} />
      </Menu.Dropdown>
    </Menu>
  );
}

function Items({ cluster, backup }: BackupMenuProps) {
  const drill = useStartDrill(cluster.id);
  const navigate = useNavigate();
  const mayDrill = actionOf(backup.strongroom.actions, ACTIONS.startDrill);
  const mayLook = actionOf(backup.strongroom.actions, ACTIONS.seeContents);
  // The menu closes at once, and what belongs to it is gone before the service answers.
  const start = () =>
    drill.mutateAsync(backup.id).then(
      () => navigate(paths.drills(cluster.id)),
      (error: Error) =>
        notifications.show({
          color: 'red',
          title: 'No drill was begun',
          message: sentence(error.message),
        }),
    );
  return (
    <>
      <Menu.Item
        component={Link}
        to={paths.changes(cluster.id, backup.id)}
        disabled={!mayLook.allowed}
        title={mayLook.reason ?? undefined}
        leftSection={<IconGitCompare size={16} aria-hidden />}
      >
        What changed
      </Menu.Item>
      <Menu.Item
        leftSection={<IconShieldCheck size={16} aria-hidden />}
        disabled={!mayDrill.allowed}
        title={mayDrill.reason ?? undefined}
        onClick={() => void start()}
      >
        Try it in a drill
      </Menu.Item>
      <Menu.Item
        leftSection={<IconCopy size={16} aria-hidden />}
        onClick={() => {
          void navigator.clipboard?.writeText(backup.id);
          notifications.show({ message: 'The backup ID was copied.' });
        }}
      >
        Copy backup ID
      </Menu.Item>
    </>
  );
}
