/**
 * Every page and its address. The first page brings the shell, signing in and the list of clusters; the rest
 * comes when somebody goes there.
 */
import { createBrowserRouter, Navigate } from 'react-router';
import { Loading } from './components/Async';
import { ClustersPage } from './pages/clusters/ClustersPage';
import { NotFoundPage } from './pages/NotFoundPage';
import { SignInPage } from './pages/SignInPage';
import { CrashPage } from './shell/CrashPage';
import { Shell } from './shell/Shell';

export const router = createBrowserRouter([
  { path: '/sign-in', element: <SignInPage />, errorElement: <CrashPage /> },
  {
    path: '/',
    element: <Shell />,
    errorElement: <CrashPage />,
    hydrateFallbackElement: <Loading label="the console" />,
    children: [
      { index: true, element: <Navigate to="/clusters" replace /> },
      { path: 'clusters', element: <ClustersPage /> },
      { path: 'clusters/attach', lazy: () => import('./pages/clusters/AttachClusterPage') },
      {
        path: 'clusters/:clusterId',
        lazy: () => import('./pages/clusters/ClusterLayout'),
        children: [
          { index: true, lazy: () => import('./pages/clusters/ClusterPage') },
          { path: 'databases', lazy: () => import('./pages/clusters/LiveDatabasesPage') },
          {
            path: 'backups',
            lazy: () => import('./pages/backups/BackupsLayout'),
            children: [
              { index: true, lazy: () => import('./pages/backups/BackupsTab') },
              { path: 'incomplete', lazy: () => import('./pages/backups/IncompleteBackupsTab') },
              { path: 'restore-jobs', lazy: () => import('./pages/backups/RestoreJobsTab') },
              { path: 'settings', lazy: () => import('./pages/backups/SettingsTab') },
              { path: 'drills', lazy: () => import('./pages/backups/DrillsTab') },
            ],
          },
          { path: 'backups/restore-jobs/:restoreId', lazy: () => import('./pages/backups/RestoreJobPage') },
          {
            path: 'backups/:backupId',
            lazy: () => import('./pages/backups/BackupLayout'),
            children: [
              { path: 'changes', lazy: () => import('./pages/backups/ChangesPage') },
              { path: 'restore', lazy: () => import('./pages/restore/RestoreClusterPage') },
              { path: 'databases', lazy: () => import('./pages/backups/BackupDatabasesPage') },
              {
                path: 'databases/:database/restore',
                lazy: () => import('./pages/restore/RestoreDatabasePage'),
              },
              { path: 'databases/:database/tables', lazy: () => import('./pages/backups/BackupTablesPage') },
              {
                path: 'databases/:database/tables/:schema/:table',
                lazy: () => import('./pages/backups/RowsPage'),
              },
              {
                path: 'databases/:database/tables/:schema/:table/restore',
                lazy: () => import('./pages/restore/RestoreTablePage'),
              },
            ],
          },
        ],
      },
      { path: 'organization', element: <Navigate to="/organization/settings" replace /> },
      { path: 'organization/users', lazy: () => import('./pages/organization/UsersPage') },
      {
        path: 'organization/service-accounts',
        lazy: () => import('./pages/organization/ServiceAccountsPage'),
      },
      { path: 'organization/audit-log', lazy: () => import('./pages/organization/AuditLogPage') },
      {
        path: 'organization/storage-locations',
        lazy: () => import('./pages/organization/StorageLocationsPage'),
      },
      { path: 'organization/settings', lazy: () => import('./pages/organization/OrganizationPage') },
      { path: 'account', lazy: () => import('./pages/organization/AccountPage') },
      { path: '*', element: <NotFoundPage /> },
    ],
  },
]);
