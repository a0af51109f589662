/** What the scenarios stand on: servers, people, and ways to look behind the console's back. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test as base, expect, type Page } from '@playwright/test';
import pg from 'pg';

export const PASSWORD = 'correct horse battery staple';

/** People, by what they may do. */
export const PEOPLE = {
  /** Org Administrator. */
  ada: 'ada@example.org',
  /** Cluster Developer on everything: sees, but does not restore. */
  dev: 'dev@example.org',
  /** Cluster Operator of the shop alone. */
  oli: 'oli@example.org',
} as const;

export type Person = keyof typeof PEOPLE;
export type Server = 'shop' | 'spare' | 'notes' | 'annex';

/** What the seed has made, for the scenarios. */
export interface World {
  clusters: Record<'shop' | 'spare' | 'notes', string>;
  /** The shop's first full backup, and an incremental one after it. */
  full: string;
  incremental: string;
}

const dir = process.env.E2E_DIR ?? '.';
const file = join(dir, 'world.json');

export const remember = (world: World) => writeFileSync(file, JSON.stringify(world));
export const world = (): World => JSON.parse(readFileSync(file, 'utf8')) as World;
export const stateOf = (person: Person) => join(dir, `${person}.json`);

export function urlOf(server: Server, database = 'postgres'): string {
  const url = new URL(process.env[`E2E_PG_${server.toUpperCase()}`] ?? 'postgresql://unset');
  url.pathname = `/${database}`;
  return url.toString();
}

/** Asks a server directly. */
export async function sql<T = Record<string, unknown>>(
  server: Server,
  database: string,
  text: string,
): Promise<T[]> {
  const client = new pg.Client({ connectionString: urlOf(server, database) });
  await client.connect();
  try {
    const result = await client.query(text);
    const last = Array.isArray(result) ? result.at(-1) : result;
    return last.rows as T[];
  } finally {
    await client.end();
  }
}

export async function exists(server: Server, database: string): Promise<boolean> {
  const rows = await sql(server, 'postgres', `SELECT 1 FROM pg_database WHERE datname = '${database}'`);
  return rows.length > 0;
}

/** Holds a lock on a table, so that whoever reads it waits. */
export async function lock(server: Server, database: string, table: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: urlOf(server, database) });
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return async () => {
    await client.query('ROLLBACK');
    await client.end();
  };
}

/** Asks the API as somebody signed in. */
export class Api {
  private cookie = '';

  async signIn(email: string, password = PASSWORD): Promise<this> {
    const response = await this.send('POST', '/session', { email, password });
    if (response.status !== 200)
      throw new Error(`signing in as ${email}: ${response.status} ${await response.text()}`);
    this.cookie = (response.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    return this;
  }

  async send(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(`${process.env.STRONGROOM_URL}/api/v1${path}`, {
      method,
      headers: {
        'Content-Type': 'application/json',
        'X-Strongroom-Request': '1',
        ...(this.cookie ? { Cookie: this.cookie } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  /** The reply's body; anything but 200 ends the scenario. */
  async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.send(method, path, body);
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  }

  /** The session as a browser keeps it. */
  storageState() {
    const [name = '', value = ''] = this.cookie.split('=', 2);
    const { hostname } = new URL(process.env.STRONGROOM_URL ?? 'http://unset');
    const cookie = {
      name,
      value,
      domain: hostname,
      path: '/',
      expires: -1,
      httpOnly: true,
      secure: false,
      sameSite: 'Strict' as const,
    };
    return { cookies: [cookie], origins: [] };
  }
}

export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  seconds = 60,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  while (Date.now() < deadline) {
    const found = await ask();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  throw new Error(`waited ${seconds} seconds in vain: ${what}`);
}

/** A scenario begins signed in as Ada, unless it says otherwise. Nothing may be said on the browser's console. */
export const test = base.extend<{ as: Person; quiet: undefined }>({
  as: ['ada', { option: true }],
  storageState: async ({ as }, use) => use(stateOf(as)),
  quiet: [
    async ({ page }, use) => {
      const said: string[] = [];
      page.on('pageerror', (error) => said.push(error.message));
      page.on('console', (message) => {
        // Refusals by the service are part of the scenarios; the browser logs each of them.
        if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
          said.push(message.text());
      });
      await use(undefined);
      expect(said).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

/** The rows of a list as texts, under the headers as people see them. */
export async function rows(page: Page, list: string): Promise<string[][]> {
  const table = page.getByRole('table', { name: list });
  await expect(table).toBeVisible();
  return table
    .getByRole('row')
    .filter({ has: page.getByRole('cell') })
    .evaluateAll((found) =>
      found.map((row) =>
        [...row.querySelectorAll('[role=cell]')].map((cell) => cell.textContent?.trim() ?? ''),
      ),
    );
}

export async function headers(page: Page, list: string): Promise<string[]> {
  const table = page.getByRole('table', { name: list });
  await expect(table).toBeVisible();
  return table.getByRole('columnheader').allTextContents();
}

/** The newest restore job on the page ends so. */
export async function restoreEnds(page: Page, status: 'Succeeded' | 'Failed' | 'Canceled') {
  await expect(page).toHaveURL(/\/restore-jobs$/);
  const newest = page.getByRole('table', { name: 'Restore Jobs' }).getByRole('row').nth(1);
  await expect(newest).toContainText(status, { timeout: 60_000 });
  return newest;
}
