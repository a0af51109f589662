/*
 * The API's types, by hand from the service's contract, in the form that openapi-typescript gives them.
 * `npm run generate` replaces this file by what openapi.json says.
 */

type Reply<T> = { 200: { headers: Record<string, unknown>; content: { 'application/json': T } } };
type Path = { path?: Record<string, string>; query?: Record<string, unknown> };
interface Get<P extends Path, R> {
  parameters: P;
  responses: Reply<R>;
}
interface Send<P extends Path, B, R> {
  parameters: P;
  requestBody: { content: { 'application/json': B } };
  responses: Reply<R>;
}
type S = components['schemas'];
type Paging = {
  'pagination.page'?: string;
  'pagination.limit'?: number;
  'pagination.as_of_time'?: string;
  'pagination.sort_order'?: 'ASC' | 'DESC';
};
type Period = { start_time?: string; end_time?: string };
type Cluster = { path: { cluster_id: string } };
type Backup = { path: { cluster_id: string; backup_id: string } };
type Empty = Record<string, never>;

export interface paths {
  '/api/v1/session': {
    get: Get<Empty, S['Session']>;
    post: Send<Empty, { email: string; password: string }, S['Session']>;
    delete: Get<Empty, Empty>;
  };
  '/api/v1/organization': {
    get: Get<Empty, S['Organization']>;
    patch: Send<Empty, { name: string }, S['Organization']>;
  };
  '/api/v1/users': {
    get: Get<{ query?: Paging }, { users: S['User'][]; pagination: S['Pagination'] }>;
    post: Send<Empty, { email: string; name: string; password?: string }, S['User']>;
  };
  '/api/v1/users/{user_id}': {
    get: Get<{ path: { user_id: string } }, S['User']>;
    patch: Send<{ path: { user_id: string } }, { name?: string; disabled?: boolean }, S['User']>;
    delete: Get<{ path: { user_id: string } }, Empty>;
  };
  '/api/v1/users/{user_id}/password': {
    put: Send<{ path: { user_id: string } }, { password: string; current_password?: string }, Empty>;
  };
  '/api/v1/roles/{user_id}': {
    get: Get<{ path: { user_id: string } }, { roles: S['RoleGrant'][] }>;
    put: Send<{ path: { user_id: string } }, { roles: S['RoleGrant'][] }, { roles: S['RoleGrant'][] }>;
  };
  '/api/v1/service-accounts': {
    get: Get<{ query?: Paging }, { service_accounts: S['ServiceAccount'][]; pagination: S['Pagination'] }>;
    post: Send<Empty, { name: string; description: string; roles: S['RoleGrant'][] }, S['ServiceAccount']>;
  };
  '/api/v1/service-accounts/{id}': {
    patch: Send<{ path: { id: string } }, { name?: string; description?: string }, S['ServiceAccount']>;
    delete: Get<{ path: { id: string } }, S['ServiceAccount']>;
  };
  '/api/v1/api-keys': {
    get: Get<
      { query?: Paging & { service_account_id?: string } },
      { api_keys: S['ApiKey'][]; pagination: S['Pagination'] }
    >;
    post: Send<Empty, { name: string; service_account_id: string }, { api_key: S['ApiKey']; secret: string }>;
  };
  '/api/v1/api-keys/{id}': {
    patch: Send<{ path: { id: string } }, { name: string }, S['ApiKey']>;
    delete: Get<{ path: { id: string } }, S['ApiKey']>;
  };
  '/api/v1/auditlogevents': {
    get: Get<
      {
        query?: {
          starting_from?: string;
          sort_order?: 'ASC' | 'DESC';
          limit?: number;
          cluster_id?: string;
          action?: string;
        };
      },
      { entries: S['AuditEntry'][]; next_starting_from?: string | null }
    >;
  };
  '/api/v1/storage-locations': {
    get: Get<{ query?: Paging }, { storage_locations: S['StorageLocation'][]; pagination: S['Pagination'] }>;
    post: Send<
      Empty,
      { name: string; region: string; url: string; passphrase?: string },
      S['StorageLocation']
    >;
  };
  '/api/v1/storage-locations/{id}': {
    get: Get<{ path: { id: string } }, S['StorageLocation']>;
    patch: Send<{ path: { id: string } }, { name?: string; url?: string }, S['StorageLocation']>;
    delete: Get<{ path: { id: string } }, Empty>;
  };
  '/api/v1/storage-locations/{id}/check': {
    post: Get<{ path: { id: string } }, S['StorageCheck']>;
  };
  '/api/v1/clusters': {
    get: Get<
      { query?: Paging & { show_inactive?: boolean } },
      { clusters: S['Cluster'][]; pagination: S['Pagination'] }
    >;
    post: Send<Empty, S['CreateCluster'], S['Cluster']>;
  };
  '/api/v1/clusters/check-connection': { post: Send<Empty, { url: string }, S['CheckedConnection']> };
  '/api/v1/clusters/{cluster_id}': {
    get: Get<Cluster, S['Cluster']>;
    delete: Get<Cluster, S['Cluster']>;
  };
  '/api/v1/clusters/{cluster_id}/connection-string': {
    get: Get<Cluster, { connection_string: string; params: Record<string, string> }>;
  };
  '/api/v1/clusters/{cluster_id}/databases': {
    get: Get<
      Cluster & { query?: Paging },
      { databases: S['Database'][]; pagination: S['Pagination'] }
    >;
  };
  '/api/v1/clusters/{cluster_id}/databases/{name}': {
    patch: Send<{ path: { cluster_id: string; name: string } }, { new_name?: string }, S['Database']>;
    delete: Get<{ path: { cluster_id: string; name: string } }, S['Database']>;
  };
  '/api/v1/clusters/{cluster_id}/backups-config': {
    get: Get<Cluster, S['BackupConfiguration']>;
    patch: Send<
      Cluster,
      {
        enabled?: boolean;
        frequency_minutes?: number;
        retention_days?: number;
        strongroom?: { drill_every_days?: number | null };
      },
      S['BackupConfiguration']
    >;
  };
  '/api/v1/clusters/{cluster_id}/backups': {
    get: Get<
      Cluster & { query?: Paging & Period & { type?: S['BackupType']; database?: string } },
      { backups: S['Backup'][]; pagination: S['Pagination'] }
    >;
    post: Send<Cluster, { type?: S['BackupType'] }, S['Job']>;
  };
  '/api/v1/clusters/{cluster_id}/backups/{backup_id}': { get: Get<Backup, S['Backup']> };
  '/api/v1/clusters/{cluster_id}/backups/{backup_id}/databases': {
    get: Get<
      Backup,
      { databases: S['BackupDatabase'][]; omissions: { object: string; reason: string }[] }
    >;
  };
  '/api/v1/clusters/{cluster_id}/backups/{backup_id}/databases/{database}/tables': {
    get: Get<
      { path: Backup['path'] & { database: string } },
      { tables: S['BackupTable'][] }
    >;
  };
  '/api/v1/clusters/{cluster_id}/backups/{backup_id}/databases/{database}/tables/{schema}/{table}/rows': {
    get: Get<
      {
        path: Backup['path'] & { database: string; schema: string; table: string };
        query?: { limit?: number };
      },
      S['BackupRows']
    >;
  };
  '/api/v1/clusters/{cluster_id}/backups/{backup_id}/diff': {
    get: Get<Backup & { query: { other: string; database?: string } }, S['BackupDiff']>;
  };
  '/api/v1/clusters/{cluster_id}/backup-days': {
    get: Get<
      Cluster & { query?: { from?: string; until?: string } },
      { days: { date: string; complete: number; failed: number }[] }
    >;
  };
  '/api/v1/clusters/{cluster_id}/storage-history': {
    get: Get<Cluster, { points: { at: string; stored_bytes: string; size_bytes: string }[] }>;
  };
  '/api/v1/clusters/{cluster_id}/incomplete-backups': {
    get: Get<
      Cluster & { query?: Paging & Period },
      { incomplete_backups: S['Job'][]; pagination: S['Pagination'] }
    >;
  };
  '/api/v1/clusters/{cluster_id}/jobs': {
    get: Get<
      Cluster & { query?: Paging & { kind?: string; state?: string } },
      { jobs: S['Job'][]; pagination: S['Pagination'] }
    >;
  };
  '/api/v1/jobs/{job_id}': { get: Get<{ path: { job_id: string } }, S['Job']> };
  '/api/v1/jobs/{job_id}/cancel': { post: Get<{ path: { job_id: string } }, S['Job']> };
  '/api/v1/clusters/{cluster_id}/restores': {
    get: Get<
      Cluster & { query?: Paging & Period },
      { restores: S['Restore'][]; pagination: S['Pagination'] }
    >;
    post: Send<Cluster, S['CreateRestore'], S['Restore']>;
  };
  '/api/v1/clusters/{cluster_id}/restores/{restore_id}': {
    get: Get<{ path: { cluster_id: string; restore_id: string } }, S['Restore']>;
  };
  '/api/v1/clusters/{cluster_id}/restores/{restore_id}/cancel': {
    post: Get<{ path: { cluster_id: string; restore_id: string } }, S['Restore']>;
  };
  '/api/v1/clusters/{cluster_id}/restore-plans': {
    post: Send<Cluster, S['CreateRestore'], S['RestorePlan']>;
  };
  '/api/v1/clusters/{cluster_id}/drills': {
    get: Get<Cluster & { query?: Paging }, { drills: S['Drill'][]; pagination: S['Pagination'] }>;
    post: Send<Cluster, { backup_id?: string }, S['Drill']>;
  };
}

export interface components {
  schemas: {
    Status: { code: number; message: string; details: Record<string, unknown>[] };
    Action: { name: string; allowed: boolean; reason?: string | null };
    Pagination: { next_page?: string | null; previous_page?: string | null };
    RoleGrant: {
      name: string;
      resource: { type: 'ORGANIZATION' | 'CLUSTER' | 'FOLDER'; id?: string | null };
    };
    Organization: { id: string; name: string; label: string; created_at: string };
    Session: {
      user?: S['User'] | null;
      service_account?: S['ServiceAccount'] | null;
      organization: S['Organization'];
      roles: S['RoleGrant'][];
      actions: S['Action'][];
      expires_at?: string | null;
    };
    User: {
      id: string;
      email: string;
      name: string;
      has_password: boolean;
      disabled: boolean;
      last_sign_in?: string | null;
      created_at: string;
      roles: S['RoleGrant'][];
    };
    ServiceAccount: {
      id: string;
      name: string;
      description: string;
      created_at: string;
      creator_name?: string;
      roles: S['RoleGrant'][];
    };
    ApiKey: { id: string; name: string; service_account_id: string; created_at: string };
    AuditEntry: {
      id: string;
      created_at: string;
      action: string;
      source: string;
      user_email?: string | null;
      service_account_name?: string | null;
      cluster_id?: string | null;
      cluster_name?: string | null;
      error?: string | null;
      payload: string;
      trace_id?: string | null;
      strongroom: {
        actor: { type: string; id?: string | null; name: string };
        object: { type: string; id?: string | null; name?: string | null };
        outcome: string;
        details: unknown;
      };
    };
    StorageLocation: {
      id: string;
      name: string;
      region: string;
      url: string;
      encrypted: boolean;
      created_at: string;
    };
    StorageCheck: { milliseconds: number };
    CheckedConnection: {
      server_version: string;
      system_identifier?: string | null;
      privileges: string[];
      problems: { message: string; remedy?: string | null; blocking: boolean }[];
    };
    Cluster: {
      id: string;
      name: string;
      cockroach_version: string;
      plan: 'BASIC' | 'STANDARD' | 'ADVANCED';
      cloud_provider: string;
      state: string;
      operation_status: string;
      created_at?: string;
      regions: { name: string; primary?: boolean; node_count?: number }[];
      strongroom: {
        engine: string;
        plan: 'SERVERLESS' | 'DEDICATED' | 'BASIC' | 'STANDARD' | 'ADVANCED';
        provider: 'GCP' | 'AWS' | 'AZURE' | 'SELF_HOSTED';
        regions: string[];
        primary_region?: string | null;
        storage_location_id?: string | null;
        connection_url?: string | null;
        server_version?: string | null;
        managed_backups: { available: boolean; reason?: string | null };
        last_backup_at?: string | null;
        next_backup_at?: string | null;
        missed: boolean;
        last_backup_failed: boolean;
        unavailable?: string | null;
        actions: S['Action'][];
      };
    };
    CreateCluster: {
      name: string;
      provider: 'GCP' | 'AWS' | 'AZURE';
      spec: Record<string, unknown>;
      strongroom: {
        url: string;
        plan?: string;
        regions?: string[];
        primary_region?: string;
        storage_location_id?: string;
        provider?: string;
      };
    };
    Database: {
      name: string;
      table_count: string;
      strongroom?: { primary_region?: string | null; regions: string[]; owner?: string | null };
    };
    BackupConfiguration: {
      enabled: boolean;
      frequency_minutes: number;
      retention_days: number;
      strongroom: {
        retention_can_be_set: boolean;
        drill_every_days?: number | null;
        allowed_frequencies: number[];
        allowed_retentions: number[];
      };
    };
    BackupType: 'FULL' | 'INCREMENTAL';
    Backup: {
      id: string;
      as_of_time: string;
      strongroom: {
        type: S['BackupType'];
        status: string;
        size_bytes: string;
        stored_bytes: string;
        rows: string;
        expires_at?: string | null;
        finished_at?: string | null;
        databases: number;
        full_id?: string | null;
        engine_id: string;
        encrypted: boolean;
        actions: S['Action'][];
      };
    };
    BackupDatabase: {
      name: string;
      size_bytes: string;
      rows: string;
      tables: number;
      primary_region?: string | null;
      regions: string[];
      changed: boolean;
    };
    BackupTable: {
      schema: string;
      name: string;
      size_bytes: string;
      total_bytes: string;
      rows: string;
      columns: { name: string; type: string }[];
    };
    BackupRows: {
      columns: { name: string; type: string }[];
      rows: (string | null)[][];
      rows_in_all: string;
      truncated: boolean;
      notes: string[];
    };
    ChangeKind: 'ADDED' | 'REMOVED' | 'RECREATED' | 'RENAMED' | 'CHANGED' | 'UNCHANGED';
    Amount: { rows: string; size_bytes: string };
    BackupDiff: {
      databases: S['DatabaseDiff'][];
      roles: { name: string; change: S['ChangeKind']; what: string[] }[];
      notes: string[];
    };
    DatabaseDiff: {
      name: string;
      change: S['ChangeKind'];
      renamed_from?: string | null;
      before?: S['Amount'] | null;
      after?: S['Amount'] | null;
      definitions: {
        change: S['ChangeKind'];
        kind: string;
        schema?: string | null;
        name: string;
        before?: string | null;
        after?: string | null;
      }[];
      tables: {
        schema: string;
        name: string;
        change: S['ChangeKind'];
        renamed_from?: string | null;
        before?: S['Amount'] | null;
        after?: S['Amount'] | null;
        rows_added: string;
        rows_removed: string;
        exact: boolean;
      }[];
      sequences: { schema: string; name: string; before?: string | null; after?: string | null }[];
      large_objects_changed: number;
    };
    Progress: {
      step?: string | null;
      fraction: number;
      bytes_done: string;
      bytes_total: string;
      tables_done: number;
      tables_total: number;
      tables: {
        database: string;
        schema: string;
        name: string;
        rows_done: string;
        bytes_done: string;
        bytes_total: string;
        state: string;
      }[];
      notes: string[];
    };
    Job: {
      id: string;
      kind: string;
      state: string;
      cluster_id?: string | null;
      backup_id?: string | null;
      description?: string | null;
      created_at: string;
      started_at?: string | null;
      finished_at?: string | null;
      attempts: number;
      not_before?: string | null;
      error_code?: string | null;
      error_message?: string | null;
      requested_by?: string | null;
      cancel_requested: boolean;
      progress?: S['Progress'] | null;
      actions: S['Action'][];
    };
    RestoreObject: {
      database: string;
      schema?: string | null;
      table?: string | null;
      new_name?: string | null;
    };
    RestoreOptions: {
      into_db?: string;
      new_db_name?: string;
      schema_only?: boolean;
      skip_localities_check?: boolean;
      skip_missing_foreign_keys?: boolean;
      skip_missing_sequences?: boolean;
      skip_missing_views?: boolean;
      into_schema?: string;
      new_table_name?: string;
      skip_missing_roles?: boolean;
      skip_missing_sequence_owners?: boolean;
      confirm_cluster_name?: string;
    };
    RestoreType: 'CLUSTER' | 'DATABASE' | 'TABLE';
    CreateRestore: {
      type: S['RestoreType'];
      backup_id?: string;
      source_cluster_id?: string;
      objects?: S['RestoreObject'][];
      restore_opts?: S['RestoreOptions'];
    };
    Restore: {
      id: string;
      backup_id: string;
      status: 'PENDING' | 'SUCCESS' | 'FAILED';
      created_at: string;
      type: S['RestoreType'];
      completion_percent: number;
      source_cluster_name: string;
      destination_cluster_name: string;
      backup_end_time: string;
      completed_at?: string | null;
      crdb_job_id?: string;
      client_error_code?: number | null;
      client_error_message?: string | null;
      objects?: S['RestoreObject'][];
      restore_opts?: S['RestoreOptions'];
      strongroom: {
        state: string;
        source_cluster_id: string;
        destination_cluster_id: string;
        started_at?: string | null;
        statement?: string | null;
        progress?: S['Progress'] | null;
        set_again: string[];
        error_code?: string | null;
        error_message?: string | null;
        requested_by?: string | null;
        cancel_requested: boolean;
        actions: S['Action'][];
      };
    };
    RestorePlan: {
      backup_id: string;
      target: string;
      creates: { kind: string; name: string; from?: string | null; rows?: string | null }[];
      uses: { kind: string; name: string; comparison: string }[];
      conflicts: { kind: string; name: string; message: string; resolutions: string[] }[];
      missing: {
        kind: string;
        name: string;
        needed_by: string;
        option?: string | null;
        message: string;
        resolutions: string[];
      }[];
      replaces: string[];
      notes: string[];
      tables: number;
      rows: string;
      size_bytes: string;
      stored_bytes: string;
      refused?: string | null;
      hint?: string | null;
      set_again: string[];
      statement?: string | null;
    };
    Drill: {
      id: string;
      state: string;
      backup_id: string;
      backup_as_of_time: string;
      created_at: string;
      started_at?: string | null;
      finished_at?: string | null;
      tables_checked: string;
      rows_checked: string;
      differences: string[];
      error_code?: string | null;
      error_message?: string | null;
    };
  };
}
