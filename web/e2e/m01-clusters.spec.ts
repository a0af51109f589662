import { expect, headers, PASSWORD, PEOPLE, rows, test, world } from './world';

test.describe('signing in', () => {
  test.use({ storageState: { cookies: [], origins: [] } });

  test('M1 from signing in to the Backups of a cluster', async ({ page }) => {
    await page.goto('/');
    await expect(page).toHaveURL(/\/sign-in/);
    await page.getByLabel('E-mail').fill(PEOPLE.ada);
    await page.getByLabel('Password', { exact: true }).fill('not this one');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByRole('alert')).toContainText('Not signed in');

    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByRole('heading', { name: 'Clusters' })).toBeVisible();
    expect(await headers(page, 'Clusters')).toEqual([
      'Name',
      'Plan',
      'Provider',
      'Regions',
      'State',
      'Last backup',
      'Next backup',
    ]);
    const shop = (await rows(page, 'Clusters')).find(([name]) => name === 'shop');
    expect(shop?.slice(0, 5)).toEqual(['shop', 'Dedicated', 'Self-hosted', 'here', 'Available']);

    await page.getByRole('link', { name: 'shop', exact: true }).click();
    await expect(page.getByRole('heading', { name: 'shop' })).toBeVisible();
    const navigation = page.getByRole('navigation', { name: 'Main' });
    await expect(navigation.getByText('Data', { exact: true })).toBeVisible();
    await navigation.getByRole('link', { name: 'Backups' }).click();
    await expect(page.getByRole('heading', { name: 'Past backups by day' })).toBeVisible();

    await page.reload();
    await expect(page.getByRole('heading', { name: 'Past backups by day' })).toBeVisible();
  });

  test('M1 an address that needs signing in is found again afterwards', async ({ page }) => {
    await page.goto(`/clusters/${world().clusters.shop}/backups/settings`);
    await page.getByLabel('E-mail').fill(PEOPLE.ada);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByLabel('Password', { exact: true }).press('Enter');
    await expect(page.getByRole('heading', { name: 'Backup Settings' })).toBeVisible();
  });
});

test('M1 signing out ends the session', async ({ browser }) => {
  const context = await browser.newContext({ storageState: { cookies: [], origins: [] } });
  const page = await context.newPage();
  await page.goto('/sign-in');
  await page.getByLabel('E-mail').fill(PEOPLE.ada);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Account of Ada Admin' }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await expect(page).toHaveURL(/\/sign-in/);
  await page.goto('/clusters');
  await expect(page).toHaveURL(/\/sign-in/);
  await context.close();
});

test('M1 a cluster that does not exist is said so', async ({ page }) => {
  await page.goto('/clusters/00000000-0000-4000-8000-000000000000/backups');
  await expect(page.getByRole('alert')).toContainText('Not found');
});
