/**
 * Fails if the committed types are not those of the committed openapi.json. It asks the very command that generates
 * them, so that both always agree about options and formatting.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const { error, status } = spawnSync('npm', ['run', '--silent', 'generate', '--', '--check'], {
  cwd: fileURLToPath(new URL('..', import.meta.url)),
  stdio: ['ignore', 'ignore', 'inherit'],
});
if (error) throw error;
if (status !== 0) {
  console.error('src/api/schema.d.ts is not what openapi.json says: cd web && npm run generate');
  process.exitCode = 1;
}
