/** Times, always UTC: a backup's moment must read the same to everybody who talks about it. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const parts = (options: Intl.DateTimeFormatOptions) =>
  new Intl.DateTimeFormat('en-US', { ...options, timeZone: 'UTC' });

const longDate = parts({ year: 'numeric', month: 'long', day: 'numeric' });
const clock = parts({ hour: 'numeric', minute: '2-digit', second: '2-digit', hour12: true });
const shortMonth = parts({ month: 'short' });

/** `April 20, 2023 at 8:00:00 PM`. */
export function dateTime(time: string | null | undefined): string {
  if (!time) return '--';
  const at = new Date(time);
  // Newer browsers put a narrow no-break space before PM; people search for a plain one.
  return `${longDate.format(at)} at ${clock.format(at).replace(/\u202f/g, ' ')}`;
}

/** A day, as addresses and the calendar name it: `2023-04-20`. */
export type Day = string;

export const dayOf = (time: Date | string): Day => new Date(time).toISOString().slice(0, 10);

export const startOf = (day: Day): Date => new Date(`${day}T00:00:00Z`);

export const addDays = (day: Day, days: number): Day => dayOf(new Date(startOf(day).getTime() + days * DAY));

export const isDay = (text: string | null): text is Day =>
  text !== null && /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(startOf(text).getTime());

/** `20 Apr 2023`. */
export function shortDay(day: Day): string {
  const at = startOf(day);
  return `${at.getUTCDate()} ${shortMonth.format(at)} ${at.getUTCFullYear()}`;
}

/** The days that a backup is still kept: `7 days`. A begun day counts. */
export function expiresIn(expiry: string | null | undefined, now: Date): string {
  if (!expiry) return '--';
  const days = Math.max(0, Math.ceil((new Date(expiry).getTime() - now.getTime()) / DAY));
  return days === 1 ? '1 day' : `${days} days`;
}

/** `2h 3m`, `3m 12s`, `0.4s`. */
export function duration(from: string | null | undefined, until: string | Date | null | undefined): string {
  if (!from || !until) return '--';
  const length = Math.max(0, new Date(until).getTime() - new Date(from).getTime());
  if (length < 10_000) return `${(length / 1000).toFixed(1)}s`;
  if (length < MINUTE) return `${Math.round(length / 1000)}s`;
  if (length < HOUR) return `${Math.floor(length / MINUTE)}m ${Math.round((length % MINUTE) / 1000) % 60}s`;
  if (length < DAY) return `${Math.floor(length / HOUR)}h ${Math.floor((length % HOUR) / MINUTE)}m`;
  return `${Math.floor(length / DAY)}d ${Math.floor((length % DAY) / HOUR)}h`;
}

/** How long ago or ahead, roughly: `3 minutes ago`, `in 2 hours`. */
export function fromNow(time: string | null | undefined, now: Date): string {
  if (!time) return '--';
  const away = new Date(time).getTime() - now.getTime();
  const size = Math.abs(away);
  const say = (amount: number, unit: string) => {
    const rounded = Math.floor(amount);
    const words = `${rounded} ${unit}${rounded === 1 ? '' : 's'}`;
    return away < 0 ? `${words} ago` : `in ${words}`;
  };
  if (size < MINUTE) return away < 0 ? 'just now' : 'in a moment';
  if (size < HOUR) return say(size / MINUTE, 'minute');
  if (size < DAY) return say(size / HOUR, 'hour');
  return say(size / DAY, 'day');
}

/** When something is due: `in 2 hours`, or `due now`. */
export function dueIn(time: string | null | undefined, now: Date): string {
  return time && new Date(time) <= now ? 'due now' : fromNow(time, now);
}

/** `5 minutes`, `1 hour`, `24 hours`, as the settings name how often. */
export function interval(minutes: number): string {
  if (minutes < 60) return `${minutes} minutes`;
  const hours = minutes / 60;
  return hours === 1 ? '1 hour' : `${hours} hours`;
}
