/** Every page of the console, by a name for messages. */
import type { Page } from '@playwright/test';
import { expect, world } from './world';

export function pages(): Record<string, string> {
  const { clusters, full } = world();
  const shop = `/clusters/${clusters.shop}`;
  const backup = `${shop}/backups/${full}`;
  return {
    clusters: '/clusters',
    attach: '/clusters/attach',
    overview: shop,
    'live databases': `${shop}/databases`,
    backups: `${shop}/backups`,
    'serverless backups': `/clusters/${clusters.notes}/backups`,
    'no backups': `${shop}/backups?date=2020-01-01`,
    'incomplete backups': `${shop}/backups/incomplete`,
    'restore jobs': `${shop}/backups/restore-jobs`,
    settings: `${shop}/backups/settings`,
    drills: `${shop}/backups/drills`,
    databases: `${backup}/databases`,
    tables: `${backup}/databases/shop/tables`,
    rows: `${backup}/databases/shop/tables/public/customers`,
    changes: `${backup}/changes`,
    'restore cluster': `${backup}/restore`,
    'restore database': `${backup}/databases/shop/restore`,
    'restore table': `${backup}/databases/shop/tables/public/orders/restore`,
    users: '/organization/users',
    'service accounts': '/organization/service-accounts',
    'storage locations': '/organization/storage-locations',
    'audit log': '/organization/audit-log',
    organization: '/organization/settings',
    account: '/account',
    'not found': '/nothing/here',
    'no such cluster': '/clusters/00000000-0000-4000-8000-000000000000/backups',
    'no such backup': `${shop}/backups/00000000-0000-4000-8000-000000000000/databases`,
  };
}

/** Waits until a page shows what it has to show. */
export async function settled(page: Page) {
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await page.waitForLoadState('networkidle', { timeout: 3_000 }).catch(() => undefined);
}
