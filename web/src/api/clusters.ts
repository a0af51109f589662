import { keepPreviousData, queryOptions, useMutation } from '@tanstack/react-query';
import { cache } from './cache';
import { ask, client } from './client';
import { allPages, PAGE } from './pages';
import type { CreateCluster } from './types';

/** Lists that others change are looked at again this often. */
const REFRESH = 15_000;

/** A cluster's own pages tell soon that it is being restored, and that it is back. */
const REFRESH_ONE = 5_000;

const path = (id: string) => ({ params: { path: { cluster_id: id } } });

const clustersOf = (which: 'attached' | 'all') =>
  queryOptions({
    queryKey: ['clusters', which],
    refetchInterval: REFRESH,
    placeholderData: keepPreviousData,
    queryFn: () =>
      allPages(
        (page) =>
          ask(
            client.GET('/api/v1/clusters', {
              params: {
                query: {
                  show_inactive: which === 'all' || undefined,
                  'pagination.limit': PAGE,
                  'pagination.page': page,
                },
              },
            }),
          ),
        (reply) => reply.clusters,
      ),
  });

export const clustersQuery = clustersOf('attached');

/** With those that were detached: their backups are kept, and roles on them, too. */
export const allClustersQuery = clustersOf('all');

export const clusterQuery = (id: string) =>
  queryOptions({
    queryKey: ['cluster', id],
    refetchInterval: REFRESH_ONE,
    queryFn: () => ask(client.GET('/api/v1/clusters/{cluster_id}', path(id))),
  });

export const connectionStringQuery = (id: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'connection-string'],
    queryFn: () => ask(client.GET('/api/v1/clusters/{cluster_id}/connection-string', path(id))),
  });

export const liveDatabasesQuery = (id: string) =>
  queryOptions({
    queryKey: ['cluster', id, 'databases'],
    queryFn: () =>
      allPages(
        (page) =>
          ask(
            client.GET('/api/v1/clusters/{cluster_id}/databases', {
              params: {
                path: { cluster_id: id },
                query: { 'pagination.limit': PAGE, 'pagination.page': page },
              },
            }),
          ),
        (reply) => reply.databases,
      ),
  });

export const useRenameDatabase = (id: string) =>
  useMutation({
    mutationFn: ({ name, new_name }: { name: string; new_name: string }) =>
      ask(
        client.PATCH('/api/v1/clusters/{cluster_id}/databases/{name}', {
          params: { path: { cluster_id: id, name } },
          body: { new_name },
        }),
      ),
    onSuccess: () => cache.invalidateQueries({ queryKey: ['cluster', id] }),
  });

export const useDropDatabase = (id: string) =>
  useMutation({
    mutationFn: (name: string) =>
      ask(
        client.DELETE('/api/v1/clusters/{cluster_id}/databases/{name}', {
          params: { path: { cluster_id: id, name } },
        }),
      ),
    onSuccess: () => cache.invalidateQueries({ queryKey: ['cluster', id] }),
  });

export const useCheckConnection = () =>
  useMutation({
    mutationFn: (url: string) => ask(client.POST('/api/v1/clusters/check-connection', { body: { url } })),
  });

export const useAttachCluster = () =>
  useMutation({
    mutationFn: (body: CreateCluster) => ask(client.POST('/api/v1/clusters', { body })),
    onSuccess: () => cache.invalidateQueries({ queryKey: ['clusters'] }),
  });

/** `onDetached` leaves the page first: what asks goes with the news that the cluster is detached. */
export const useDetachCluster = (id: string, onDetached: () => void) =>
  useMutation({
    mutationFn: () => ask(client.DELETE('/api/v1/clusters/{cluster_id}', path(id))),
    onSuccess: () => {
      onDetached();
      return Promise.all([
        cache.invalidateQueries({ queryKey: ['clusters'] }),
        cache.invalidateQueries({ queryKey: ['cluster', id] }),
      ]);
    },
  });
