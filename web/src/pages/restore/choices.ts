/** The choices of a restore module as they stand in its address, so that a restore can be begun again with the same. */
import type { Restore, RestoreOptions } from '../../api/types';
import { paths } from '../../paths';

const NAMES = ['new_db_name', 'into_db', 'into_schema', 'new_table_name'] as const;
export const SKIPS = [
  'skip_missing_foreign_keys',
  'skip_missing_sequences',
  'skip_missing_views',
  'skip_missing_roles',
] as const;

export type Skip = (typeof SKIPS)[number];

export interface Choices {
  /** The destination's id. */
  to?: string;
  names: Partial<Record<(typeof NAMES)[number], string>>;
  skips: Skip[];
}

export function choicesOf(search: URLSearchParams): Choices {
  const skips = search.getAll('skip');
  return {
    to: search.get('to') ?? undefined,
    names: Object.fromEntries(NAMES.flatMap((name) => (search.has(name) ? [[name, search.get(name)]] : []))),
    skips: SKIPS.filter((skip) => skips.includes(skip)),
  };
}

export function searchOf(destination: string, options: RestoreOptions): string {
  const search = new URLSearchParams({ to: destination });
  for (const name of NAMES) if (options[name]) search.set(name, options[name]);
  for (const skip of SKIPS) if (options[skip]) search.append('skip', skip);
  return search.toString();
}

/** The module of the same restore, with the same choices; none where one of its clusters is hidden. */
export function againPath(restore: Restore): string | undefined {
  const { source_cluster_id: source, destination_cluster_id: destination } = restore.strongroom;
  const { backup_id: backup } = restore;
  if (!source || !destination || !backup) return undefined;
  const search = searchOf(destination, restore.restore_opts);
  const [object, ...more] = restore.objects;
  if (restore.type === 'CLUSTER') return `${paths.restoreCluster(source, backup)}?${search}`;
  // A request may have named several; the module restores one.
  if (!object || more.length > 0) return undefined;
  if (restore.type === 'DATABASE')
    return `${paths.restoreDatabase(source, backup, object.database)}?${search}`;
  if (!object.table) return undefined;
  return `${paths.restoreTable(source, backup, object.database, object.schema ?? 'public', object.table)}?${search}`;
}
