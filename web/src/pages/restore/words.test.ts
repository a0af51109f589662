import { expect, it } from 'vitest';
import { choicesOf, searchOf } from './choices';
import { restoreType, shortId } from './words';

const orders = { database: 'shop', schema: 'public', table: 'orders' };

it.each([
  ['Cluster', { type: 'CLUSTER', objects: [], restore_opts: {} }],
  ['Database shop', { type: 'DATABASE', objects: [{ database: 'shop' }], restore_opts: {} }],
  [
    'Database shop → shop_copy',
    { type: 'DATABASE', objects: [{ database: 'shop' }], restore_opts: { new_db_name: 'shop_copy' } },
  ],
  ['Table shop.public.orders', { type: 'TABLE', objects: [orders], restore_opts: { into_db: 'shop' } }],
  [
    'Table shop.public.orders → fresh.public.orders',
    { type: 'TABLE', objects: [orders], restore_opts: { into_db: 'fresh' } },
  ],
  [
    'Table shop.public.orders → shop.public.orders_before',
    { type: 'TABLE', objects: [orders], restore_opts: { new_table_name: 'orders_before' } },
  ],
] as const)('%s', (told, { type, objects, restore_opts }) => {
  expect(restoreType({ type, objects: [...objects], restore_opts })).toBe(told);
});

it('restores of the same minute have different short ids', () => {
  expect(shortId('01a20491-e732-727d-9164-d26ee9a81114')).not.toBe(
    shortId('01a20491-f001-727d-9164-d26ee9a84b2c'),
  );
});

it('the choices of a restore are found again in the address of its module', () => {
  const options = { into_db: 'a & b', new_table_name: 'orders_2', skip_missing_views: true };
  expect(choicesOf(new URLSearchParams(searchOf('7', options)))).toEqual({
    to: '7',
    names: { into_db: 'a & b', new_table_name: 'orders_2' },
    skips: ['skip_missing_views'],
  });
});
