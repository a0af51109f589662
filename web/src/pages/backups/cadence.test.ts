import { expect, it } from 'vitest';
import type { Cluster } from '../../api/types';
import { sayCadence } from './cadence';

const on = (plan: string) => ({ strongroom: { plan } }) as Cluster;

it.each([
  ['SERVERLESS', 60, 30, 'Backups are run hourly.'],
  ['BASIC', 1440, 30, 'Backups are run every 24 hours.'],
  ['DEDICATED', 60, 30, 'A full backup daily, kept 30 days; incrementals hourly, kept 7 days.'],
  ['DEDICATED', 240, 2, 'A full backup daily, kept 2 days; incrementals every 4 hours, kept 2 days.'],
  ['DEDICATED', 1440, 30, 'Backups are run every 24 hours.'],
])('%s, every %d minutes, kept %d days', (plan, frequency_minutes, retention_days, said) => {
  expect(sayCadence(on(plan), { frequency_minutes, retention_days })).toBe(said);
});
