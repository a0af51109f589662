import { expect, PASSWORD, rows, test, urlOf, world } from './world';

test('users and roles', async ({ page }) => {
  await page.goto('/organization/users');
  await page.getByRole('button', { name: 'Add user' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add user' });
  await dialog.getByLabel('E-mail').fill('mia@example.org');
  await dialog.getByLabel('Name').fill('Mia Monitor');
  await dialog.getByLabel('First password').fill(PASSWORD);
  await dialog.getByRole('button', { name: 'Add user' }).click();
  await expect(dialog).toBeHidden();

  await page.getByRole('button', { name: 'Edit the roles of Mia Monitor' }).click();
  const roles = page.getByRole('dialog', { name: 'Roles of Mia Monitor' });
  await roles.getByRole('combobox', { name: 'Role' }).click();
  await page.getByRole('option', { name: 'Cluster Monitor' }).click();
  await roles.getByRole('combobox', { name: 'On' }).click();
  await page.getByRole('option', { name: 'shop' }).click();
  await roles.getByRole('button', { name: 'Add' }).click();
  await roles.getByRole('button', { name: 'Save roles' }).click();
  await expect(roles).toBeHidden();
  await expect(page.getByRole('row', { name: /Mia Monitor/ })).toContainText('Cluster Monitor of shop');

  // A role that is chosen counts, also when nobody pressed Add.
  await page.getByRole('button', { name: 'Edit the roles of Mia Monitor' }).click();
  await roles.getByRole('combobox', { name: 'Role' }).click();
  await page.getByRole('option', { name: 'Metrics Viewer' }).click();
  await roles.getByRole('button', { name: 'Save roles' }).click();
  await expect(roles).toBeHidden();
  await expect(page.getByRole('row', { name: /Mia Monitor/ })).toContainText('Metrics Viewer');
});

test('a service account whose key is shown once, and works', async ({ page, request }) => {
  await page.goto('/organization/service-accounts');
  await page.getByRole('button', { name: 'Add service account' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Add service account' });
  await dialog.getByLabel('Name').fill('terraform');
  await dialog.getByLabel('Description').fill('keeps clusters as the repository says');
  await dialog.getByRole('combobox', { name: 'Role' }).click();
  await page.getByRole('option', { name: 'Org Administrator' }).click();
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  await dialog.getByRole('button', { name: 'Add service account' }).click();
  await expect(dialog).toBeHidden();

  await page.getByRole('button', { name: 'Create an API key of terraform' }).click();
  await page.getByLabel('Name', { exact: true }).fill('ci');
  await page.getByRole('button', { name: 'Create API key', exact: true }).last().click();
  const created = page.getByRole('dialog', { name: 'API key created' });
  const secret = (await created.locator('code').textContent()) ?? '';
  expect(secret).toMatch(/^srk_/);
  const reply = await request.get('/api/v1/clusters', { headers: { Authorization: `Bearer ${secret}` } });
  expect(reply.status()).toBe(200);
  await created.getByRole('button', { name: 'Done' }).click();
  await page.reload();
  await expect(page.getByRole('region', { name: 'terraform' })).toContainText('ci');
  expect(await page.content()).not.toContain(secret);

  await page.getByRole('button', { name: 'Delete the API key ci' }).click();
  await page.getByRole('button', { name: 'Delete API key' }).click();
  await expect(page.getByRole('button', { name: 'Delete the API key ci' })).toBeHidden();
  const refused = await request.get('/api/v1/clusters', { headers: { Authorization: `Bearer ${secret}` } });
  expect(refused.status()).toBe(401);
});

test('a storage location is checked, and its secrets stay where they are', async ({ page }) => {
  await page.goto('/organization/storage-locations');
  await page.getByRole('button', { name: 'Check Basement' }).click();
  await expect(page.getByText('Works')).toBeVisible();
  await page.getByRole('button', { name: 'Add storage location' }).first().click();
  const dialog = page.getByRole('dialog', { name: 'Add storage location' });
  await dialog.getByLabel('Name').fill('Attic');
  await dialog.getByLabel('Region').fill('there');
  await dialog.getByLabel('URL').fill('ftp://nowhere');
  await dialog.getByRole('button', { name: 'Add storage location' }).click();
  await expect(dialog.getByRole('alert')).toContainText('Not added');
});

test('M6 attaching a cluster: the connection is checked first; Dedicated on Azure has no managed backups', async ({
  page,
}) => {
  await page.goto('/clusters');
  await page.getByRole('link', { name: 'Attach cluster' }).click();
  await page.getByLabel('Connection URL').fill('postgresql://postgres@127.0.0.1:1/postgres');
  await page.getByRole('button', { name: 'Check connection' }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await page.getByLabel('Connection URL').fill(urlOf('annex'));
  await page.getByRole('button', { name: 'Check connection' }).click();
  await expect(page.getByText(/^Connected to/)).toBeVisible();
  await page.getByRole('textbox', { name: 'Name' }).fill('annex');
  await page.getByRole('combobox', { name: 'Provider' }).click();
  await page.getByRole('option', { name: 'Azure' }).click();
  await page.getByRole('combobox', { name: 'Regions' }).fill('here');
  await page.getByRole('combobox', { name: 'Regions' }).press('Enter');
  await expect(page.getByText('Managed backups are not available for this cluster')).toBeVisible();
  await page.getByRole('button', { name: 'Attach cluster' }).click();
  await expect(page).toHaveURL(/\/backups$/);
  await expect(page.getByText('Managed backups are not available for this cluster')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Back up now' })).toBeHidden();
  await expect(page.getByRole('heading', { name: 'No managed backups' })).toBeVisible();
});

test('a server that is attached is not attached twice; a detached cluster is still found', async ({
  page,
}) => {
  await page.goto('/clusters/attach');
  await page.getByLabel('Connection URL').fill(urlOf('annex'));
  await page.getByRole('button', { name: 'Check connection' }).click();
  await expect(page.getByText('It cannot be attached:')).toBeVisible();
  await expect(page.getByRole('heading', { name: 'Details' })).toBeHidden();

  await page.goto('/clusters');
  await page.getByRole('link', { name: 'annex', exact: true }).click();
  await page.getByRole('button', { name: 'Detach' }).click();
  await page.getByRole('textbox', { name: 'Type annex to confirm' }).fill('annex');
  await page.getByRole('dialog').getByRole('button', { name: 'Detach' }).click();
  await expect(page).toHaveURL(/\/clusters$/);
  await expect(page.getByRole('link', { name: 'shop', exact: true })).toBeVisible();
  await expect(page.getByRole('link', { name: 'annex', exact: true })).toBeHidden();
  await page.getByRole('switch', { name: 'Show detached clusters' }).click();
  await expect(page.getByRole('row', { name: /annex/ })).toContainText('Detached');
  await page.getByRole('link', { name: 'annex', exact: true }).click();
  await expect(page.getByText('annex is detached')).toBeVisible();
});

test('the audit log tells who did what', async ({ page }) => {
  await page.goto('/organization/audit-log');
  const entries = await rows(page, 'Audit log');
  expect(entries.length).toBeGreaterThan(5);
  expect(
    entries.some((entry) => entry[1]?.includes('Cluster') && entry[2]?.includes('ada@example.org')),
  ).toBe(true);
});

test('the organization is renamed', async ({ page }) => {
  await page.goto('/organization/settings');
  await page.getByLabel('Organization name').fill('Harbour Rides');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('banner')).toContainText('Harbour Rides');
});

test('the live databases are renamed where a name has to be free', async ({ page }) => {
  const { clusters } = world();
  await page.goto(`/clusters/${clusters.shop}/databases`);
  await page.getByRole('button', { name: 'Rename empty' }).click();
  await expect(page.getByLabel('New name')).toHaveValue('archived_empty');
  await page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click();
  await expect(page.getByRole('row', { name: /archived_empty/ })).toBeVisible();
});
