/**
 * Restores, and their progress as the service tells it: a restore's id is its job's, whose changes arrive as
 * server-sent events. The list itself is asked for now and then, to find restores that others began.
 */
import { keepPreviousData, queryOptions, useMutation } from '@tanstack/react-query';
import { useEffect } from 'react';
import { cache } from './cache';
import { ask, client } from './client';
import { isOpen } from './jobs';
import type { CreateRestore, Job, Restore, RestorePlan } from './types';

export const restoresQuery = (id: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'restores'],
    refetchInterval: 5_000,
    queryFn: async () => {
      const reply = await ask(
        client.GET('/api/v1/clusters/{cluster_id}/restores', {
          params: {
            path: { cluster_id: id },
            query: { 'pagination.limit': 100, 'pagination.sort_order': 'DESC' },
          },
        }),
      );
      return reply.restores;
    },
  });

export const restoreQuery = (id: string, restore: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'restore', restore],
    refetchInterval: (query) =>
      query.state.data && isOpen(query.state.data.strongroom.state) ? 5_000 : false,
    queryFn: () =>
      ask(
        client.GET('/api/v1/clusters/{cluster_id}/restores/{restore_id}', {
          params: { path: { cluster_id: id, restore_id: restore } },
        }),
      ),
  });

/** Whether the service would refuse what it has planned. */
export const isBlocked = (plan: RestorePlan) =>
  Boolean(plan.refused) || plan.conflicts.length > 0 || plan.missing.length > 0;

/**
 * What a restore would do. It writes nothing, so it is a question although it is sent as POST. What is in the way is
 * often removed elsewhere, in a terminal: it is asked for again until it is gone, and whenever somebody comes back.
 */
export const restorePlanQuery = (destination: string, body: CreateRestore) =>
  queryOptions({
    queryKey: ['cluster', destination, 'restore-plan', body],
    staleTime: 30_000,
    gcTime: 60_000,
    refetchInterval: (query) => (query.state.data && isBlocked(query.state.data) ? 5_000 : false),
    refetchOnWindowFocus: 'always',
    placeholderData: keepPreviousData,
    queryFn: () =>
      ask(
        client.POST('/api/v1/clusters/{cluster_id}/restore-plans', {
          params: { path: { cluster_id: destination } },
          body,
        }),
      ),
  });

export const useRestore = () =>
  useMutation({
    mutationFn: ({ destination, body }: { destination: string; body: CreateRestore }) =>
      ask(
        client.POST('/api/v1/clusters/{cluster_id}/restores', {
          params: { path: { cluster_id: destination } },
          body,
        }),
      ),
    // Nobody waits for that. Of the plan nothing is asked any more: what it says of names is true no longer.
    onSuccess: (_, { destination }) =>
      void cache.invalidateQueries({
        queryKey: ['cluster', destination],
        predicate: ({ queryKey }) => queryKey[2] !== 'restore-plan',
      }),
  });

export const useCancelRestore = (id: string) =>
  useMutation({
    mutationFn: (restore: string) =>
      ask(
        client.POST('/api/v1/clusters/{cluster_id}/restores/{restore_id}/cancel', {
          params: { path: { cluster_id: id, restore_id: restore } },
        }),
      ),
    onSuccess: () => cache.invalidateQueries({ queryKey: ['cluster', id] }),
  });

/** Follows a restore while `follow` holds, writing what arrives into the cache. */
export function useRestoreEvents(id: string, restore: string, follow: boolean) {
  useEffect(() => {
    if (!follow) return;
    let state: string | undefined;
    const events = new EventSource(`/api/v1/jobs/${encodeURIComponent(restore)}/events`);
    events.addEventListener('job', (event) => {
      const job = JSON.parse((event as MessageEvent<string>).data) as Job;
      const update = (known: Restore) => (known.id === job.id ? withJob(known, job) : known);
      cache.setQueryData<Restore[]>(['cluster', id, 'restores'], (list) => list?.map(update));
      cache.setQueryData<Restore>(['cluster', id, 'restore', restore], (known) => known && update(known));
      // A cluster becomes unavailable when its restore begins to run, and says so at once.
      if (job.state !== state) void cache.invalidateQueries({ queryKey: ['cluster', id], exact: true });
      state = job.state;
      if (!isOpen(job.state)) {
        events.close();
        // The outcome has more than the job: what to set again, and the cluster is available again.
        void cache.invalidateQueries({ queryKey: ['cluster', id] });
      }
    });
    return () => events.close();
  }, [id, restore, follow]);
}

function withJob(restore: Restore, job: Job): Restore {
  return {
    ...restore,
    completion_percent: Math.max(restore.completion_percent, job.progress?.fraction ?? 0),
    completed_at: job.finished_at ?? restore.completed_at,
    strongroom: {
      ...restore.strongroom,
      state: job.state,
      started_at: job.started_at ?? restore.strongroom.started_at,
      progress: job.progress ?? restore.strongroom.progress,
      error_code: job.error_code ?? restore.strongroom.error_code,
      error_message: job.error_message ?? restore.strongroom.error_message,
      error_hint: job.error_hint ?? restore.strongroom.error_hint,
      cancel_requested: job.cancel_requested,
      actions: job.actions.length > 0 ? job.actions : restore.strongroom.actions,
    },
  };
}
