// What the demo asks of the service, as any client of its API would: what is there, and a table back.
//
//   node ask.mjs URL E-MAIL PASSWORD
//
// Restores the newest backup's rideshare.user_promo_codes into a new database, restored_by_the_service.

const [url, email, password] = process.argv.slice(2);
let cookie;

async function ask(method, path, body) {
  const headers = { 'Content-Type': 'application/json', 'X-Strongroom-Request': '1', ...(cookie && { Cookie: cookie }) };
  const reply = await fetch(`${url}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${answer.message}`);
  cookie ??= reply.headers.getSetCookie().at(0)?.split(';')[0];
  return answer;
}

await ask('POST', '/session', { email, password });
const { clusters } = await ask('GET', '/clusters');
for (const cluster of clusters) {
  const { backups } = await ask('GET', `/clusters/${cluster.id}/backups?pagination.limit=1000`);
  const { incomplete_backups: incomplete } = await ask('GET', `/clusters/${cluster.id}/incomplete-backups`);
  const plan = cluster.strongroom.plan.toLowerCase();
  console.log(`  ${cluster.name} (${plan}): ${backups.length} backups, ${incomplete.length} incomplete`);
  // Two days of one each hour, but for the outage.
  if (backups.length < 40) throw new Error(`too few backups of ${cluster.name}`);
}

const { id } = clusters.find((cluster) => cluster.name === 'rideshare');
const { id: restore } = await ask('POST', `/clusters/${id}/restores`, {
  type: 'TABLE',
  source_cluster_id: id,
  objects: [{ database: 'rideshare', schema: 'public', table: 'user_promo_codes' }],
  restore_opts: { into_db: 'restored_by_the_service', skip_missing_foreign_keys: true },
});
for (;;) {
  const { status, client_error_message: reason } = await ask('GET', `/clusters/${id}/restores/${restore}`);
  if (status === 'SUCCESS') break;
  if (status === 'FAILED') throw new Error(`the restore failed: ${reason}`);
  await new Promise((resolve) => setTimeout(resolve, 300));
}
console.log('  restored rideshare.user_promo_codes into the new database restored_by_the_service');
