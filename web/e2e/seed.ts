/**
 * Makes the world that the scenarios live in: a shop on a dedicated plan with a full and an incremental backup, a
 * spare cluster of the same plan, notes on a serverless plan, and people with different roles. The server `annex` stays
 * unattached, for the scenario that attaches one.
 */
import { writeFileSync } from 'node:fs';
import type { components } from '../src/api/schema';
import { Api, PASSWORD, PEOPLE, type Person, remember, sql, stateOf, until, urlOf } from './world';

type Schemas = components['schemas'];

const SHOP = `
  CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, city text);
  CREATE TABLE orders (
    id serial PRIMARY KEY,
    customer int NOT NULL REFERENCES customers,
    placed timestamptz NOT NULL DEFAULT '2026-01-01',
    total numeric(10, 2) NOT NULL
  );
  CREATE VIEW spending AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
  INSERT INTO customers SELECT i, 'customer ' || i, (ARRAY['Turku', 'Oulu', NULL])[1 + i % 3] FROM generate_series(1, 300) i;
  INSERT INTO orders (customer, total) SELECT 1 + i % 300, i * 1.5 FROM generate_series(1, 20000) i;
`;

/** Its index refuses to be built while `demo.fragile` is on, as a scenario sets it to let a restore fail midway. */
const FRAGILE = `
  CREATE FUNCTION not_today(value int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
      IF current_setting('demo.fragile', true) = 'on' THEN RAISE EXCEPTION 'this index is not built today'; END IF;
      RETURN value;
    END $$;
  CREATE TABLE glass (id int);
  INSERT INTO glass SELECT generate_series(1, 5000);
  CREATE INDEX glass_whole ON glass (not_today(id));
`;

/** Takes its time to be restored: the index waits wherever it is not at home. */
const NOTES = `
  CREATE TABLE pages (id int, body text);
  INSERT INTO pages SELECT i, repeat('x', 200) FROM generate_series(1, 500) i;
  CREATE FUNCTION patience(value int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
      IF current_database() <> 'notes' THEN PERFORM pg_sleep(8); END IF;
      RETURN value;
    END $$;
  CREATE TABLE waiting (id int);
  INSERT INTO waiting VALUES (1);
  CREATE INDEX waiting_patiently ON waiting (patience(id));
`;

export default async function seed() {
  await sql('shop', 'postgres', 'CREATE ROLE clerk LOGIN');
  for (const [database, text] of Object.entries({
    shop: SHOP,
    fragile: FRAGILE,
    empty: '',
    ledger: 'CREATE TABLE entries (id int); INSERT INTO entries VALUES (1), (2)',
  })) {
    await sql('shop', 'postgres', `CREATE DATABASE ${database}`);
    if (text) await sql('shop', database, text);
  }
  await sql('shop', 'shop', 'GRANT SELECT ON customers TO clerk');
  await sql('notes', 'postgres', 'CREATE DATABASE notes');
  await sql('notes', 'notes', NOTES);
  await sql('spare', 'postgres', 'CREATE DATABASE leftover');
  await sql('spare', 'leftover', 'CREATE TABLE old (id int); INSERT INTO old VALUES (1)');

  await until('the service to answer', () =>
    fetch(`${process.env.STRONGROOM_URL}/healthz`).then(
      (reply) => reply.ok,
      () => false,
    ),
  );
  const api = await new Api().signIn(PEOPLE.ada);
  const organization = await api.ask<Schemas['Organization']>('GET', '/organization');
  await api.ask('POST', '/storage-locations', {
    name: 'Basement',
    region: 'here',
    url: `file://${process.env.E2E_DIR}/backups`,
    passphrase: 'e2e passphrase',
  });

  const attach = async (name: 'shop' | 'spare' | 'notes', plan: Schemas['Plan']) => {
    const body: Schemas['CreateCluster'] = {
      name,
      provider: 'GCP',
      spec: {},
      strongroom: { url: urlOf(name), plan, provider: 'SELF_HOSTED', regions: ['here'] },
    };
    return (await api.ask<Schemas['Cluster']>('POST', '/clusters', body)).id;
  };
  const clusters = {
    shop: await attach('shop', 'DEDICATED'),
    spare: await attach('spare', 'DEDICATED'),
    notes: await attach('notes', 'SERVERLESS'),
  };

  const person = async (who: Person, name: string, role: string, resource: { type: string; id: string }) => {
    const user = await api.ask<Schemas['User']>('POST', '/users', {
      email: PEOPLE[who],
      name,
      password: PASSWORD,
    });
    await api.ask('POST', `/roles/${user.id}/${resource.type}/${resource.id}/${role}`);
  };
  await person('dev', 'Dev Developer', 'CLUSTER_DEVELOPER', { type: 'ORGANIZATION', id: organization.id });
  await person('oli', 'Oli Operator', 'CLUSTER_OPERATOR_WRITER', { type: 'CLUSTER', id: clusters.shop });
  for (const who of Object.keys(PEOPLE) as Person[]) {
    const session = await new Api().signIn(PEOPLE[who]);
    writeFileSync(stateOf(who), JSON.stringify(session.storageState()));
  }

  /** The newest backup of a cluster, once it has so many of this type. */
  const nth = (cluster: string, type: string, number: number) =>
    until(`${type} backup ${number} of ${cluster}`, async () => {
      const reply = await api.ask<Schemas['Backups']>(
        'GET',
        `/clusters/${cluster}/backups?pagination.sort_order=DESC`,
      );
      const found = reply.backups.filter((backup) => backup.strongroom.type === type);
      return found.length >= number && found[0]?.id;
    });
  const full = await nth(clusters.shop, 'FULL', 1);
  await nth(clusters.notes, 'FULL', 1);
  await nth(clusters.spare, 'FULL', 1);
  // Where a server tells of changes only by digests, the first incremental backup after a full one copies everything:
  // the second one shows what did not change.
  await api.ask('POST', `/clusters/${clusters.shop}/backups`, { type: 'INCREMENTAL' });
  await nth(clusters.shop, 'INCREMENTAL', 1);
  await sql(
    'shop',
    'shop',
    "UPDATE orders SET total = 0 WHERE id = 1; INSERT INTO customers VALUES (301, 'newcomer', 'Vaasa')",
  );
  await api.ask('POST', `/clusters/${clusters.shop}/backups`, { type: 'INCREMENTAL' });
  const incremental = await nth(clusters.shop, 'INCREMENTAL', 2);
  remember({ clusters, full, incremental });
}
