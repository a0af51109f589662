/** The names of the actions that the API tells of. A misspelt one would be a button that never says no. */
export const ACTIONS = {
  // of the organization, in the session
  attachCluster: 'create_cluster',
  renameOrganization: 'rename_organization',
  manageUsers: 'manage_users',
  manageServiceAccounts: 'manage_service_accounts',
  manageStorage: 'manage_storage_locations',
  readAuditLog: 'read_audit_log',
  // of a cluster
  takeBackup: 'take_backup',
  changeSettings: 'change_backup_settings',
  startDrill: 'run_drill',
  manageDatabases: 'manage_databases',
  detachCluster: 'delete',
  // of a backup
  restore: 'restore',
  seeContents: 'see_contents',
  // of a job or restore
  cancel: 'cancel',
} as const;
