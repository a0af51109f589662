/** A small organization whose backups look like real ones. Everything is made from the present hour. */
import type {
  Action,
  Backup,
  Cluster,
  Drill,
  Job,
  Restore,
  RoleGrant,
  ServiceAccount,
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

const orgRole = (name: string): RoleGrant =>
  ({ name, resource: { type: 'ORGANIZATION', id: 'org' } }) as RoleGrant;

export const organization = {
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

interface Plan {
  name: string;
  plan: Cluster['strongroom']['plan'];
  provider: Cluster['strongroom']['provider'];
  regions: string[];
  more?: Partial<Cluster['strongroom']>;
}

function cluster({ name, plan, provider, regions, more }: Plan): Cluster {
  return {
    id: uuid(),
    name,
    cockroach_version: '17',
    plan: plan === 'DEDICATED' ? 'ADVANCED' : 'STANDARD',
    cloud_provider: 'GCP',
    state: 'CREATED',
    operation_status: 'UNSPECIFIED',
    created_at: iso(now - 60 * DAY),
    regions: regions.map((region, index) => ({ name: region, primary: index === 0, node_count: 1 })),
    strongroom: {
      engine: 'postgres',
      plan,
      provider,
      regions,
      primary_region: regions[0] ?? null,
      storage_location_id: null,
      connection_url: `postgresql://strongroom@${name}.db.example:5432/postgres`,
      server_version: '17.2',
      managed_backups: { available: true, reason: null },
      last_backup_at: iso(lastHour),
      next_backup_at: iso(lastHour + HOUR),
      missed: false,
      last_backup_failed: false,
      unavailable: null,
      actions: [may('create_backup')],
      ...more,
    },
  } as unknown as Cluster;
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
        reason: 'Managed backups are in limited access for Dedicated clusters on Azure.',
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
    more: { unavailable: 'A restore is replacing all of its data since a minute.' },
  }),
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
    list.push({
      id: `${cluster.id.slice(0, -12)}${(at / 1000).toString(16).padStart(12, '0')}`,
      as_of_time: iso(at),
      strongroom: {
        type: full ? 'FULL' : 'INCREMENTAL',
        status: 'COMPLETE',
        size_bytes: String(full ? 84_213_992 : 64_737 + (at % 97) * 1_913),
        stored_bytes: String(full ? 23_881_042 : 14_220),
        rows: '612480',
        expires_at: iso(at + kept * DAY),
        finished_at: iso(at + 9_000),
        databases: 2,
        full_id: null,
        engine_id: '2026/11/22-130000.00',
        encrypted: true,
        actions: [may('restore')],
      },
    } as Backup);
  }
  return list;
}

export const databases = [
  { name: 'billing', size_bytes: '0', rows: '50500', tables: 4, regions: [], changed: false },
  { name: 'rides', size_bytes: '64737', rows: '561980', tables: 7, regions: [], changed: true },
];

export const tables = [
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
    cancel_requested: false,
    actions: [may('cancel')],
    ...more,
  } as Job;
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
    error_code: '08006',
    error_message: 'the server rides.db.example:5432 does not answer: connection refused',
  }),
]);

export const restores: Restore[] = [];

export function restore(
  source: Cluster,
  destination: Cluster,
  backup: Backup,
  more: Partial<Restore>,
  state: Job['state'],
): Restore {
  return {
    id: uuid(),
    backup_id: backup.id,
    status: 'PENDING',
    created_at: iso(Date.now()),
    type: 'DATABASE',
    completion_percent: state === 'SUCCEEDED' ? 1 : 0,
    source_cluster_name: source.name,
    destination_cluster_name: destination.name,
    backup_end_time: backup.as_of_time,
    completed_at: null,
    objects: [{ database: 'rides' }],
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
      actions: [may('cancel')],
    },
  } as Restore;
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
})) as unknown as Drill[];

export const serviceAccounts: ServiceAccount[] = [
  {
    id: uuid(),
    name: 'terraform',
    description: 'Keeps clusters and settings as the repository says.',
    created_at: iso(now - 20 * DAY),
    roles: [orgRole('CLUSTER_ADMIN')],
  } as ServiceAccount,
];
