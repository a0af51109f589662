/** Every page, in both colour schemes and at phone width: what axe-core calls serious or critical is not there. */
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { pages, settled } from './pages';
import { expect, test, world } from './world';

async function isSound(page: Page, what: string) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${what}: ${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`);
  expect(serious).toEqual([]);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme, contextOptions: { reducedMotion: 'reduce' } });

    test(`no serious problem on any page, ${colorScheme}`, async ({ page }) => {
      test.setTimeout(300_000);
      for (const [name, path] of Object.entries(pages())) {
        await test.step(name, async () => {
          await page.goto(path);
          await settled(page);
          await isSound(page, name);
        });
      }
    });

    test(`nor in what opens: calendar, review, dialogs, ${colorScheme}`, async ({ page }) => {
      const { clusters, full } = world();
      await page.goto(`/clusters/${clusters.shop}/backups`);
      await page.getByRole('button', { name: /^Day: / }).click();
      await expect(page.getByRole('dialog', { name: /^Day: / })).toBeVisible();
      await isSound(page, 'calendar');
      await page.goto(`/clusters/${clusters.shop}/backups/${full}/restore`);
      await page.getByRole('button', { name: 'Continue' }).click();
      await expect(page.getByRole('heading', { name: 'Review' })).toBeVisible();
      await isSound(page, 'review');
      await page.goto('/organization/users');
      await page.getByRole('button', { name: 'Edit the roles of Dev Developer' }).click();
      await expect(page.getByRole('dialog')).toBeVisible();
      await isSound(page, 'roles');
    });
  });
}

test.describe('signing in', () => {
  test.use({ storageState: { cookies: [], origins: [] } });
  test('no serious problem on the sign-in page', async ({ page }) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.goto('/sign-in');
      await settled(page);
      await isSound(page, colorScheme);
    }
  });
});

test('a menu gives the focus back', async ({ page }) => {
  await page.goto(`/clusters/${world().clusters.shop}/backups`);
  const more = page.getByRole('button', { name: /^More about the backup/ }).first();
  await more.focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('menuitem', { name: 'What changed' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(more).toBeFocused();
});

test('from the list to the review by keyboard alone', async ({ page }) => {
  const { clusters, full } = world();
  await page.goto(`/clusters/${clusters.shop}/backups/${full}/databases`);
  await page.getByRole('link', { name: 'Restore ledger' }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Restore database' })).toBeVisible();
  const name = page.getByRole('textbox', { name: 'Restore to', exact: true });
  for (
    let tries = 0;
    tries < 30 && !(await name.evaluate((field) => field === document.activeElement));
    tries += 1
  ) {
    await page.keyboard.press('Tab');
  }
  await expect(name).toBeFocused();
  await page.keyboard.press('End');
  await page.keyboard.type('_by_keyboard');
  await expect(page.getByRole('button', { name: 'Continue' })).not.toHaveAttribute('aria-disabled', 'true');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { name: 'Review' })).toBeFocused();
});
