import type { Restore } from '../../api/types';

const TYPES = { CLUSTER: 'Cluster', DATABASE: 'Database', TABLE: 'Table' } as const;

/** `Database`, with what of it: `Table shop.public.orders`. */
export function restoreType(restore: Restore): string {
  const objects = restore.objects.map((object) =>
    [object.database, object.schema, object.table].filter(Boolean).join('.'),
  );
  return [TYPES[restore.type], objects.join(', ')].filter(Boolean).join(' ');
}
