/** What the mock answers to a request. Typed by the console's own types, so that it can not drift from the API. */
import { ACTIONS } from '../src/api/actions';
import type { components } from '../src/api/schema';
import type {
  AuditEntry,
  BackupConfig,
  BackupDiff,
  Cluster,
  CreateRestore,
  Job,
  Progress,
  Restore,
  RestorePlan,
  Session,
} from '../src/api/types';
import {
  apiKeys,
  backupsOf,
  clusters,
  databases,
  drills,
  iso,
  jobs,
  lastHour,
  may,
  organization,
  restore,
  restores,
  serviceAccounts,
  statusOf,
  storageLocations,
  tables,
  users,
  uuid,
} from './data';

type Schemas = components['schemas'];

export interface Reply {
  status?: number;
  body?: unknown;
  events?: (send: (event: string, data: unknown) => void) => () => void;
}

const pagination: Schemas['Pagination'] = { next_page: null, previous_page: null };
const refusal = (status: number, message: string, hint?: string): Reply => ({
  status,
  body: { code: 0, message, details: hint ? [{ '@type': 'strongroom/hint', hint }] : [] },
});

let signedIn = true;
const session = (): Session => ({
  user: users[0],
  service_account: null,
  organization,
  roles: users[0]?.roles ?? [],
  actions: [
    may(ACTIONS.attachCluster),
    may(ACTIONS.renameOrganization),
    may(ACTIONS.manageUsers),
    may(ACTIONS.manageServiceAccounts),
    may(ACTIONS.manageStorage),
    may(ACTIONS.readAuditLog),
  ],
  expires_at: null,
});
const config: BackupConfig = {
  enabled: true,
  frequency_minutes: 60,
  retention_days: 30,
  strongroom: {
    retention_can_be_set: true,
    drill_every_days: 7,
    allowed_frequencies: [5, 10, 15, 30, 60, 240, 1440],
    allowed_retentions: [2, 7, 30, 90, 365],
  },
};

type Handler = (parts: string[], url: URL, body: unknown) => Reply;

export async function answer(method: string, url: URL, body: unknown): Promise<Reply> {
  await new Promise((resolve) => setTimeout(resolve, 120));
  const [noun = '', ...parts] = url.pathname.split('/').filter(Boolean).map(decodeURIComponent);
  if (noun === 'session') return sessionReply(method, body);
  if (!signedIn) return refusal(401, 'not signed in');
  const handlers: Record<string, Handler> = {
    organization: () => ({ body: organization }),
    users: () => ({ body: { users, pagination } satisfies Schemas['Users'] }),
    'service-accounts': () => ({
      body: { service_accounts: serviceAccounts, pagination } satisfies Schemas['ServiceAccounts'],
    }),
    'api-keys': () =>
      method === 'POST'
        ? { body: { api_key: apiKeys[0], secret: 'srk_example_not_a_secret' } }
        : { body: { api_keys: apiKeys, pagination } satisfies Schemas['ApiKeys'] },
    'storage-locations': (rest) =>
      rest[1] === 'check'
        ? { body: { milliseconds: 12 } satisfies Schemas['StorageCheck'] }
        : { body: { storage_locations: storageLocations, pagination } satisfies Schemas['StorageLocations'] },
    auditlogevents: () => ({
      body: {
        entries: ['RESTORE_DATABASE', 'BACKUP_SETTINGS_CHANGED', 'CLUSTER_CREATED', 'USER_LOGIN'].map(
          auditEntry,
        ),
      } satisfies Schemas['AuditLog'],
    }),
    jobs: (rest) => jobReply(rest),
    clusters: (rest) => clustersReply(method, rest, url, body),
  };
  return handlers[noun]?.(parts, url, body) ?? refusal(404, `there is no ${url.pathname}`);
}

const auditEntry = (action: string, index: number): AuditEntry => ({
  id: uuid(),
  created_at: iso(lastHour - index * 5_000_000),
  action: `AUDIT_LOG_ACTION_${action}`,
  source: 'AUDIT_LOG_SOURCE_UI',
  user_email: 'ada@harbour.example',
  cluster_name: clusters[0]?.name,
  payload: '{"frequency_minutes":15}',
  metadata: { ip_address: '192.0.2.7' },
  strongroom: {
    actor: { type: 'USER', name: 'ada@harbour.example' },
    object: { type: 'cluster' },
    outcome: index === 2 ? 'REFUSED' : 'DONE',
    details: { frequency_minutes: 15 },
  },
});

function sessionReply(method: string, body: unknown): Reply {
  if (method === 'POST') {
    if ((body as { password?: string }).password === 'wrong')
      return refusal(401, 'the e-mail address or the password is wrong');
    signedIn = true;
  }
  if (method === 'DELETE') signedIn = false;
  return signedIn ? { body: session() } : refusal(401, 'not signed in');
}

function clustersReply(method: string, [id, noun, ...rest]: string[], url: URL, body: unknown): Reply {
  if (id === undefined) {
    const all = url.searchParams.get('show_inactive') === 'true';
    const shown = clusters.filter((cluster) => all || cluster.state !== 'DELETED');
    return { body: { clusters: shown, pagination } satisfies Schemas['Clusters'] };
  }
  if (id === 'check-connection')
    return {
      body: {
        server_version: '17.2',
        system_identifier: '1',
        privileges: ['superuser'],
        problems: [],
      } satisfies Schemas['CheckedConnection'],
    };
  const cluster = clusters.find((one) => one.id === id);
  if (!cluster) return refusal(404, 'there is no such cluster');
  switch (noun) {
    case undefined:
      return { body: cluster };
    case 'connection-string':
      return {
        body: {
          connection_string: cluster.strongroom.connection_url ?? '',
          params: {},
        } satisfies Schemas['ConnectionString'],
      };
    case 'databases':
      return {
        body: {
          databases: ['billing', 'rides', 'rides_copy'].map((name) => ({
            name,
            table_count: '6',
            strongroom: { regions: [], owner: 'app' },
          })),
          pagination,
        } satisfies Schemas['Databases'],
      };
    case 'backups-config':
      if (method === 'PATCH') {
        const { strongroom, ...rest } = body as Partial<BackupConfig>;
        Object.assign(config, rest);
        Object.assign(config.strongroom, strongroom);
      }
      return { body: config };
    case 'backup-days':
      return { body: { days: daysOf(cluster) } satisfies Schemas['BackupDays'] };
    case 'storage-history':
      return {
        body: {
          points: backupsOf(cluster)
            .toReversed()
            .map((backup, index) => ({
              at: backup.as_of_time,
              stored_bytes: String(2.1e9 + index * 4e6 - (index % 24) * 1e6),
              size_bytes: '84213992',
            })),
        } satisfies Schemas['StorageHistory'],
      };
    case 'incomplete-backups':
      return {
        body: {
          incomplete_backups: jobs.filter((job) => job.cluster_id === id),
          pagination,
        } satisfies Schemas['IncompleteBackups'],
      };
    case 'jobs':
      return {
        body: {
          jobs: jobs.filter((job) => job.cluster_id === id && job.state === url.searchParams.get('state')),
          pagination,
        } satisfies Schemas['Jobs'],
      };
    case 'drills':
      return { body: method === 'POST' ? drills[0] : ({ drills, pagination } satisfies Schemas['Drills']) };
    case 'restore-plans':
      return { body: planOf(cluster, body as CreateRestore) };
    case 'restores':
      return restoresReply(method, cluster, rest, body as CreateRestore);
    case 'backups':
      return backupsReply(cluster, rest, url);
    default:
      return refusal(404, `there is no ${noun}`);
  }
}

function daysOf(cluster: Cluster) {
  const days = new Map<string, number>();
  for (const backup of backupsOf(cluster)) {
    const day = backup.as_of_time.slice(0, 10);
    days.set(day, (days.get(day) ?? 0) + 1);
  }
  return [...days].map(([date, complete], index) => ({ date, complete, failed: index % 6 === 2 ? 1 : 0 }));
}

function backupsReply(cluster: Cluster, [id, noun, database, , ...table]: string[], url: URL): Reply {
  const all = backupsOf(cluster);
  if (id === undefined) {
    const from = url.searchParams.get('start_time') ?? '';
    const until = url.searchParams.get('end_time') ?? '9';
    return {
      body: {
        backups: all.filter((one) => one.as_of_time >= from && one.as_of_time < until),
        pagination,
      } satisfies Schemas['Backups'],
    };
  }
  const backup = all.find((one) => one.id === id);
  if (!backup) return refusal(404, 'there is no such backup');
  if (noun === undefined) return { body: backup };
  if (noun === 'diff') return { body: diff };
  if (database === undefined)
    return { body: { databases, omissions: [] } satisfies Schemas['BackupDatabases'] };
  if (table.length === 0) return { body: { tables } satisfies Schemas['BackupTables'] };
  const rows = Array.from({ length: 100 }, (_, index) => [
    String(index + 1),
    index % 7 === 3 ? null : 'Helsinki',
    '2026-11-22 13:00:00+00',
  ]);
  return {
    body: {
      columns: ['id', 'city', 'started_at'].map((name) => ({ name, type: 'text' })),
      rows,
      rows_in_all: '280000',
      truncated: true,
      notes: [],
    } satisfies Schemas['BackupRows'],
  };
}

const diff: BackupDiff = {
  databases: [
    {
      name: 'rides',
      change: 'CHANGED',
      definitions: [
        {
          change: 'ADDED',
          kind: 'index',
          schema: 'public',
          name: 'rides_by_day',
          after: 'CREATE INDEX rides_by_day ON public.rides USING btree (day);',
        },
      ],
      tables: [
        {
          schema: 'public',
          name: 'rides',
          change: 'CHANGED',
          rows_added: '412',
          rows_removed: '3',
          exact: true,
        },
      ],
      sequences: [{ schema: 'public', name: 'rides_id_seq', before: '280000', after: '280412' }],
      large_objects_changed: 0,
    },
  ],
  roles: [],
  notes: [],
};

function planOf(cluster: Cluster, body: CreateRestore): RestorePlan {
  const options = body.restore_opts ?? {};
  const name = options.new_db_name ?? body.objects?.[0]?.database ?? '';
  const taken = body.type === 'DATABASE' && ['rides', 'billing'].includes(name);
  const lacks = body.type === 'TABLE' && !options.skip_missing_foreign_keys;
  return {
    backup_id: body.backup_id ?? '',
    target: cluster.name,
    creates: [{ kind: 'database', name }],
    uses: [],
    conflicts: taken
      ? [
          {
            kind: 'database',
            name,
            message: `database "${name}" already exists on ${cluster.strongroom.connection_url}`,
            resolutions: [
              `new_db_name ${name}_restored`,
              `ALTER DATABASE ${name} RENAME TO ${name}_old;`,
              `DROP DATABASE ${name};`,
            ],
          },
        ]
      : [],
    missing: lacks
      ? [
          {
            kind: 'table',
            name: 'public.customers',
            needed_by: 'rides_customer_fkey',
            option: 'skip_missing_foreign_keys',
            message: `fk constraint public.rides rides_customer_fkey needs table public.customers, which is neither restored nor in database "${options.into_db}"`,
            resolutions: [
              'name rides.public.customers too, to restore it',
              'skip_missing_foreign_keys (leaves the foreign key out)',
            ],
          },
        ]
      : [],
    replaces: body.type === 'CLUSTER' ? ['database billing', 'database rides'] : [],
    notes: ['statistics are not restored: run ANALYZE in each restored database, or leave it to autovacuum'],
    tables: 7,
    rows: '561980',
    size_bytes: '84213992',
    stored_bytes: '23881042',
    set_again: ['GRANT SELECT ON ALL TABLES IN SCHEMA public TO reporting'],
    statement: `RESTORE DATABASE rides FROM '2026/11/22-130000.00' IN 's3://backups' WITH new_db_name = '${name}'`,
  };
}

function restoresReply(method: string, cluster: Cluster, [id, verb]: string[], body: CreateRestore): Reply {
  const known = restores.find((one) => one.id === id);
  if (verb === 'cancel' && known) {
    known.strongroom.cancel_requested = true;
    return { body: known };
  }
  if (known) return { body: known };
  if (method === 'POST') {
    const source = clusters.find((one) => one.id === body.source_cluster_id) ?? cluster;
    const backup = backupsOf(source).find((one) => one.id === body.backup_id);
    if (!backup) return refusal(404, 'there is no such backup');
    const more = { type: body.type, objects: body.objects ?? [], restore_opts: body.restore_opts ?? {} };
    const created = restore(source, cluster, backup, more, 'RUNNING');
    restores.unshift(created);
    return { body: created };
  }
  return {
    body: { restores: [...restores, ...examples(cluster)], pagination } satisfies Schemas['Restores'],
  };
}

const kept = new Map<string, Restore[]>();

function examples(cluster: Cluster): Restore[] {
  const backup = backupsOf(cluster)[3];
  if (!backup) return [];
  const list = kept.get(cluster.id) ?? [
    restore(cluster, cluster, backup, { completed_at: iso(lastHour) }, 'SUCCEEDED'),
    restore(
      cluster,
      cluster,
      backup,
      { type: 'CLUSTER', objects: [], completed_at: iso(lastHour) },
      'FAILED',
    ),
  ];
  const failed = list[1];
  if (failed) {
    failed.strongroom.error_code = 'exhausted';
    failed.strongroom.error_message = 'the server has no room left: could not extend file "base/16384/16397"';
  }
  kept.set(cluster.id, list);
  for (const one of list) if (!restores.includes(one)) restores.push(one);
  return [];
}

/** Follows a restore that pretends to load three tables in half a minute. */
function jobReply([id, verb]: string[]): Reply {
  const known = restores.find((one) => one.id === id);
  if (!known || verb !== 'events')
    return known ? { body: {} } : { body: jobs.find((job) => job.id === id) ?? {} };
  return {
    events: (send) => {
      const timer = setInterval(() => {
        known.completion_percent = Math.min(1, known.completion_percent + 0.02);
        const done = known.completion_percent === 1;
        const state = known.strongroom.cancel_requested ? 'CANCELED' : done ? 'SUCCEEDED' : 'RUNNING';
        known.strongroom.state = state;
        known.status = statusOf(state);
        known.completed_at = state === 'RUNNING' ? null : iso(Date.now());
        known.strongroom.progress = progressOf(known.completion_percent);
        send('job', {
          ...jobs[0],
          id: known.id,
          kind: 'RESTORE',
          state,
          finished_at: known.completed_at,
          progress: known.strongroom.progress,
          cancel_requested: known.strongroom.cancel_requested,
        } satisfies Partial<Job>);
        if (state !== 'RUNNING') clearInterval(timer);
      }, 600);
      return () => clearInterval(timer);
    },
  };
}

function progressOf(fraction: number): Progress {
  return {
    step: 'loading rows',
    fraction,
    bytes_done: String(Math.round(84213992 * fraction)),
    bytes_total: '84213992',
    tables_done: Math.floor(fraction * tables.length),
    tables_total: tables.length,
    tables: tables.map((table, index) => {
      const part = Math.max(0, Math.min(1, fraction * tables.length - index));
      return {
        database: 'rides',
        schema: 'public',
        name: table.name,
        rows_done: String(Math.round(Number(table.rows) * part)),
        bytes_done: String(Math.round(Number(table.total_bytes) * part)),
        bytes_total: table.total_bytes,
        state: part === 0 ? 'WAITING' : part === 1 ? 'DONE' : 'RUNNING',
      };
    }),
    notes: [],
  };
}
