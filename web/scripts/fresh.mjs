/** Fails if the committed types are not those of the committed openapi.json. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const web = fileURLToPath(new URL('..', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'strongroom-types-'));
try {
  const made = join(dir, 'schema.d.ts');
  execFileSync('npx', ['--no-install', 'openapi-typescript', '../openapi.json', '--output', made], {
    cwd: web,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (readFileSync(made, 'utf8') !== readFileSync(join(web, 'src/api/schema.d.ts'), 'utf8')) {
    console.error('src/api/schema.d.ts is not what openapi.json says: npm run generate');
    process.exitCode = 1;
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
