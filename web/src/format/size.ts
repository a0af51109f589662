/** Sizes, in binary units, as the lists show them. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** int64 values arrive as strings. Sizes beyond 2^53 bytes lose their last digits, which nobody sees. */
export type Int64 = string | number | null | undefined;

export const toNumber = (value: Int64): number => Number(value ?? 0);

function scaled(bytes: number, smallest: number): { value: number; unit: string } {
  let value = bytes / 1024 ** smallest;
  let unit = smallest;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return { value, unit: UNITS[unit] ?? 'B' };
}

const upToTwo = new Intl.NumberFormat('en-US', { maximumFractionDigits: 2 });
const exactlyTwo = new Intl.NumberFormat('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** A backup's size: `63.22 KiB`, `63 KiB`. In KiB or larger units, never in bytes. */
export function backupSize(bytes: Int64): string {
  const { value, unit } = scaled(toNumber(bytes), 1);
  return `${upToTwo.format(value)} ${unit}`;
}

/** A database's size: `0 B` means that nothing changed. */
export function databaseSize(bytes: Int64): string {
  const { value, unit } = scaled(toNumber(bytes), 0);
  return `${upToTwo.format(value)} ${unit}`;
}

/** A table's size: `0.00 B` means that nothing changed. */
export function tableSize(bytes: Int64): string {
  const { value, unit } = scaled(toNumber(bytes), 0);
  return `${exactlyTwo.format(value)} ${unit}`;
}

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** A number of rows or tables: `1,234,567`. */
export const count = (value: Int64): string => whole.format(toNumber(value));

/** `1 table`, `3 tables`. */
export const counted = (value: Int64, one: string, many = `${one}s`): string =>
  `${count(value)} ${toNumber(value) === 1 ? one : many}`;
