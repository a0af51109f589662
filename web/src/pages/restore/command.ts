/** The same restore for those who rather type: as a request of the API, and as a command without the service. */
import type { CreateRestore } from '../../api/types';

/** A word of a shell command; quoted only where it has to be. */
export const word = (text: string) =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

export function asApi(origin: string, destination: string, body: CreateRestore): string {
  const data = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return [
    `curl -X POST ${word(`${origin}/api/v1/clusters/${destination}/restores`)} \\`,
    '  -H "Authorization: Bearer $STRONGROOM_API_KEY" \\',
    "  -H 'Content-Type: application/json' \\",
    `  -d '${data}'`,
  ].join('\n');
}

interface Place {
  /** The backup's name in its collection. */
  engineId: string;
  /** The collection's URL without secrets, if this caller may know it. */
  collection: string | undefined;
  /** The destination's URL without secrets. */
  to: string | undefined;
}

const SKIPS = [
  ['skip_missing_foreign_keys', '--skip-missing-foreign-keys'],
  ['skip_missing_sequences', '--skip-missing-sequences'],
  ['skip_missing_views', '--skip-missing-views'],
  ['skip_missing_roles', '--skip-missing-roles'],
] as const;

export function asCli(body: CreateRestore, place: Place): string {
  const options = body.restore_opts ?? {};
  const parts = [
    ...whatOf(body),
    ...SKIPS.flatMap(([option, name]) => (options[option] ? [name] : [])),
    `--from ${word(place.engineId)}`,
    place.collection ? `--in ${word(place.collection)}` : '--in "$STRONGROOM_COLLECTION"',
    place.to ? `--to ${word(place.to)}` : '--to "$DATABASE_URL"',
  ];
  return `strongroom restore ${parts.join(' \\\n  ')}`;
}

const flag = (name: string, value: string | null | undefined) => (value ? [`${name} ${word(value)}`] : []);

function whatOf({ type, objects, restore_opts: options }: CreateRestore): string[] {
  const object = objects?.[0];
  switch (type) {
    case 'CLUSTER':
      return ['cluster'];
    case 'DATABASE':
      return [`database ${word(object?.database ?? '')}`, ...flag('--restore-to', options?.new_db_name)];
    default:
      return [
        `table ${word([object?.database, object?.schema, object?.table].join('.'))}`,
        ...flag('--into-db', options?.into_db),
        ...flag('--into-schema', options?.into_schema),
        ...flag('--new-table-name', options?.new_table_name),
      ];
  }
}

/** Each cluster has a collection of its own below its storage location's URL. */
export function collectionOf(location: string | undefined, cluster: string): string | undefined {
  if (!location) return undefined;
  const [path = '', query] = location.split('?', 2);
  return `${path.replace(/\/+$/, '')}/${cluster}${query ? `?${query}` : ''}`;
}
