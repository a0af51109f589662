import { expect, it } from 'vitest';
import { asApi, asCli, collectionOf } from './command';

const place = {
  engineId: '2026/11/22-130000.00',
  collection: collectionOf('s3://bucket/backups/?AWS_REGION=eu-west-1', 'c1'),
  to: 'postgresql://postgres@db:5432',
};

it("a cluster's collection is a folder of its location", () => {
  expect(place.collection).toBe('s3://bucket/backups/c1?AWS_REGION=eu-west-1');
  expect(collectionOf('file:///srv/backups', 'c1')).toBe('file:///srv/backups/c1');
});

it('a table goes beside the live one', () => {
  const body = {
    type: 'TABLE' as const,
    backup_id: 'b',
    objects: [{ database: 'shop', schema: 'public', table: "o'brien" }],
    restore_opts: { new_table_name: 'orders_before', into_db: 'shop', skip_missing_foreign_keys: true },
  };
  expect(asCli(body, place)).toMatchInlineSnapshot(`
    "strongroom restore table 'shop.public.o'\\''brien' \\
      --into-db shop \\
      --new-table-name orders_before \\
      --skip-missing-foreign-keys \\
      --from 2026/11/22-130000.00 \\
      --in 's3://bucket/backups/c1?AWS_REGION=eu-west-1' \\
      --to postgresql://postgres@db:5432"
  `);
  expect(asApi('https://backups.example', 'c2', body)).toMatchInlineSnapshot(`
    "curl -X POST https://backups.example/api/v1/clusters/c2/restores \\
      -H "Authorization: Bearer $STRONGROOM_API_KEY" \\
      -H 'Content-Type: application/json' \\
      -d '{
      "type": "TABLE",
      "backup_id": "b",
      "objects": [
        {
          "database": "shop",
          "schema": "public",
          "table": "o'\\''brien"
        }
      ],
      "restore_opts": {
        "new_table_name": "orders_before",
        "into_db": "shop",
        "skip_missing_foreign_keys": true
      }
    }'"
  `);
});

it('a cluster, by somebody who may not know where its backups lie', () => {
  expect(
    asCli({ type: 'CLUSTER', backup_id: 'b' }, { ...place, collection: undefined }),
  ).toMatchInlineSnapshot(`
    "strongroom restore cluster \\
      --from 2026/11/22-130000.00 \\
      --in "$STRONGROOM_COLLECTION" \\
      --to postgresql://postgres@db:5432"
  `);
});
