/** How often backups are taken and how long they are kept, in a sentence. */
import type { BackupConfig, Cluster } from '../../api/types';
import { interval } from '../../format/time';

/** For how many days a dedicated cluster's incremental backups are kept at most. */
const INCREMENTAL_DAYS = 7;
const MINUTES_PER_DAY = 1440;

const often = (minutes: number) => (minutes === 60 ? 'hourly' : `every ${interval(minutes)}`);

type Told = Pick<BackupConfig, 'frequency_minutes' | 'retention_days'>;

export function sayCadence(cluster: Cluster, { frequency_minutes, retention_days }: Told): string {
  if (cluster.strongroom.plan !== 'DEDICATED' || frequency_minutes >= MINUTES_PER_DAY)
    return `Backups are run ${often(frequency_minutes)}.`;
  const incremental = Math.min(retention_days, INCREMENTAL_DAYS);
  return `A full backup daily, kept ${retention_days} days; incrementals ${often(frequency_minutes)}, kept ${incremental} days.`;
}
