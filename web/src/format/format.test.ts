import { describe, expect, it } from 'vitest';
import { backupSize, counted, databaseSize, tableSize } from './size';
import {
  addDays,
  dateTime,
  dayOf,
  dueIn,
  duration,
  expiresIn,
  fromNow,
  interval,
  isDay,
  shortDay,
} from './time';

describe('sizes', () => {
  it.each([
    [64737, '63.22 KiB'],
    ['64512', '63 KiB'],
    [0, '0 KiB'],
    [870, '0.85 KiB'],
    [5 * 1024 ** 3, '5 GiB'],
  ])('a backup of %s bytes is %s', (bytes, text) => expect(backupSize(bytes)).toBe(text));

  it('nothing changed is 0 B in a database and 0.00 B in a table', () => {
    expect(databaseSize('0')).toBe('0 B');
    expect(tableSize('0')).toBe('0.00 B');
    expect(tableSize('64512')).toBe('63.00 KiB');
  });

  it('counts agree with their noun', () => {
    expect(counted('1', 'table')).toBe('1 table');
    expect(counted(1234567, 'row')).toBe('1,234,567 rows');
  });
});

describe('times', () => {
  const now = new Date('2023-04-20T21:00:00Z');

  it('Data From is in UTC, in long words', () => {
    expect(dateTime('2023-04-20T20:00:00Z')).toBe('April 20, 2023 at 8:00:00 PM');
    expect(dateTime('2023-04-20T23:30:00-02:00')).toBe('April 21, 2023 at 1:30:00 AM');
    expect(dateTime(null)).toBe('--');
  });

  it('the date box has a short form', () => expect(shortDay('2023-04-20')).toBe('20 Apr 2023'));

  it.each([
    ['2023-05-20T20:00:00Z', '30 days'],
    ['2023-04-27T20:30:00Z', '7 days'],
    ['2023-04-21T20:00:00Z', '1 day'],
    ['2023-04-20T20:00:00Z', '0 days'],
    [null, '--'],
  ])('what expires at %s expires in %s', (at, text) => expect(expiresIn(at, now)).toBe(text));

  it('days pass the ends of months', () => {
    expect(addDays('2023-03-01', -1)).toBe('2023-02-28');
    expect(dayOf(now)).toBe('2023-04-20');
    expect(isDay('2023-13-77')).toBe(false);
    expect(isDay(null)).toBe(false);
  });

  it.each([
    ['2023-04-20T20:00:00Z', '2023-04-20T20:00:00.400Z', '0.4s'],
    ['2023-04-20T20:00:00Z', '2023-04-20T20:03:12Z', '3m 12s'],
    ['2023-04-20T20:00:00Z', '2023-04-20T22:03:12Z', '2h 3m'],
  ])('from %s until %s is %s', (from, until, text) => expect(duration(from, until)).toBe(text));

  it('times nearby are told roughly', () => {
    expect(fromNow('2023-04-20T20:15:00Z', now)).toBe('45 minutes ago');
    expect(fromNow('2023-04-20T23:00:00Z', now)).toBe('in 2 hours');
    expect(dueIn('2023-04-20T20:59:00Z', now)).toBe('due now');
    expect(dueIn('2023-04-20T23:00:00Z', now)).toBe('in 2 hours');
    expect(interval(60)).toBe('1 hour');
    expect(interval(1440)).toBe('24 hours');
  });
});
