#!/usr/bin/env node
/**
 * Takes the README's pictures from a running service, which ./dev demo brings up:
 *
 *   STRONGROOM_URL=http://127.0.0.1:8080 STRONGROOM_EMAIL=... STRONGROOM_PASSWORD=... node screenshots/take.mjs [FOLDER]
 *
 * FOLDER is docs/images unless another one is named. CHROMIUM names the browser.
 */
import { mkdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from '@playwright/test';

const {
  STRONGROOM_URL: url = 'http://127.0.0.1:8080',
  STRONGROOM_EMAIL: email,
  STRONGROOM_PASSWORD: password,
} = process.env;
const folder = resolve(process.argv[2] ?? fileURLToPath(new URL('../../docs/images', import.meta.url)));
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
});

async function signedIn(colorScheme) {
  const context = await browser.newContext({
    baseURL: url,
    colorScheme,
    reducedMotion: 'reduce',
    viewport: { width: 1120, height: 700 },
  });
  const page = await context.newPage();
  await page.goto('/clusters');
  await Promise.race([
    page.getByRole('heading', { name: 'Clusters' }).waitFor(),
    page.getByRole('heading', { name: /^Sign in/ }).waitFor(),
  ]);
  if (page.url().includes('/sign-in')) {
    await page.getByLabel('E-mail').fill(email ?? '');
    await page.getByLabel('Password', { exact: true }).fill(password ?? '');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Clusters' }).waitFor();
  }
  return page;
}

async function picture(page, name) {
  // Lists arrive, placeholders go, fonts settle.
  await page.locator('[aria-label^="Loading"]').first().waitFor({ state: 'hidden' });
  await page.waitForTimeout(400);
  const path = join(folder, `${name}.png`);
  await page.screenshot({ path });
  console.log(`${path}: ${Math.round(statSync(path).size / 1024)} KiB`);
}

/** The first cluster that has the list of dedicated ones, and backups. */
async function dedicatedCluster(page) {
  const reply = await page.request.get('/api/v1/clusters');
  const { clusters } = await reply.json();
  const found = clusters.find(
    ({ strongroom }) => ['DEDICATED', 'ADVANCED'].includes(strongroom.plan) && strongroom.last_backup_at,
  );
  if (!found) throw new Error('no dedicated cluster has a backup yet');
  return found.id;
}

const light = await signedIn('light');
const cluster = await dedicatedCluster(light);
await picture(light, 'console-clusters');

await light.goto(`/clusters/${cluster}/backups`);
await light.getByRole('table', { name: /^Backups of/ }).waitFor();
await light.getByRole('button', { name: /^Day: / }).click();
await picture(light, 'console-backups');
await light.keyboard.press('Escape');

await light
  .getByRole('link', { name: /databases in the backup/ })
  .first()
  .click();
await light.getByRole('table', { name: 'Databases' }).waitFor();
await light
  .getByRole('link', { name: /^Restore / })
  .last()
  .click();
await light
  .getByText(/^Conflict: /)
  .first()
  .waitFor();
await light
  .getByText(/^Conflict: /)
  .first()
  .scrollIntoViewIfNeeded();
await picture(light, 'console-conflict');

const dark = await signedIn('dark');
await dark.goto(`/clusters/${cluster}/backups/restore-jobs`);
const job = dark.getByRole('link', { name: /^Restore job/ }).first();
await job.waitFor({ timeout: 5_000 }).then(
  async () => {
    await job.click();
    await dark.getByRole('heading', { name: /^Restore / }).waitFor();
    await picture(dark, 'console-restore');
  },
  () => console.log('no restore yet: no picture of one'),
);
await dark.goto(`/clusters/${cluster}`);
await picture(dark, 'console-overview');
await browser.close();
