-- The first schema, for PostgreSQL. The one for SQLite beside it has the same tables and columns.
-- Text is compared by its bytes, as SQLite does: lists have one order on both.
-- What holds sealed or hashed secrets is bytea; the key is not in here.

CREATE TABLE key_check (
    name text COLLATE "C" PRIMARY KEY,
    sealed bytea NOT NULL
);

-- One row: the column `single` can have one value only.
CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    single bigint NOT NULL DEFAULT 1 UNIQUE CHECK (single = 1),
    name text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text COLLATE "C" NOT NULL UNIQUE,
    name text COLLATE "C" NOT NULL,
    password_hash text COLLATE "C",
    disabled_at timestamptz,
    last_sign_in timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX users_by_time ON users (created_at, id);

CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    idle_seconds bigint NOT NULL,
    last_seen timestamptz NOT NULL,
    address text COLLATE "C",
    agent text COLLATE "C"
);
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE service_accounts (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    description text COLLATE "C" NOT NULL,
    created_by text COLLATE "C",
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX service_accounts_by_time ON service_accounts (created_at, id);
CREATE INDEX service_accounts_in_order ON service_accounts (name, id);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    service_account_id uuid NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    prefix text COLLATE "C" NOT NULL UNIQUE,
    secret_hash bytea NOT NULL,
    last_used timestamptz,
    created_at timestamptz NOT NULL
);
CREATE INDEX api_keys_of_account ON api_keys (service_account_id);
CREATE INDEX api_keys_by_time ON api_keys (created_at, id);

CREATE TABLE grants (
    grantee_kind text COLLATE "C" NOT NULL,
    grantee_id uuid NOT NULL,
    role text COLLATE "C" NOT NULL,
    resource_kind text COLLATE "C" NOT NULL,
    resource_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (grantee_kind, grantee_id, role, resource_kind, resource_id)
);
CREATE INDEX grants_on ON grants (resource_kind, resource_id);

CREATE TABLE audit_events (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    actor_kind text COLLATE "C" NOT NULL,
    actor_id uuid,
    actor_name text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    object_kind text COLLATE "C" NOT NULL,
    object_id text COLLATE "C",
    object_name text COLLATE "C",
    cluster_id uuid,
    address text COLLATE "C",
    request_id text COLLATE "C",
    outcome text COLLATE "C" NOT NULL,
    details jsonb NOT NULL
);
CREATE INDEX audit_events_by_time ON audit_events (at, id);
CREATE INDEX audit_events_of_cluster ON audit_events (cluster_id, at, id);

-- Append only, for everybody who comes through this schema.
CREATE FUNCTION audit_events_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are neither changed nor removed';
END
$$;
CREATE TRIGGER audit_events_are_kept BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_are_kept();

CREATE TABLE storage_locations (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    region text COLLATE "C" NOT NULL,
    url_sealed bytea NOT NULL,
    url_shown text COLLATE "C" NOT NULL,
    encryption_sealed bytea,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX storage_locations_by_region ON storage_locations (region);

CREATE TABLE clusters (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    engine text COLLATE "C" NOT NULL,
    plan text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    regions jsonb NOT NULL,
    primary_region text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    operation_status text COLLATE "C" NOT NULL,
    connection_sealed bytea,
    connection_shown text COLLATE "C",
    server_version text COLLATE "C",
    system_identifier text COLLATE "C",
    folder_id uuid,
    location_id uuid REFERENCES storage_locations (id),
    labels jsonb NOT NULL,
    as_given jsonb NOT NULL,
    delete_protection boolean NOT NULL,
    creator text COLLATE "C",
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
-- A deleted cluster's name may be used again.
CREATE UNIQUE INDEX clusters_by_name ON clusters (name) WHERE deleted_at IS NULL;
CREATE INDEX clusters_by_time ON clusters (created_at, id);
CREATE INDEX clusters_in_order ON clusters (name, id);

CREATE TABLE backup_settings (
    cluster_id uuid PRIMARY KEY REFERENCES clusters (id) ON DELETE CASCADE,
    enabled boolean NOT NULL,
    frequency_minutes bigint NOT NULL,
    retention_days bigint NOT NULL,
    -- From one drill to the next; 0: none.
    drill_every_days bigint NOT NULL,
    retention_set_at timestamptz,
    generation bigint NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE backups (
    id uuid PRIMARY KEY,
    cluster_id uuid NOT NULL REFERENCES clusters (id),
    location_id uuid NOT NULL REFERENCES storage_locations (id),
    engine_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    parent_engine_id text COLLATE "C",
    full_engine_id text COLLATE "C" NOT NULL,
    data_from timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    expires_at timestamptz,
    size_bytes bigint NOT NULL,
    stored_bytes bigint NOT NULL,
    row_count bigint NOT NULL,
    databases jsonb NOT NULL,
    key_id text COLLATE "C",
    job_id uuid,
    recorded_at timestamptz NOT NULL,
    retired_at timestamptz,
    UNIQUE (cluster_id, engine_id)
);
CREATE INDEX backups_of_cluster ON backups (cluster_id, data_from, id);
CREATE INDEX backups_by_time ON backups (data_from, id);
CREATE INDEX backups_of_chain ON backups (cluster_id, full_engine_id);
CREATE INDEX backups_in_location ON backups (location_id);
CREATE INDEX backups_by_expiry ON backups (cluster_id, expires_at) WHERE retired_at IS NULL;
CREATE INDEX backups_retired ON backups (cluster_id, retired_at) WHERE retired_at IS NOT NULL;

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    cluster_id uuid REFERENCES clusters (id),
    location_id uuid REFERENCES storage_locations (id),
    -- The backup that it reads or builds on, which is not retired meanwhile.
    backup_id uuid,
    -- What may become a job once: a slot of a schedule.
    slot text COLLATE "C" UNIQUE,
    -- What only one running job may have.
    alone text COLLATE "C",
    -- What only one job that has not ended may have.
    open_as text COLLATE "C",
    payload jsonb NOT NULL,
    statement text COLLATE "C",
    requested_by text COLLATE "C",
    not_before timestamptz NOT NULL,
    attempts bigint NOT NULL,
    generation bigint NOT NULL,
    holder text COLLATE "C",
    lease_until timestamptz,
    cancel_requested_at timestamptz,
    progress jsonb,
    error_code text COLLATE "C",
    error_message text COLLATE "C",
    error_hint text COLLATE "C",
    result jsonb,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz
);
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
    job_id uuid PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    source_cluster_id uuid NOT NULL REFERENCES clusters (id),
    destination_cluster_id uuid NOT NULL REFERENCES clusters (id),
    backup_id uuid NOT NULL,
    backup_engine_id text COLLATE "C" NOT NULL,
    backup_data_from timestamptz NOT NULL,
    kind text COLLATE "C" NOT NULL,
    objects jsonb NOT NULL,
    options jsonb NOT NULL,
    completion double precision NOT NULL,
    set_again jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX restores_of_destination ON restores (destination_cluster_id, created_at, job_id);
CREATE INDEX restores_of_source ON restores (source_cluster_id, created_at, job_id);

CREATE TABLE drills (
    job_id uuid PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    cluster_id uuid NOT NULL REFERENCES clusters (id),
    backup_id uuid NOT NULL,
    backup_engine_id text COLLATE "C" NOT NULL,
    backup_data_from timestamptz NOT NULL,
    tables_checked bigint NOT NULL,
    rows_checked bigint NOT NULL,
    differences jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX drills_of_cluster ON drills (cluster_id, created_at, job_id);
