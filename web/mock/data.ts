/** A small organization whose backups look like real ones. Everything is made from the present hour. */
import { ACTIONS } from '../src/api/actions';
import type {
  Action,
  ApiKey,
  Backup,
  BackupDatabase,
  BackupTable,
  Cluster,
  Drill,
  Job,
  Organization,
  Restore,
  RoleGrant,
  ServiceAccount,
  StorageLocation,
  User,
} from '../src/api/types';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const now = Date.now();
export const lastHour = Math.floor(now / HOUR) * HOUR;
export const iso = (at: number) => new Date(at).toISOString();

let counter = 0;
export function uuid(): string {
  counter += 1;
  return `00000000-0000-4000-8000-${counter.toString(16).padStart(12, '0')}`;
}

export const may = (name: string): Action => ({ name, allowed: true, reason: null });

const orgRole = (name: RoleGrant['name']): RoleGrant => ({ name, resource: { type: 'ORGANIZATION' } });

export const organization: Organization = {
  id: uuid(),
  name: 'Harbour Rides',
  label: 'harbour-rides',
  created_at: iso(now - 90 * DAY),
};

export const users: User[] = [
  {
    id: uuid(),
    email: 'ada@harbour.example',
    name: 'Ada Lindqvist',
    has_password: true,
    disabled: false,
    last_sign_in: iso(now - HOUR),
    created_at: iso(now - 90 * DAY),
    roles: [orgRole('ORG_ADMIN')],
  },
  {
    id: uuid(),
    email: 'ben@harbour.example',
    name: 'Ben Okafor',
    has_password: true,
    disabled: false,
    last_sign_in: null,
    created_at: iso(now - 30 * DAY),
    roles: [orgRole('CLUSTER_DEVELOPER'), orgRole('METRICS_VIEWER')],
  },
];

export const storageLocations: StorageLocation[] = [
  {
    id: uuid(),
    name: 'Ireland',
    region: 'eu-west-1',
    url: 's3://harbour-backups/strongroom?AWS_REGION=eu-west-1',
    encrypted: true,
    created_at: iso(lastHour),
  },
  {
    id: uuid(),
    name: 'Basement',
    region: 'helsinki',
    url: 'file:///srv/backups',
    encrypted: false,
    created_at: iso(lastHour),
  },
];

interface Plan {
  name: string;
  plan: Cluster['strongroom']['plan'];
  provider: Cluster['strongroom']['provider'];
  regions: string[];
  more?: Partial<Cluster['strongroom']>;
}

function cluster({ name, plan, provider, regions, more }: Plan): Cluster {
  const host = `${name}.db.example`;
  return {
    id: uuid(),
    name,
    cockroach_version: 'v17.2',
    upgrade_status: 'FINALIZED',
    plan: plan === 'DEDICATED' ? 'ADVANCED' : 'STANDARD',
    cloud_provider: provider === 'SELF_HOSTED' ? 'GCP' : provider,
    state: 'CREATED',
    creator_id: users[0]?.id ?? '',
    operation_status: 'UNSPECIFIED',
    config: {},
    regions: regions.map((region, index) => ({
      name: region,
      sql_dns: host,
      ui_dns: '',
      internal_dns: '',
      private_endpoint_dns: '',
      node_count: index === 0 ? 1 : 0,
      primary: index === 0,
    })),
    cidr_range: '',
    labels: {},
    is_customer_cloud_account: false,
    delete_protection: 'DISABLED',
    parent_id: 'root',
    sql_dns: host,
    created_at: iso(now - 60 * DAY),
    updated_at: iso(now - 60 * DAY),
    strongroom: {
      engine: 'postgres',
      plan,
      provider,
      regions,
      primary_region: regions[0] ?? '',
      storage_location_id: storageLocations[0]?.id,
      connection_url: `postgresql://strongroom@${host}:5432/postgres`,
      server_version: '17.2',
      managed_backups: { available: true, reason: null },
      last_backup_at: iso(lastHour),
      next_backup_at: iso(lastHour + HOUR),
      missed: false,
      last_backup_failed: false,
      unavailable: null,
      actions: [
        may(ACTIONS.restore),
        may(ACTIONS.takeBackup),
        may(ACTIONS.changeSettings),
        may(ACTIONS.startDrill),
        may(ACTIONS.manageDatabases),
        may(ACTIONS.detachCluster),
      ],
      ...more,
    },
  };
}

export const clusters: Cluster[] = [
  cluster({
    name: 'rides-production',
    plan: 'DEDICATED',
    provider: 'AWS',
    regions: ['eu-west-1', 'eu-central-1'],
  }),
  cluster({
    name: 'billing',
    plan: 'DEDICATED',
    provider: 'SELF_HOSTED',
    regions: ['helsinki'],
    more: { missed: true, last_backup_at: iso(lastHour - 3 * HOUR) },
  }),
  cluster({ name: 'prototypes', plan: 'SERVERLESS', provider: 'GCP', regions: ['europe-west1'] }),
  cluster({
    name: 'reporting',
    plan: 'DEDICATED',
    provider: 'AZURE',
    regions: ['westeurope'],
    more: {
      managed_backups: {
        available: false,
        reason:
          'managed backups of dedicated clusters on Azure are in limited access, and not available here; back up into your own storage',
      },
      last_backup_at: null,
      next_backup_at: null,
    },
  }),
  cluster({
    name: 'staging',
    plan: 'SERVERLESS',
    provider: 'SELF_HOSTED',
    regions: ['helsinki'],
    more: { unavailable: 'cluster staging is unavailable while it is being restored' },
  }),
  {
    ...cluster({
      name: 'rides-before-the-great-migration-of-the-harbour',
      plan: 'DEDICATED',
      provider: 'SELF_HOSTED',
      regions: ['helsinki'],
    }),
    state: 'DELETED',
  },
];

const days = 20;

/** Hourly, the first of a day a full; newest first. */
export function backupsOf(cluster: Cluster): Backup[] {
  const dedicated = cluster.strongroom.plan === 'DEDICATED';
  if (!cluster.strongroom.managed_backups.available) return [];
  const list: Backup[] = [];
  for (let at = lastHour; at > now - days * DAY; at -= HOUR) {
    const full = !dedicated || new Date(at).getUTCHours() === 0;
    const kept = full ? 30 : 7;
    if (at + kept * DAY < now) continue;
    const idOf = (time: number) =>
      `${cluster.id.slice(0, -12)}${(time / 1000).toString(16).padStart(12, '0')}`;
    list.push({
      id: idOf(at),
      as_of_time: iso(at),
      strongroom: {
        type: full ? 'FULL' : 'INCREMENTAL',
        status: 'COMPLETE',
        size_bytes: String(full ? 23_881_042 : 64_737 + (at % 97) * 1_913),
        total_bytes: '84213992',
        rows: '612480',
        expires_at: iso(at + kept * DAY),
        finished_at: iso(at + 9_000),
        databases: 2,
        full_id: idOf(full ? at : Math.floor(at / DAY) * DAY),
        engine_id: '2026/11/22-130000.00',
        encrypted: true,
        actions: [may(ACTIONS.restore), may(ACTIONS.seeContents), may(ACTIONS.startDrill)],
      },
    });
  }
  return list;
}

export const databases: BackupDatabase[] = [
  { name: 'billing', size_bytes: '0', total_bytes: '2833398', rows: '50500', tables: 4, changed: false },
  { name: 'rides', size_bytes: '64737', total_bytes: '81380594', rows: '561980', tables: 6, changed: true },
];

export const tables: BackupTable[] = [
  ['customers', '0', '1893410', '12000'],
  ['drivers', '0', '884120', '900'],
  ['payments', '12110', '20481240', '180400'],
  ['ratings', '4096', '3812410', '88200'],
  ['rides', '48531', '54210994', '280000'],
  ['vehicles', '0', '94410', '480'],
].map(([name, size, total, rows]) => ({
  schema: 'public',
  name: name ?? '',
  size_bytes: size ?? '',
  total_bytes: total ?? '',
  rows: rows ?? '',
  columns: [
    { name: 'id', type: 'bigint' },
    { name: 'city', type: 'text' },
  ],
}));

function job(cluster: Cluster, more: Partial<Job>): Job {
  return {
    id: uuid(),
    kind: 'BACKUP',
    state: 'FAILED',
    cluster_id: cluster.id,
    description: `BACKUP INTO 's3://backups/${cluster.id}?AWS_ACCESS_KEY_ID=AKIA3EXAMPLE&AWS_SECRET_ACCESS_KEY=redacted'`,
    created_at: iso(lastHour - 2 * HOUR),
    started_at: iso(lastHour - 2 * HOUR + 1_000),
    finished_at: iso(lastHour - 2 * HOUR + 31_000),
    attempts: 3,
    not_before: iso(lastHour - 2 * HOUR),
    cancel_requested: false,
    actions: [may(ACTIONS.cancel)],
    ...more,
  };
}

export const jobs: Job[] = clusters.flatMap((cluster) => [
  job(cluster, {
    state: 'RUNNING',
    created_at: iso(now - 20_000),
    started_at: iso(now - 18_000),
    finished_at: null,
    progress: {
      step: 'reading',
      fraction: 0.4,
      bytes_done: '4',
      bytes_total: '10',
      tables_done: 1,
      tables_total: 3,
      tables: [],
      notes: [],
    },
  }),
  job(cluster, {
    error_code: 'unreachable',
    error_message:
      'the server rides.db.example:5432 does not answer: connection refused hint: check that it runs, and that a firewall lets this service through',
  }),
]);

export const restores: Restore[] = [];

/** The original has three words for the states of a job. */
export function statusOf(state: Job['state']): Restore['status'] {
  if (state === 'PENDING' || state === 'RUNNING') return 'PENDING';
  return state === 'SUCCEEDED' ? 'SUCCESS' : 'FAILED';
}

export function restore(
  source: Cluster,
  destination: Cluster,
  backup: Backup,
  more: Partial<Restore>,
  state: Job['state'],
): Restore {
  const id = uuid();
  return {
    id,
    backup_id: backup.id,
    status: statusOf(state),
    created_at: iso(Date.now()),
    type: 'DATABASE',
    completion_percent: state === 'SUCCEEDED' ? 1 : 0,
    source_cluster_name: source.name,
    destination_cluster_name: destination.name,
    backup_end_time: backup.as_of_time,
    completed_at: null,
    crdb_job_id: id,
    objects: [{ database: 'rides' }],
    restore_opts: {},
    ...more,
    strongroom: {
      state,
      source_cluster_id: source.id,
      destination_cluster_id: destination.id,
      started_at: iso(Date.now()),
      statement:
        "RESTORE DATABASE rides FROM '2026/11/22-130000.00' IN 's3://backups' WITH new_db_name = 'rides_copy'",
      progress: null,
      set_again: [
        'GRANT SELECT ON ALL TABLES IN SCHEMA public TO reporting',
        "ALTER DATABASE rides SET work_mem = '64MB'",
      ],
      requested_by: 'ada@harbour.example',
      cancel_requested: false,
      actions: [may(ACTIONS.cancel)],
    },
  };
}

export const drills: Drill[] = [0, 1, 2].map((ago) => ({
  id: uuid(),
  state: 'SUCCEEDED',
  backup_id: uuid(),
  backup_as_of_time: iso(lastHour - (ago + 1) * 7 * DAY),
  created_at: iso(lastHour - ago * 7 * DAY),
  started_at: iso(lastHour - ago * 7 * DAY),
  finished_at: iso(lastHour - ago * 7 * DAY + 74_000),
  tables_checked: '11',
  rows_checked: '612480',
  differences: [],
}));

export const serviceAccounts: ServiceAccount[] = [
  {
    id: uuid(),
    name: 'terraform',
    description: 'Keeps clusters and settings as the repository says.',
    creator_name: 'ada@harbour.example',
    created_at: iso(now - 20 * DAY),
    roles: [orgRole('CLUSTER_ADMIN')],
    group_roles: [],
  },
];

export const apiKeys: ApiKey[] = [
  {
    id: uuid(),
    name: 'ci',
    service_account_id: serviceAccounts[0]?.id ?? '',
    created_at: iso(lastHour),
    strongroom: { prefix: 'srk_example', last_used: null },
  },
];
