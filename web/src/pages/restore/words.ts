import type { Restore } from '../../api/types';

const TYPES = { CLUSTER: 'Cluster', DATABASE: 'Database', TABLE: 'Table' } as const;

type Told = Pick<Restore, 'type' | 'objects' | 'restore_opts'>;

/** `Database`, with what of it, and as what: `Table shop.public.orders → fresh.public.orders`. */
export function restoreType(restore: Told): string {
  const objects = restore.objects.map(({ database, schema, table }) => dotted(database, schema, table));
  const what = [TYPES[restore.type], objects.join(', ')].filter(Boolean).join(' ');
  const to = restoredTo(restore);
  return to && !objects.includes(to) ? `${what} → ${to}` : what;
}

/** The name that it gets in the destination. Undefined: the clusters' names say all. */
export function restoredTo({ type, objects, restore_opts: options }: Told): string | undefined {
  const [object, ...more] = objects;
  if (type === 'CLUSTER' || !object) return undefined;
  if (type === 'DATABASE') return more.length > 0 ? undefined : (options.new_db_name ?? object.database);
  const into = options.into_db ?? object.database;
  if (more.length > 0) return into === object.database ? undefined : into;
  return dotted(into, options.into_schema ?? object.schema, options.new_table_name ?? object.table);
}

const dotted = (...parts: (string | null | undefined)[]) => parts.filter(Boolean).join('.');

/** Ids begin with the time: those of restores that were begun in the same minute differ only at their end. */
export const shortId = (id: string): string => id.slice(-8);

/** From which cluster into which. The name of one that is hidden from this person is empty. */
export function fromTo(restore: Pick<Restore, 'source_cluster_name' | 'destination_cluster_name'>): string {
  const { source_cluster_name: source, destination_cluster_name: destination } = restore;
  return `${source || HIDDEN} > ${destination || HIDDEN}`;
}

const HIDDEN = 'another cluster';
