/** The actions of the audit log, in words. */

const PREFIX = 'AUDIT_LOG_ACTION_';

/** Those that can be asked for by name; a newer service may tell of others. */
export const ACTIONS = [
  'RESTORE_CLUSTER',
  'RESTORE_DATABASE',
  'RESTORE_TABLE',
  'BACKUP_REQUESTED',
  'BACKUP_SETTINGS_CHANGED',
  'DRILL_REQUESTED',
  'JOB_CANCELED',
  'CLUSTER_CREATED',
  'CLUSTER_CHANGED',
  'CLUSTER_DELETED',
  'DATABASE_CREATED',
  'DATABASE_RENAMED',
  'DATABASE_REGIONS_CHANGED',
  'DATABASE_DROPPED',
  'SQL_USER_CREATED',
  'SQL_USER_PASSWORD_CHANGED',
  'SQL_USER_DELETED',
  'STORAGE_LOCATION_CREATED',
  'STORAGE_LOCATION_CHANGED',
  'STORAGE_LOCATION_DELETED',
  'USER_LOGIN',
  'USER_LOGOUT',
  'CREATE_USER',
  'UPDATE_USER',
  'SET_USER_PASSWORD',
  'DELETE_USER',
  'ADD_USER_TO_ROLE',
  'REMOVE_USER_FROM_ROLE',
  'ASSIGN_USER_ROLE',
  'CREATE_SERVICE_ACCOUNT',
  'UPDATE_SERVICE_ACCOUNT',
  'DELETE_SERVICE_ACCOUNT',
  'CREATE_API_KEY',
  'UPDATE_API_KEY',
  'DELETE_API_KEY',
  'UPDATE_ORGANIZATION_NAME',
];

/** `AUDIT_LOG_ACTION_RESTORE_CLUSTER` is `Restore cluster`. */
export function actionLabel(action: string): string {
  const words = action.replace(PREFIX, '').toLowerCase().replaceAll('_', ' ');
  const known = words
    .replace(/\b(api|sql)\b/g, (word) => word.toUpperCase())
    .replace('login', 'sign-in')
    .replace('logout', 'sign-out');
  return known.charAt(0).toUpperCase() + known.slice(1);
}

/** A detail's name and value, as lines of text: what is nested is told with the names on the way to it. */
export function detailLines(details: unknown, name = ''): [string, string][] {
  if (details === null || details === undefined || details === '') return [];
  if (Array.isArray(details)) {
    if (details.every((one) => typeof one !== 'object' || one === null))
      return [[name, details.map((one) => one ?? '--').join(', ')]];
    return details.flatMap((one, index) => detailLines(one, `${name} ${index + 1}`));
  }
  if (typeof details === 'object')
    return Object.entries(details).flatMap(([key, value]) =>
      detailLines(value, [name, key.replaceAll('_', ' ')].filter(Boolean).join(', ')),
    );
  return [[name, String(details)]];
}
