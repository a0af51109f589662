import { keepPreviousData, queryOptions, useMutation } from '@tanstack/react-query';
import { addDays, type Day, startOf } from '../format/time';
import { cache } from './cache';
import { ask, client } from './client';
import { allPages, PAGE } from './pages';
import type { BackupType } from './types';

const REFRESH = 15_000;

const ofCluster = (id: string) => ({ params: { path: { cluster_id: id } } });
const ofBackup = (id: string, backup: string) => ({
  params: { path: { cluster_id: id, backup_id: backup } },
});

/** The backups with their read point on one day, newest first. */
export const backupsQuery = (id: string, day: Day, live: boolean) =>
  queryOptions({
    queryKey: ['cluster', id, 'backups', day],
    refetchInterval: live ? REFRESH : false,
    queryFn: () =>
      allPages(
        (page) =>
          ask(
            client.GET('/api/v1/clusters/{cluster_id}/backups', {
              params: {
                path: { cluster_id: id },
                query: {
                  start_time: startOf(day).toISOString(),
                  end_time: startOf(addDays(day, 1)).toISOString(),
                  'pagination.limit': PAGE,
                  'pagination.sort_order': 'DESC',
                  'pagination.page': page,
                },
              },
            }),
          ),
        (reply) => reply.backups,
      ),
  });

/** The newest backups from before a time, to choose among. */
export const earlierBackupsQuery = (id: string, before: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'backups', 'before', before],
    queryFn: async () => {
      const reply = await ask(
        client.GET('/api/v1/clusters/{cluster_id}/backups', {
          params: {
            path: { cluster_id: id },
            query: { end_time: before, 'pagination.limit': 200, 'pagination.sort_order': 'DESC' },
          },
        }),
      );
      return reply.backups;
    },
  });

export const backupQuery = (id: string, backup: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'backup', backup],
    queryFn: () => ask(client.GET('/api/v1/clusters/{cluster_id}/backups/{backup_id}', ofBackup(id, backup))),
  });

/** Which days have backups, and which have failures. */
export const backupDaysQuery = (id: string, from: Day, until: Day) =>
  queryOptions({
    queryKey: ['cluster', id, 'backup-days', from, until],
    placeholderData: keepPreviousData,
    queryFn: () =>
      ask(
        client.GET('/api/v1/clusters/{cluster_id}/backup-days', {
          params: {
            path: { cluster_id: id },
            query: { from: startOf(from).toISOString(), until: startOf(until).toISOString() },
          },
        }),
      ),
  });

/** Backups that are waiting or being taken. */
export const openBackupsQuery = (id: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'open-backups'],
    refetchInterval: 3_000,
    queryFn: async () => {
      const inState = (state: 'RUNNING' | 'PENDING') =>
        ask(
          client.GET('/api/v1/clusters/{cluster_id}/jobs', {
            params: { path: { cluster_id: id }, query: { kind: 'BACKUP', state } },
          }),
        );
      const replies = await Promise.all([inState('RUNNING'), inState('PENDING')]);
      return replies.flatMap((reply) => reply.jobs);
    },
  });

export const incompleteBackupsQuery = (id: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'incomplete-backups'],
    refetchInterval: 5_000,
    queryFn: () =>
      allPages(
        (page) =>
          ask(
            client.GET('/api/v1/clusters/{cluster_id}/incomplete-backups', {
              params: {
                path: { cluster_id: id },
                query: {
                  'pagination.limit': PAGE,
                  'pagination.sort_order': 'DESC',
                  'pagination.page': page,
                },
              },
            }),
          ),
        (reply) => reply.incomplete_backups,
        4,
      ),
  });

export const backupDatabasesQuery = (id: string, backup: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'backup', backup, 'databases'],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: () =>
      ask(client.GET('/api/v1/clusters/{cluster_id}/backups/{backup_id}/databases', ofBackup(id, backup))),
  });

export const backupTablesQuery = (id: string, backup: string, database: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'backup', backup, 'tables', database],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: () =>
      ask(
        client.GET('/api/v1/clusters/{cluster_id}/backups/{backup_id}/databases/{database}/tables', {
          params: { path: { cluster_id: id, backup_id: backup, database } },
        }),
      ),
  });

export const rowsQuery = (id: string, backup: string, database: string, schema: string, table: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'backup', backup, 'rows', database, schema, table],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: () =>
      ask(
        client.GET(
          '/api/v1/clusters/{cluster_id}/backups/{backup_id}/databases/{database}/tables/{schema}/{table}/rows',
          {
            params: {
              path: { cluster_id: id, backup_id: backup, database, schema, table },
              query: { limit: 100 },
            },
          },
        ),
      ),
  });

export const diffQuery = (id: string, backup: string, other: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'backup', backup, 'diff', other],
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: () =>
      ask(
        client.GET('/api/v1/clusters/{cluster_id}/backups/{backup_id}/diff', {
          params: { path: { cluster_id: id, backup_id: backup }, query: { other } },
        }),
      ),
  });

export const storageHistoryQuery = (id: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'storage-history'],
    queryFn: () => ask(client.GET('/api/v1/clusters/{cluster_id}/storage-history', ofCluster(id))),
  });

export const backupConfigQuery = (id: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'backups-config'],
    queryFn: () => ask(client.GET('/api/v1/clusters/{cluster_id}/backups-config', ofCluster(id))),
  });

export interface BackupSettingsChange {
  enabled?: boolean;
  frequency_minutes?: number;
  retention_days?: number;
  strongroom?: { drill_every_days?: number | null };
}

export const useChangeBackupConfig = (id: string) =>
  useMutation({
    mutationFn: (body: BackupSettingsChange) =>
      ask(client.PATCH('/api/v1/clusters/{cluster_id}/backups-config', { ...ofCluster(id), body })),
    onSuccess: (config) => {
      cache.setQueryData(['cluster', id, 'backups-config'], config);
      return cache.invalidateQueries({ queryKey: ['cluster', id] });
    },
  });

export const useTakeBackup = (id: string) =>
  useMutation({
    mutationFn: (type?: BackupType) =>
      ask(client.POST('/api/v1/clusters/{cluster_id}/backups', { ...ofCluster(id), body: { type } })),
    onSuccess: () => cache.invalidateQueries({ queryKey: ['cluster', id] }),
  });

export const drillsQuery = (id: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'drills'],
    refetchInterval: 5_000,
    queryFn: async () => {
      const reply = await ask(
        client.GET('/api/v1/clusters/{cluster_id}/drills', {
          params: { path: { cluster_id: id }, query: { 'pagination.limit': 100 } },
        }),
      );
      return reply.drills;
    },
  });

export const useStartDrill = (id: string) =>
  useMutation({
    mutationFn: (backup?: string) =>
      ask(
        client.POST('/api/v1/clusters/{cluster_id}/drills', {
          ...ofCluster(id),
          body: backup ? { backup_id: backup } : {},
        }),
      ),
    onSuccess: () => cache.invalidateQueries({ queryKey: ['cluster', id, 'drills'] }),
  });

export const useCancelJob = (id: string) =>
  useMutation({
    mutationFn: (job: string) =>
      ask(client.POST('/api/v1/jobs/{job_id}/cancel', { params: { path: { job_id: job } } })),
    onSuccess: () => cache.invalidateQueries({ queryKey: ['cluster', id] }),
  });
