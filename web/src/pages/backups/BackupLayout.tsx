/** What all pages of a backup share: that there is one. */
import { Anchor } from '@mantine/core';
import { Link, Outlet } from 'react-router';
import { ApiError } from '../../api/client';
import { paths } from '../../paths';
import { MissingPage } from '../NotFoundPage';
import { useBackup } from './useBackup';

export function BackupLayout() {
  const { cluster, backup } = useBackup();
  if (backup.error instanceof ApiError && backup.error.status === 404) {
    return (
      <MissingPage title="Backup not found" error={backup.error}>
        <Anchor component={Link} to={paths.backups(cluster.id)}>
          Go to the backups of {cluster.name}
        </Anchor>
      </MissingPage>
    );
  }
  return <Outlet context={cluster} />;
}

export { BackupLayout as Component };
