/** Runs after the other scenarios, when the lists have something to show. */
import { pages, settled } from './pages';
import { expect, test } from './world';

test('no page is wider than its window, from a phone to a desktop', async ({ page }) => {
  test.setTimeout(300_000);
  const wide: string[] = [];
  for (const [name, path] of Object.entries(pages())) {
    await page.setViewportSize({ width: 1440, height: 800 });
    await page.goto(path);
    await settled(page);
    for (const width of [1440, 1280, 1024, 820, 768, 390, 360]) {
      await page.setViewportSize({ width, height: 800 });
      // A list measures itself first.
      const fits = (width: number) => document.documentElement.scrollWidth <= width;
      await page.waitForFunction(fits, width, { timeout: 3_000 }).catch(async () => {
        wide.push(`${name}, ${width}: ${await page.evaluate(() => document.documentElement.scrollWidth)}`);
      });
      // What is drawn outside of its panel does not widen the window, but cannot be read either.
      const inside = () =>
        [...document.querySelectorAll('.list-box')].every((box) => box.scrollWidth <= box.clientWidth);
      await page.waitForFunction(inside, undefined, { timeout: 3_000 }).catch(() => {
        wide.push(`${name}, ${width}: a list is wider than its panel`);
      });
    }
  }
  expect(wide).toEqual([]);
});
