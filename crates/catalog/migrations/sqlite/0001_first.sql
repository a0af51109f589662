-- The first schema, for SQLite. The one for PostgreSQL beside it has the same tables and columns.
-- Ids and JSON are text; times are RFC 3339 in UTC with six digits, so that they sort as text.
-- What holds sealed or hashed secrets is BLOB; the key is not in here.

CREATE TABLE key_check (
    name TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;

-- One row: the column `single` can have one value only.
CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    single INTEGER NOT NULL DEFAULT 1 UNIQUE CHECK (single = 1),
    name TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT,
    disabled_at TEXT,
    last_sign_in TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX users_by_time ON users (created_at, id);

CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    idle_seconds INTEGER NOT NULL,
    last_seen TEXT NOT NULL,
    address TEXT,
    agent TEXT
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE service_accounts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_by TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX service_accounts_by_time ON service_accounts (created_at, id);
CREATE INDEX service_accounts_in_order ON service_accounts (name, id);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    service_account_id TEXT NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL UNIQUE,
    secret_hash BLOB NOT NULL,
    last_used TEXT,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX api_keys_of_account ON api_keys (service_account_id);
CREATE INDEX api_keys_by_time ON api_keys (created_at, id);

CREATE TABLE grants (
    grantee_kind TEXT NOT NULL,
    grantee_id TEXT NOT NULL,
    role TEXT NOT NULL,
    resource_kind TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (grantee_kind, grantee_id, role, resource_kind, resource_id)
) STRICT;
CREATE INDEX grants_on ON grants (resource_kind, resource_id);

CREATE TABLE audit_events (
    id TEXT PRIMARY KEY,
    at TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id TEXT,
    object_name TEXT,
    cluster_id TEXT,
    address TEXT,
    request_id TEXT,
    outcome TEXT NOT NULL,
    details TEXT NOT NULL
) STRICT;
CREATE INDEX audit_events_by_time ON audit_events (at, id);
CREATE INDEX audit_events_of_cluster ON audit_events (cluster_id, at, id);

-- Append only, for everybody who comes through this schema.
CREATE TRIGGER audit_events_are_not_changed BEFORE UPDATE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are neither changed nor removed');
END;
CREATE TRIGGER audit_events_are_not_removed BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are neither changed nor removed');
END;

CREATE TABLE storage_locations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    region TEXT NOT NULL,
    url_sealed BLOB NOT NULL,
    url_shown TEXT NOT NULL,
    encryption_sealed BLOB,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX storage_locations_by_region ON storage_locations (region);

CREATE TABLE clusters (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    engine TEXT NOT NULL,
    plan TEXT NOT NULL,
    provider TEXT NOT NULL,
    regions TEXT NOT NULL,
    primary_region TEXT NOT NULL,
    state TEXT NOT NULL,
    operation_status TEXT NOT NULL,
    connection_sealed BLOB,
    connection_shown TEXT,
    server_version TEXT,
    system_identifier TEXT,
    folder_id TEXT,
    location_id TEXT REFERENCES storage_locations (id),
    labels TEXT NOT NULL,
    as_given TEXT NOT NULL,
    delete_protection INTEGER NOT NULL,
    creator TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    deleted_at TEXT
) STRICT;
-- A deleted cluster's name may be used again.
CREATE UNIQUE INDEX clusters_by_name ON clusters (name) WHERE deleted_at IS NULL;
CREATE INDEX clusters_by_time ON clusters (created_at, id);
CREATE INDEX clusters_in_order ON clusters (name, id);

CREATE TABLE backup_settings (
    cluster_id TEXT PRIMARY KEY REFERENCES clusters (id) ON DELETE CASCADE,
    enabled INTEGER NOT NULL,
    frequency_minutes INTEGER NOT NULL,
    retention_days INTEGER NOT NULL,
    -- From one drill to the next; 0: none.
    drill_every_days INTEGER NOT NULL,
    retention_set_at TEXT,
    generation INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE backups (
    id TEXT PRIMARY KEY,
    cluster_id TEXT NOT NULL REFERENCES clusters (id),
    location_id TEXT NOT NULL REFERENCES storage_locations (id),
    engine_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent_engine_id TEXT,
    full_engine_id TEXT NOT NULL,
    data_from TEXT NOT NULL,
    finished_at TEXT NOT NULL,
    expires_at TEXT,
    size_bytes INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    databases TEXT NOT NULL,
    key_id TEXT,
    job_id TEXT,
    recorded_at TEXT NOT NULL,
    retired_at TEXT,
    UNIQUE (cluster_id, engine_id)
) STRICT;
CREATE INDEX backups_of_cluster ON backups (cluster_id, data_from, id);
CREATE INDEX backups_by_time ON backups (data_from, id);
CREATE INDEX backups_of_chain ON backups (cluster_id, full_engine_id);
CREATE INDEX backups_in_location ON backups (location_id);
CREATE INDEX backups_by_expiry ON backups (cluster_id, expires_at) WHERE retired_at IS NULL;
CREATE INDEX backups_retired ON backups (cluster_id, retired_at) WHERE retired_at IS NOT NULL;

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    cluster_id TEXT REFERENCES clusters (id),
    location_id TEXT REFERENCES storage_locations (id),
    -- The backup that it reads or builds on, which is not retired meanwhile.
    backup_id TEXT,
    -- What may become a job once: a slot of a schedule.
    slot TEXT UNIQUE,
    -- What only one running job may have.
    alone TEXT,
    -- What only one job that has not ended may have.
    open_as TEXT,
    payload TEXT NOT NULL,
    statement TEXT,
    requested_by TEXT,
    not_before TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    holder TEXT,
    lease_until TEXT,
    cancel_requested_at TEXT,
    progress TEXT,
    error_code TEXT,
    error_message TEXT,
    error_hint TEXT,
    result TEXT,
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT
) STRICT;
-- However two workers interleave, the second one of a kind that must be alone is refused here.
CREATE UNIQUE INDEX jobs_alone ON jobs (alone) WHERE state = 'running';
CREATE UNIQUE INDEX jobs_open_as ON jobs (open_as) WHERE state IN ('pending', 'running');
CREATE INDEX jobs_open ON jobs (cluster_id, kind) WHERE state IN ('pending', 'running');
CREATE INDEX jobs_pending ON jobs (not_before, id) WHERE state = 'pending';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_of_backup ON jobs (backup_id) WHERE state IN ('pending', 'running');
CREATE INDEX jobs_of_cluster ON jobs (cluster_id, kind, created_at, id);
CREATE INDEX jobs_by_time ON jobs (created_at, id);
-- All that counting those of the last day asks for.
CREATE INDEX jobs_ended ON jobs (finished_at, kind, state, error_code) WHERE finished_at IS NOT NULL;

CREATE TABLE restores (
    job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    source_cluster_id TEXT NOT NULL REFERENCES clusters (id),
    destination_cluster_id TEXT NOT NULL REFERENCES clusters (id),
    backup_id TEXT NOT NULL,
    backup_engine_id TEXT NOT NULL,
    backup_data_from TEXT NOT NULL,
    kind TEXT NOT NULL,
    objects TEXT NOT NULL,
    options TEXT NOT NULL,
    completion REAL NOT NULL,
    set_again TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX restores_of_destination ON restores (destination_cluster_id, created_at, job_id);
CREATE INDEX restores_of_source ON restores (source_cluster_id, created_at, job_id);

CREATE TABLE drills (
    job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    cluster_id TEXT NOT NULL REFERENCES clusters (id),
    backup_id TEXT NOT NULL,
    backup_engine_id TEXT NOT NULL,
    backup_data_from TEXT NOT NULL,
    tables_checked INTEGER NOT NULL,
    rows_checked INTEGER NOT NULL,
    differences TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX drills_of_cluster ON drills (cluster_id, created_at, job_id);
