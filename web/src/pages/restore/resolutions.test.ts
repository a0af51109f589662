import { expect, it } from 'vitest';
import { isNamedToo, resolutionOf } from './resolutions';

it.each([
  ['new_db_name shop_restored', { kind: 'rename', name: 'shop_restored' }],
  ['new_table_name orders_restored', { kind: 'rename', name: 'orders_restored' }],
  ['new_table_name "Order lines"_restored', { kind: 'rename', name: 'Order lines_restored' }],
  ['DROP DATABASE shop;', { kind: 'statement', text: 'DROP DATABASE shop;' }],
  ['CREATE ROLE "clerk";', { kind: 'statement', text: 'CREATE ROLE "clerk";' }],
  ['into_schema or into_db with another name', undefined],
  ['skip_missing_roles (the connecting role owns such objects; grants are left out)', undefined],
  [
    'into_db with the name of a new database',
    { kind: 'advice', text: 'Restore it into a new database, by another name in Restore to.' },
  ],
  [
    'install the package with extension "postgis" on the target\'s machine',
    { kind: 'advice', text: 'Install the package with extension "postgis" on the target\'s machine.' },
  ],
])('%s', (text, resolution) => {
  expect(resolutionOf(text)).toEqual(resolution);
});

it('what asks for another object to be named is known', () => {
  expect(isNamedToo('name shop.public.customers too, to restore it')).toBe(true);
  expect(isNamedToo('into_db with the name of a new database, and public.f named too')).toBe(true);
  expect(isNamedToo('DROP TABLE name;')).toBe(false);
});
