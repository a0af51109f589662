import { expect, it } from 'vitest';
import { ACTIONS, actionLabel, detailLines } from './audit';

it('actions are told in words', () => {
  expect(actionLabel('AUDIT_LOG_ACTION_RESTORE_CLUSTER')).toBe('Restore cluster');
  expect(actionLabel('AUDIT_LOG_ACTION_CREATE_API_KEY')).toBe('Create API key');
  expect(actionLabel('AUDIT_LOG_ACTION_USER_LOGIN')).toBe('User sign-in');
  expect(new Set(ACTIONS.map(actionLabel)).size).toBe(ACTIONS.length);
});

it('details are lines of a name and a value', () => {
  expect(
    detailLines({ frequency_minutes: [60, 15], user: { name: 'ada', roles: [] }, note: null, own: true }),
  ).toEqual([
    ['frequency minutes', '60, 15'],
    ['user, name', 'ada'],
    ['user, roles', ''],
    ['own', 'true'],
  ]);
});
