/**
 * The address of every page. Links are made here and nowhere else, so that a page can move; the addresses
 * themselves are compared with a list in `paths.test.ts`.
 */

const segment = (text: string) => encodeURIComponent(text);

const cluster = (id: string) => `/clusters/${segment(id)}`;
const backups = (id: string) => `${cluster(id)}/backups`;
const backup = (id: string, backupId: string) => `${backups(id)}/${segment(backupId)}`;
const databases = (id: string, backupId: string) => `${backup(id, backupId)}/databases`;
const tables = (id: string, backupId: string, database: string) =>
  `${databases(id, backupId)}/${segment(database)}/tables`;
const table = (id: string, backupId: string, database: string, schema: string, name: string) =>
  `${tables(id, backupId, database)}/${segment(schema)}/${segment(name)}`;

export const paths = {
  signIn: (next?: string) => (next ? `/sign-in?next=${segment(next)}` : '/sign-in'),

  clusters: () => '/clusters',
  attachCluster: () => '/clusters/attach',
  cluster,
  liveDatabases: (id: string) => `${cluster(id)}/databases`,

  backups: (id: string, day?: string) => (day ? `${backups(id)}?date=${day}` : backups(id)),
  incompleteBackups: (id: string) => `${backups(id)}/incomplete`,
  restoreJobs: (id: string) => `${backups(id)}/restore-jobs`,
  restoreJob: (id: string, restoreId: string) => `${backups(id)}/restore-jobs/${segment(restoreId)}`,
  backupSettings: (id: string) => `${backups(id)}/settings`,
  drills: (id: string) => `${backups(id)}/drills`,

  databases,
  tables,
  table,
  changes: (id: string, backupId: string, other?: string) =>
    `${backup(id, backupId)}/changes${other ? `?other=${segment(other)}` : ''}`,

  restoreCluster: (id: string, backupId: string) => `${backup(id, backupId)}/restore`,
  restoreDatabase: (id: string, backupId: string, database: string) =>
    `${databases(id, backupId)}/${segment(database)}/restore`,
  restoreTable: (id: string, backupId: string, database: string, schema: string, name: string) =>
    `${table(id, backupId, database, schema, name)}/restore`,

  users: () => '/organization/users',
  serviceAccounts: () => '/organization/service-accounts',
  auditLog: () => '/organization/audit-log',
  storageLocations: () => '/organization/storage-locations',
  organization: () => '/organization/settings',
  account: () => '/account',
};
