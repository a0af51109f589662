/**
 * How much a browser loads before it can show the first page, gzipped: the entry and what it imports, with their
 * styles. Fails above the budget; what other pages add is told, too.
 */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const BUDGET = 400_000;
const dist = new URL('../dist/', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'));
const gzipped = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;

/** All files that a chunk needs before it runs. */
function filesOf(name, seen = new Set()) {
  if (seen.has(name)) return [];
  seen.add(name);
  const { file, css = [], imports = [] } = manifest[name];
  return [file, ...css, ...imports.flatMap((one) => filesOf(one, seen))];
}

const total = (files) => [...new Set(files)].reduce((sum, file) => sum + gzipped(file), 0);
const say = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;

const first = filesOf('index.html');
const firstSize = total([...first, 'index.html']);
const pages = Object.keys(manifest)
  .filter((name) => manifest[name].isDynamicEntry)
  .map((name) => ({ name, size: total(filesOf(name).filter((file) => !first.includes(file))) }))
  .sort((a, b) => b.size - a.size);

console.log(`first page: ${say(firstSize)} gzipped, of ${say(BUDGET)}`);
for (const page of pages.slice(0, 5)) console.log(`  ${page.name} adds ${say(page.size)}`);
if (firstSize > BUDGET) {
  console.error('The first page is too large. Load what it does not show only where it is needed.');
  process.exit(1);
}
