/** The API's nouns under short names; what they are is told by the generated schema alone. */
import type { components } from './schema';

type Schemas = components['schemas'];

export type Action = Schemas['Action'];
export type ApiKey = Schemas['ApiKey'];
export type AuditEntry = Schemas['AuditEntry'];
export type Backup = Schemas['Backup'];
export type BackupConfig = Schemas['BackupConfiguration'];
export type BackupDiff = Schemas['BackupDiff'];
export type BackupRows = Schemas['BackupRows'];
export type BackupDatabase = Schemas['BackupDatabase'];
export type BackupTable = Schemas['BackupTable'];
export type BackupType = Schemas['BackupType'];
export type Cluster = Schemas['Cluster'];
export type ConnectionCheck = Schemas['CheckedConnection'];
export type CreateCluster = Schemas['CreateCluster'];
export type CreateRestore = Schemas['CreateRestore'];
export type Database = Schemas['Database'];
export type Drill = Schemas['Drill'];
export type Job = Schemas['Job'];
export type Organization = Schemas['Organization'];
export type Progress = Schemas['Progress'];
export type Restore = Schemas['Restore'];
export type RestoreOptions = Schemas['RestoreOptions'];
export type RestorePlan = Schemas['RestorePlan'];
export type RestoreType = Schemas['RestoreType'];
export type RoleGrant = Schemas['RoleGrant'];
export type ServiceAccount = Schemas['ServiceAccount'];
export type Session = Schemas['Session'];
export type StorageLocation = Schemas['StorageLocation'];
export type User = Schemas['User'];
