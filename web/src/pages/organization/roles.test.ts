import { expect, it } from 'vitest';
import { EVERYWHERE, grantOn, isSame } from './roles';

it('a role that somebody has is not added twice', () => {
  // As the API tells them: of the organization there is no id.
  const everywhere = { name: 'CLUSTER_ADMIN' as const, resource: { type: 'ORGANIZATION' as const } };
  const shop = { name: 'CLUSTER_ADMIN' as const, resource: { type: 'CLUSTER' as const, id: 'shop' } };
  expect(isSame(grantOn(EVERYWHERE, 'CLUSTER_ADMIN'), everywhere)).toBe(true);
  expect(isSame(grantOn('shop', 'CLUSTER_ADMIN'), shop)).toBe(true);
  expect(isSame(grantOn('shop', 'CLUSTER_ADMIN'), everywhere)).toBe(false);
  expect(isSame(grantOn('shop', 'CLUSTER_ADMIN'), { ...shop, name: 'CLUSTER_MONITOR' })).toBe(false);
});
