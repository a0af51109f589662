import type { Page } from '@playwright/test';
import {
  Api,
  exists,
  expect,
  headers,
  lock,
  PEOPLE,
  restoreEnds,
  rows,
  sql,
  test,
  until,
  world,
} from './world';

const total = (server: 'shop' | 'spare', database: string, table = 'orders') =>
  sql<{ rows: string; sum: string }>(
    server,
    database,
    `SELECT count(*) AS rows, sum(total) AS sum FROM ${table}`,
  );

async function goOn(page: Page) {
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByRole('heading', { name: 'Review' })).toBeVisible();
}

test('M13 M21 a database beside the live one, after its naming conflict is told', async ({ page }) => {
  const { clusters, full } = world();
  await page.goto(`/clusters/${clusters.shop}/backups/${full}/databases`);
  await page.getByRole('link', { name: 'Restore shop' }).click();
  await expect(page.getByRole('heading', { name: 'Restore database' })).toBeVisible();
  await expect(page.getByText('Skip missing foreign keys')).toBeVisible();
  await expect(page.getByText('Skip missing sequences')).toBeVisible();
  await expect(page.getByText('Skip missing views')).toBeVisible();

  // Its own name is taken: the statements that make it free are there to be copied, and another name is a click away.
  await expect(page.getByText('Conflict: database shop')).toBeVisible();
  await expect(page.getByText(/DROP DATABASE "?shop"?/)).toBeVisible();
  await expect(page.getByText(/ALTER DATABASE "?shop"? RENAME TO/)).toBeVisible();
  await expect(page.getByRole('button', { name: 'Continue' })).toHaveAttribute('aria-disabled', 'true');

  const name = page.getByRole('textbox', { name: 'Restore to', exact: true });
  await page.getByRole('button', { name: 'Restore to shop_restored instead' }).click();
  await expect(name).toHaveValue('shop_restored');
  await expect(page.getByText('Conflict: database shop')).toBeHidden();
  await expect(page.getByRole('button', { name: 'Continue' })).not.toHaveAttribute('aria-disabled', 'true');
  await name.fill('shop_copy');
  await goOn(page);
  await page.getByText('Copy as SQL, API or CLI').click();
  await expect(page.getByText(/RESTORE DATABASE "?shop"? FROM/)).toBeVisible();
  await page.getByRole('button', { name: 'Restore', exact: true }).click();

  const job = await restoreEnds(page, 'Succeeded');
  await expect(job).toContainText('shop > shop');
  await expect(job).toContainText('Database shop → shop_copy');
  expect(await total('shop', 'shop_copy')).toEqual([{ rows: '20000', sum: '300015000.00' }]);
  // The live one is as it was: one order was changed since.
  expect((await total('shop', 'shop'))[0]?.sum).toBe('300014998.50');
});

test('M21 a conflict that is resolved in a terminal goes away by itself', async ({ page }) => {
  const { clusters, full } = world();
  await sql('shop', 'postgres', 'CREATE DATABASE in_the_way');
  await page.goto(`/clusters/${clusters.shop}/backups/${full}/databases/ledger/restore`);
  await page.getByRole('textbox', { name: 'Restore to', exact: true }).fill('in_the_way');
  await expect(page.getByText('Conflict: database in_the_way')).toBeVisible();
  await sql('shop', 'postgres', 'ALTER DATABASE in_the_way RENAME TO out_of_the_way');
  await expect(page.getByText('Conflict: database in_the_way')).toBeHidden();
  await expect(page.getByRole('button', { name: 'Continue' })).not.toHaveAttribute('aria-disabled', 'true');
  await sql('shop', 'postgres', 'DROP DATABASE out_of_the_way');
});

test('M14 a table beside the live one, and into another database without what it refers to', async ({
  page,
}) => {
  const { clusters, full } = world();
  await page.goto(`/clusters/${clusters.shop}/backups/${full}/databases/shop/tables`);
  await page.getByRole('link', { name: 'Restore orders' }).click();
  await expect(page.getByRole('heading', { name: 'Restore table' })).toBeVisible();
  await expect(page.getByText(/^Conflict: table/)).toBeVisible();
  await page.getByRole('textbox', { name: 'Table name' }).fill('orders_before');
  await expect(page.getByText(/^Conflict: table/)).toBeHidden();
  await goOn(page);
  // The browser's Back leads from the review to the choices, which are as they were.
  await page.goBack();
  await expect(page.getByRole('heading', { name: 'Backup details' })).toBeFocused();
  await expect(page.getByRole('textbox', { name: 'Table name' })).toHaveValue('orders_before');
  await goOn(page);
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await restoreEnds(page, 'Succeeded');
  expect(await total('shop', 'shop', 'orders_before')).toEqual([{ rows: '20000', sum: '300015000.00' }]);

  await page.goto(`/clusters/${clusters.shop}/backups/${full}/databases/shop/tables/public/orders/restore`);
  await page.getByRole('textbox', { name: 'Restore to', exact: true }).fill('inspection');
  await expect(page.getByText(/^Missing: /).first()).toBeVisible();
  await expect(page.getByRole('button', { name: 'Continue' })).toHaveAttribute('aria-disabled', 'true');
  await page.getByRole('button', { name: 'Skip missing foreign keys' }).click();
  await expect(page.getByRole('checkbox', { name: 'Skip missing foreign keys' })).toBeChecked();
  await expect(page.getByText(/^Missing: /)).toHaveCount(0);
  await goOn(page);
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await restoreEnds(page, 'Succeeded');
  expect(await total('shop', 'inspection')).toEqual([{ rows: '20000', sum: '300015000.00' }]);

  // Begun again, it has the same choices.
  const newest = page.getByRole('table', { name: 'Restore Jobs' }).getByRole('row').nth(1);
  await expect(newest).toContainText('Table shop.public.orders → inspection.public.orders');
  await newest.getByRole('link', { name: /^Restore job/ }).click();
  await page.getByRole('link', { name: 'Restore again' }).click();
  await expect(page.getByRole('textbox', { name: 'Restore to', exact: true })).toHaveValue('inspection');
  await expect(page.getByRole('checkbox', { name: 'Skip missing foreign keys' })).toBeChecked();
});

test('M12 M23 a cluster into another one, whose name is typed', async ({ page }) => {
  const { clusters, full } = world();
  await page.goto(`/clusters/${clusters.shop}/backups`);
  await page
    .getByRole('row', { name: /Full/ })
    .last()
    .getByRole('link', { name: /^Restore/ })
    .click();
  await expect(page).toHaveURL(new RegExp(`/backups/${full}/restore$`));
  await expect(page.getByRole('heading', { name: 'Restore cluster' })).toBeVisible();
  await page.getByRole('combobox', { name: 'Restore to cluster' }).click();
  await page.getByRole('option', { name: 'spare' }).click();
  await goOn(page);
  await expect(page.getByRole('alert')).toContainText('All data is erased and replaced');
  const restore = page.getByRole('button', { name: 'Restore', exact: true });
  await expect(restore).toBeDisabled();
  await page.getByRole('textbox', { name: 'Type spare to confirm' }).fill('shop');
  await expect(restore).toBeDisabled();
  await page.getByRole('textbox', { name: 'Type spare to confirm' }).fill('spare');
  await restore.click();

  const job = await restoreEnds(page, 'Succeeded');
  await expect(job).toContainText('shop > spare');
  expect(await total('spare', 'shop')).toEqual([{ rows: '20000', sum: '300015000.00' }]);
  expect(await exists('spare', 'leftover')).toBe(false);

  await job.getByRole('link', { name: /^Restore job/ }).click();
  await expect(page.getByText('The restore succeeded')).toBeVisible();
  await expect(page.getByText(/To be set again by you|Nothing has to be set again/)).toBeVisible();
  await page.reload();
  await expect(page.getByText('The restore succeeded')).toBeVisible();
});

test('M15 a restore fails midway: the target is as it was, and the reason is told', async ({ page }) => {
  const { clusters, full } = world();
  await page.goto(`/clusters/${clusters.shop}/backups/${full}/databases/fragile/restore`);
  await page.getByRole('textbox', { name: 'Restore to', exact: true }).fill('fragile_copy');
  await goOn(page);
  await sql('shop', 'postgres', "ALTER ROLE postgres SET demo.fragile = 'on'");
  try {
    await page.getByRole('button', { name: 'Restore', exact: true }).click();
    await restoreEnds(page, 'Failed');
  } finally {
    await sql('shop', 'postgres', 'ALTER ROLE postgres RESET demo.fragile');
  }
  const job = page.getByRole('table', { name: 'Restore Jobs' }).getByRole('row').nth(1);
  await job.getByRole('link', { name: /^Restore job/ }).click();
  await expect(page.getByText('The restore failed')).toBeVisible();
  await expect(page.getByText(/this index is not built today/)).toBeVisible();
  await expect(page.getByText('shop is as it was before: nothing of the restore was kept.')).toBeVisible();
  expect(await exists('shop', 'fragile_copy')).toBe(false);
  const hidden = await sql(
    'shop',
    'postgres',
    "SELECT datname FROM pg_database WHERE datname LIKE 'strongroom%'",
  );
  expect(hidden).toEqual([]);
});

test('M15 the Restore Jobs tab follows a restore live, and it is canceled', async ({ page }) => {
  const { clusters, full } = world();
  // The restored orders refer to the live customers: while these are locked, the restore waits under our eyes.
  const release = await lock('shop', 'shop', 'customers');
  try {
    await page.goto(`/clusters/${clusters.shop}/backups/${full}/databases/shop/tables/public/orders/restore`);
    await page.getByRole('textbox', { name: 'Table name' }).fill('orders_waiting');
    await goOn(page);
    await page.getByRole('button', { name: 'Restore', exact: true }).click();
    await expect(page).toHaveURL(/\/restore-jobs$/);
    expect(await headers(page, 'Restore Jobs')).toEqual([
      'Source > Destination',
      'Restore type',
      'Backup taken on',
      'Status',
      'Restore start',
      'Restore end',
      'Job ID',
    ]);
    const newest = page.getByRole('table', { name: 'Restore Jobs' }).getByRole('row').nth(1);
    await expect(newest).toContainText('Running');
    await newest.getByRole('link', { name: /^Restore job/ }).click();
    await expect(page.getByRole('progressbar', { name: 'Restore progress' })).toBeVisible();
    await expect(page.getByRole('table', { name: 'Progress of the tables' })).toContainText('orders');
    await page.getByRole('button', { name: 'Cancel restore' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel restore' }).click();
  } finally {
    await release();
  }
  await expect(page.getByText('The restore was canceled')).toBeVisible();
  const left = await sql('shop', 'shop', "SELECT to_regclass('orders_waiting') AS table");
  expect(left).toEqual([{ table: null }]);
});

test('M22 a serverless cluster is restored as a whole, and says that it is unavailable', async ({ page }) => {
  const { clusters } = world();
  await sql('notes', 'notes', "DELETE FROM pages; INSERT INTO pages VALUES (0, 'written after the backup')");
  await page.goto(`/clusters/${clusters.notes}/backups`);
  await page
    .getByRole('table', { name: /^Backups of/ })
    .getByRole('link', { name: /^Restore/ })
    .last()
    .click();
  await goOn(page);
  await page.getByRole('textbox', { name: 'Type notes to confirm' }).fill('notes');
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await expect(page.getByText('notes is unavailable', { exact: true })).toBeVisible();
  await restoreEnds(page, 'Succeeded');
  await expect(page.getByText('notes is unavailable', { exact: true })).toBeHidden();
  expect(await sql('notes', 'notes', 'SELECT count(*)::int AS rows FROM pages')).toEqual([{ rows: 500 }]);
});

test.describe('whoever only looks', () => {
  test.use({ as: 'dev' });

  test('M16 is told why not, by the console and by the API', async ({ page }) => {
    const { clusters, full } = world();
    await page.goto(`/clusters/${clusters.shop}/backups`);
    const restore = page.getByRole('button', { name: /^Restore the backup/ }).first();
    await expect(restore).toHaveAttribute('aria-disabled', 'true');
    await restore.focus();
    await expect(page.getByRole('tooltip')).toContainText(/Org|ORG_ADMIN|Cluster|CLUSTER_ADMIN/);
    await restore.click({ force: true });
    await expect(page).toHaveURL(/\/backups$/);
    await expect(page.getByRole('button', { name: 'Back up now' })).toHaveAttribute('aria-disabled', 'true');

    await page.goto(`/clusters/${clusters.shop}/backups/${full}/databases`);
    await expect(page.getByRole('alert')).toContainText('Not permitted');
    await page.goto(`/clusters/${clusters.shop}/backups/${full}/databases/shop/restore`);
    await expect(page.getByRole('alert')).toContainText('Not permitted');
    await expect(page.getByRole('button', { name: 'Continue' })).toHaveCount(0);
    await page.goto('/clusters');
    await expect(page.getByRole('navigation', { name: 'Main' }).getByRole('link')).toHaveText([
      'Clusters',
      'Settings',
    ]);

    const api = await new Api().signIn(PEOPLE.dev);
    const refused = await api.send('POST', `/clusters/${clusters.shop}/restores`, {
      type: 'DATABASE',
      backup_id: full,
      source_cluster_id: clusters.shop,
      objects: [{ database: 'shop' }],
      restore_opts: { new_db_name: 'stolen' },
    });
    expect(refused.status).toBe(403);
    expect(await exists('shop', 'stolen')).toBe(false);
  });
});

test.describe('an operator of one cluster', () => {
  test.use({ as: 'oli' });

  test('M16 restores there, and does not see the others', async ({ page }) => {
    const { clusters, full } = world();
    await page.goto('/clusters');
    expect((await rows(page, 'Clusters')).map(([name]) => name)).toEqual(['shop']);
    await page.goto(`/clusters/${clusters.spare}/backups`);
    await expect(page.getByRole('alert')).toContainText('Not found');

    await page.goto(`/clusters/${clusters.shop}/backups/${full}/databases/ledger/restore`);
    await page.getByRole('textbox', { name: 'Restore to', exact: true }).fill('ledger_copy');
    await goOn(page);
    await page.getByRole('button', { name: 'Restore', exact: true }).click();
    await restoreEnds(page, 'Succeeded');
    await until('the restored ledger', () => exists('shop', 'ledger_copy'), 5);
  });
});
