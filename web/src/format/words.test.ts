import { expect, it } from 'vitest';
import { sentence } from './words';

it.each([
  [
    'cluster spare is unavailable while it is being restored',
    'Cluster spare is unavailable while it is being restored.',
  ],
  [
    'fk constraint public.orders needs table public.customers',
    'Fk constraint public.orders needs table public.customers.',
  ],
  ['database "shop" already exists', 'Database "shop" already exists.'],
  ['Not signed in.', 'Not signed in.'],
  ['shop.public.orders is not in the backup', 'shop.public.orders is not in the backup.'],
  ['ALTER ROLE clerk LOGIN;', 'ALTER ROLE clerk LOGIN;'],
  ['GRANT SELECT ON orders TO clerk', 'GRANT SELECT ON orders TO clerk'],
  ['', ''],
])('the reason %j becomes %j', (reason, said) => {
  expect(sentence(reason)).toBe(said);
});
