/** The names of the actions that the API tells of. A misspelt one would be a button that never says no. */
export const ACTIONS = {
  attachCluster: 'create_cluster',
  detachCluster: 'delete_cluster',
  changeDatabases: 'update_databases',
  takeBackup: 'create_backup',
  changeSettings: 'update_backups_config',
  startDrill: 'create_drill',
  restore: 'restore',
  contents: 'read_contents',
  cancel: 'cancel',
  manageUsers: 'manage_users',
  manageServiceAccounts: 'manage_service_accounts',
  manageStorage: 'manage_storage_locations',
  manageOrganization: 'update_organization',
  readAuditLog: 'read_audit_log',
} as const;
