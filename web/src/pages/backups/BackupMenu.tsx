/** What else one can do with a backup. */
import { ActionIcon, Menu } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconCopy, IconDots, IconGitCompare, IconShieldCheck } from '@tabler/icons-react';
import { useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { useStartDrill } from '../../api/backups';
import type { Backup, Cluster } from '../../api/types';
import { actionOf } from '../../components/ActionButton';
import { dateTime } from '../../format/time';
import { paths } from '../../paths';

interface BackupMenuProps {
  cluster: Cluster;
  backup: Backup;
}

/** A list may have a thousand of these: the menu itself is made when somebody first wants it. */
export function BackupMenu(props: BackupMenuProps) {
  const [wanted, setWanted] = useState(false);
  if (wanted) return <Opened {...props} />;
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      aria-haspopup="menu"
      aria-expanded={false}
      aria-label={`More about the backup of ${dateTime(props.backup.as_of_time)}`}
      onClick={() => setWanted(true)}
    >
      <IconDots size={16} aria-hidden />
    </ActionIcon>
  );
}

function Opened({ cluster, backup }: BackupMenuProps) {
  const drill = useStartDrill(cluster.id);
  const navigate = useNavigate();
  const mayDrill = actionOf(backup.strongroom.actions, ACTIONS.startDrill);
  const mayLook = actionOf(backup.strongroom.actions, ACTIONS.seeContents);
  const start = () =>
    drill.mutate(backup.id, {
      onSuccess: () => void navigate(paths.drills(cluster.id)),
      onError: (error) =>
        notifications.show({ color: 'red', title: 'No drill was begun', message: error.message }),
    });
  return (
    <Menu position="bottom-end" width={250} defaultOpened>
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
          onClick={start}
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
      </Menu.Dropdown>
    </Menu>
  );
}
