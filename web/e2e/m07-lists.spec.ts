import { Api, expect, headers, lock, PEOPLE, rows, sql, test, urlOf, world } from './world';

const DATA_FROM = /^[A-Z][a-z]+ \d{1,2}, \d{4} at \d{1,2}:\d{2}:\d{2} [AP]M$/;

test('M7 the list of a dedicated cluster, and its calendar', async ({ page }) => {
  const { clusters } = world();
  await page.goto(`/clusters/${clusters.shop}/backups`);
  const list = page.getByRole('table', { name: /^Backups of/ });
  await expect(list).toBeVisible();
  const name = (await list.getAttribute('aria-label')) ?? '';
  expect((await headers(page, name)).slice(0, 5)).toEqual([
    'Data From (UTC)',
    'Type',
    'Size',
    'Expires In',
    'Databases',
  ]);
  const found = await rows(page, name);
  const full = found.find((row) => row[1] === 'Full');
  const incremental = found.find((row) => row[1] === 'Incremental');
  expect(full?.[0]).toMatch(DATA_FROM);
  expect(full?.[2]).toMatch(/^[\d,.]+ [KMG]iB$/);
  expect(full?.[3]).toBe('30 days');
  expect(incremental?.[3]).toBe('7 days');
  // The database without tables is not counted.
  expect(full?.[4]).toBe('3');

  const today = page.getByRole('button', { name: 'Today' });
  await expect(today).toBeDisabled();
  await expect(page.getByRole('button', { name: 'Next day' })).toBeDisabled();
  await page.getByRole('button', { name: 'Previous day' }).click();
  await expect(page).toHaveURL(/date=\d{4}-\d{2}-\d{2}$/);
  await expect(page.getByRole('heading', { name: /^No backups on/ })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('heading', { name: /^No backups on/ })).toBeVisible();
  await today.click();
  await expect(list).toBeVisible();

  await page.getByRole('button', { name: /^Day: / }).click();
  const calendar = page.getByRole('dialog', { name: /^Day: / });
  await expect(calendar.getByRole('button', { name: /, \d+ backups?/ })).toHaveCount(1);
  await page.keyboard.press('Escape');
  await expect(calendar).toBeHidden();
});

test('M8 the list of a serverless cluster, with a backup in progress', async ({ page }) => {
  const { clusters } = world();
  const release = await lock('notes', 'notes', 'pages');
  await page.goto(`/clusters/${clusters.notes}/backups`);
  await expect(page.getByRole('heading', { name: 'Backup Recovery' })).toBeVisible();
  await expect(page.getByText('Backups are run hourly.')).toBeVisible();
  await page.getByRole('button', { name: 'Back up now' }).click();
  const list = page.getByRole('table', { name: /^Backups of/ });
  await expect(list.getByRole('row').nth(1)).toContainText('In Progress');
  const name = (await list.getAttribute('aria-label')) ?? '';
  expect((await headers(page, name)).slice(0, 3)).toEqual(['Data From (UTC)', 'Status', 'Expires In']);
  const [newest] = await rows(page, name);
  expect(newest?.slice(1)).toEqual(['In Progress', '--', '--']);
  await release();
  await expect(list).not.toContainText('In Progress');
  const [complete] = await rows(page, name);
  expect(complete?.slice(1, 3)).toEqual(['Complete', '30 days']);
  await expect(list.getByRole('link', { name: /^Restore/ }).first()).toBeVisible();
});

test('M9 the databases of a backup', async ({ page }) => {
  const { clusters, full, incremental } = world();
  await page.goto(`/clusters/${clusters.shop}/backups`);
  // Not the newest: an hour may have struck meanwhile, and brought another.
  await page
    .getByRole('row', { name: /Incremental/ })
    .getByRole('link', { name: /databases in the backup/ })
    .and(page.locator(`[href$="/backups/${incremental}/databases"]`))
    .click();
  await expect(page).toHaveURL(new RegExp(`/backups/${incremental}/databases$`));
  expect((await headers(page, 'Databases')).slice(0, 3)).toEqual(['Name', 'Size', 'Tables']);
  const found = await rows(page, 'Databases');
  expect(found.map(([name]) => name)).toEqual(['fragile', 'ledger', 'shop']);
  // Nothing changed since the full backup but in the shop.
  expect(found.find(([name]) => name === 'ledger')?.slice(1, 3)).toEqual(['0 B', '1']);
  expect(found.find(([name]) => name === 'shop')?.[1]).not.toBe('0 B');

  await page.getByRole('searchbox', { name: 'Search databases' }).fill('led');
  expect((await rows(page, 'Databases')).map(([name]) => name)).toEqual(['ledger']);

  await page.goto(`/clusters/${clusters.shop}/backups/${full}/databases`);
  const all = await rows(page, 'Databases');
  expect(all.find(([name]) => name === 'ledger')?.[1]).not.toBe('0 B');
});

test('M10 the tables of a database, and the first rows of one', async ({ page }) => {
  const { clusters, incremental } = world();
  await page.goto(`/clusters/${clusters.shop}/backups/${incremental}/databases`);
  await page.getByRole('link', { name: 'tables of ledger' }).click();
  expect((await headers(page, 'Tables')).slice(0, 3)).toEqual(['Name', 'Size', 'Rows']);
  expect((await rows(page, 'Tables'))[0]?.slice(0, 3)).toEqual(['entries', '0.00 B', '2']);

  await page
    .getByRole('navigation', { name: 'Breadcrumb' })
    .getByRole('link', { name: /^Backup of/ })
    .click();
  await page.getByRole('link', { name: 'tables of shop' }).click();
  const tables = await rows(page, 'Tables');
  expect(tables.find(([name]) => name === 'customers')?.[2]).toBe('301');
  expect(tables.find(([name]) => name === 'orders')?.[2]).toBe('20,000');

  await page.getByRole('link', { name: 'customers', exact: true }).click();
  const grid = page.getByRole('region', { name: 'First rows of customers' });
  await expect(grid.getByRole('columnheader')).toHaveText(['id', 'name', 'city']);
  await expect(grid.getByRole('cell', { name: 'customer 1', exact: true })).toBeVisible();
  await expect(grid.getByText('NULL').first()).toBeVisible();
  await page.reload();
  await expect(grid.getByRole('cell', { name: 'customer 1', exact: true })).toBeVisible();
});

test('M10 what changed since an earlier backup', async ({ page }) => {
  const { clusters, incremental, full } = world();
  await page.goto(`/clusters/${clusters.shop}/backups/${incremental}/changes?other=${full}`);
  const changes = await rows(page, 'Changes');
  expect(changes).toContainEqual(['shop.public.customers', 'table', 'changed', '+1']);
  expect(changes).toContainEqual(['shop.public.orders', 'table', 'changed', '+1 −1']);
});

test('M11 a backup that runs, with its statement, and is canceled', async ({ page }) => {
  const { clusters } = world();
  const release = await lock('spare', 'leftover', 'old');
  await page.goto(`/clusters/${clusters.spare}/backups`);
  await page.getByRole('button', { name: 'Back up now' }).click();
  await page.getByRole('link', { name: 'Incomplete Backups', exact: true }).click();
  expect((await headers(page, 'Incomplete Backups')).slice(0, 4)).toEqual([
    'Started',
    'Duration',
    'Status',
    'Description',
  ]);
  const newest = page.getByRole('table', { name: 'Incomplete Backups' }).getByRole('row').nth(1);
  await expect(newest).toContainText(/Running|Pending/);
  await expect(newest).toContainText('BACKUP INTO');
  await expect(newest).not.toContainText('e2e passphrase');
  await newest.getByRole('button', { name: 'Cancel' }).click();
  await release();
  // Canceled, it is no longer in the list.
  await expect(page.getByRole('table', { name: 'Incomplete Backups' }).getByText('Running')).toHaveCount(0);
});

test('M11 a backup that failed, with its error code and message', async ({ page }) => {
  const { clusters } = world();
  await sql('spare', 'postgres', 'CREATE ROLE keeper SUPERUSER LOGIN');
  const api = await new Api().signIn(PEOPLE.ada);
  const url = urlOf('spare').replace('postgres@', 'keeper@');
  await api.ask('PATCH', `/clusters/${clusters.spare}`, { strongroom: { url } });
  await sql('spare', 'postgres', 'ALTER ROLE keeper NOLOGIN');
  try {
    await page.goto(`/clusters/${clusters.spare}/backups`);
    await page.getByRole('button', { name: 'Back up now' }).click();
    await page.getByRole('link', { name: 'Incomplete Backups', exact: true }).click();
    const newest = page.getByRole('table', { name: 'Incomplete Backups' }).getByRole('row').nth(1);
    await expect(newest).toContainText('denied', { timeout: 30_000 });
    await expect(newest).toContainText('not permitted to log in');
    await expect(newest).toContainText('BACKUP INTO');
  } finally {
    await sql('spare', 'postgres', 'ALTER ROLE keeper LOGIN');
  }
});

test('1,000 backups of a day scroll smoothly', async ({ page }) => {
  const { clusters } = world();
  // No service takes a thousand backups for a test: one of its own is multiplied on its way to the browser.
  await page.route(/\/backups\?.*start_time/, async (route) => {
    const reply = await route.fetch();
    const body = await reply.json();
    const [first] = body.backups;
    const backups = Array.from({ length: 1000 }, (_, index) => ({
      ...first,
      id: `${first.id.slice(0, -6)}${index.toString().padStart(6, '0')}`,
      as_of_time: new Date(Date.parse(first.as_of_time) - index * 60_000).toISOString(),
    }));
    await route.fulfill({ response: reply, json: { ...body, backups } });
  });
  await page.goto(`/clusters/${clusters.shop}/backups`);
  const list = page.getByRole('table', { name: /^Backups of/ });
  await expect(list).toHaveAttribute('aria-rowcount', '1001');
  // What is drawn stays small, wherever one scrolls.
  const drawn = () => list.getByRole('row').count();
  expect(await drawn()).toBeLessThan(80);
  /** The median time of a frame, while scrolling by so much in each. */
  const frame = (step: number) =>
    page.evaluate(async (step) => {
      const times: number[] = [];
      let last = performance.now();
      for (let frame = 0; frame < 50; frame += 1) {
        window.scrollBy(0, step);
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        times.push(now - last);
        last = now;
      }
      return times.sort((a, b) => a - b)[25] ?? 0;
    }, step);
  // Compared with frames in which nothing moves, since the machine may be busy with other things. Each step passes
  // fifteen rows, which is faster than anybody reads.
  const still = await frame(0);
  const scrolling = await frame(700);
  expect(await drawn()).toBeLessThan(80);
  await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
  await expect(list.locator('[aria-rowindex="1001"]')).toBeVisible();
  expect(scrolling).toBeLessThan(8 * still + 50);
});

test('the settings, and a backup on demand', async ({ page }) => {
  const { clusters } = world();
  await page.goto(`/clusters/${clusters.shop}/backups/settings`);
  await expect(page.getByRole('switch', { name: 'Enable backups' })).toBeChecked();
  await expect(page.getByRole('combobox', { name: 'Schedule backups every' })).toHaveValue('1 hour');
  await expect(page.getByRole('combobox', { name: 'Retain backups for' })).toHaveValue('30 days');
  await page.getByRole('combobox', { name: 'Schedule backups every' }).click();
  await expect(page.getByRole('option')).toHaveText([
    '5 minutes',
    '10 minutes',
    '15 minutes',
    '30 minutes',
    '1 hour',
    '4 hours',
    '24 hours',
  ]);
  await page.getByRole('option', { name: '4 hours', exact: true }).click();
  await expect(page.getByText('A full backup follows at once when you save.')).toBeVisible();
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByText('The settings were saved.')).toBeVisible();
  await page.reload();
  await expect(page.getByRole('combobox', { name: 'Schedule backups every' })).toHaveValue('4 hours');
});

test('the retention is changed once, so it is asked about; what was not saved is not lost by a click', async ({
  page,
}) => {
  const { clusters } = world();
  await page.goto(`/clusters/${clusters.spare}/backups/settings`);
  await page.getByRole('combobox', { name: 'Retain backups for' }).click();
  await page.getByRole('option', { name: '90 days' }).click();
  await page.getByRole('button', { name: 'Save' }).click();
  const asked = page.getByRole('dialog', { name: 'Retain backups for 90 days' });
  await expect(asked.getByRole('button', { name: 'Save' })).toBeDisabled();
  await asked.getByRole('button', { name: 'Cancel' }).click();

  await page.getByRole('link', { name: 'Drills' }).click();
  const leaving = page.getByRole('dialog', { name: 'Leave without saving?' });
  await leaving.getByRole('button', { name: 'Stay' }).click();
  await expect(page.getByRole('combobox', { name: 'Retain backups for' })).toHaveValue('90 days');
  await page.getByRole('link', { name: 'Drills' }).click();
  await leaving.getByRole('button', { name: 'Leave' }).click();
  // Not only its address: until the page is there, the one that is left still asks.
  await expect(page.getByRole('button', { name: 'Start a drill' })).toBeVisible();
  await expect(page).toHaveURL(/\/drills$/);
  await page.goBack();
  await expect(page.getByRole('combobox', { name: 'Retain backups for' })).toHaveValue('30 days');
});

test('a drill restores a backup and counts its rows', async ({ page }) => {
  const { clusters } = world();
  await page.goto(`/clusters/${clusters.notes}/backups/drills`);
  await page.getByRole('button', { name: 'Start a drill' }).click();
  const list = page.getByRole('table', { name: 'Drills' });
  await expect(list.getByRole('row').nth(1)).toContainText('Succeeded', { timeout: 80_000 });
  const [drill] = await rows(page, 'Drills');
  expect(drill?.slice(4)).toEqual(['2', '501']);
  const [counted] = await sql<{ count: string }>(
    'notes',
    'notes',
    'SELECT (SELECT count(*) FROM pages) + (SELECT count(*) FROM waiting) AS count',
  );
  expect(counted?.count).toBe('501');
});
