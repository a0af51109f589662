import { infiniteQueryOptions, queryOptions, useMutation } from '@tanstack/react-query';
import { cache } from './cache';
import { ask, client } from './client';
import { allPages, PAGE } from './pages';
import type { RoleGrant } from './types';

const list = (token: string | undefined) => ({
  params: { query: { 'pagination.limit': PAGE, 'pagination.page': token } },
});

export const organizationQuery = queryOptions({
  queryKey: ['organization'],
  queryFn: () => ask(client.GET('/api/v1/organization')),
});

export const useRenameOrganization = () =>
  useMutation({
    mutationFn: (name: string) => ask(client.PATCH('/api/v1/organization', { body: { name } })),
    onSuccess: () =>
      Promise.all([
        cache.invalidateQueries({ queryKey: ['organization'] }),
        cache.invalidateQueries({ queryKey: ['session'] }),
      ]),
  });

export const usersQuery = queryOptions({
  queryKey: ['users'],
  queryFn: () =>
    allPages(
      (page) => ask(client.GET('/api/v1/users', list(page))),
      (reply) => reply.users,
    ),
});

const refreshUsers = () => cache.invalidateQueries({ queryKey: ['users'] });

export const useCreateUser = () =>
  useMutation({
    mutationFn: (body: { email: string; name: string; password?: string }) =>
      ask(client.POST('/api/v1/users', { body })),
    onSuccess: refreshUsers,
  });

export const useChangeUser = () =>
  useMutation({
    mutationFn: ({ user, ...body }: { user: string; name?: string; disabled?: boolean }) =>
      ask(client.PATCH('/api/v1/users/{user_id}', { params: { path: { user_id: user } }, body })),
    onSuccess: refreshUsers,
  });

export const useDeleteUser = () =>
  useMutation({
    mutationFn: (user: string) =>
      ask(client.DELETE('/api/v1/users/{user_id}', { params: { path: { user_id: user } } })),
    onSuccess: refreshUsers,
  });

/** Sets all roles of a user or service account. */
export const useSetRoles = () =>
  useMutation({
    mutationFn: ({ subject, roles }: { subject: string; roles: RoleGrant[] }) =>
      ask(client.PUT('/api/v1/roles/{user_id}', { params: { path: { user_id: subject } }, body: { roles } })),
    onSuccess: () =>
      Promise.all([refreshUsers(), cache.invalidateQueries({ queryKey: ['service-accounts'] })]),
  });

export const serviceAccountsQuery = queryOptions({
  queryKey: ['service-accounts'],
  queryFn: () =>
    allPages(
      (page) => ask(client.GET('/api/v1/service-accounts', list(page))),
      (reply) => reply.service_accounts,
    ),
});

const refreshAccounts = () => cache.invalidateQueries({ queryKey: ['service-accounts'] });

export const useCreateServiceAccount = () =>
  useMutation({
    mutationFn: (body: { name: string; description: string; roles: RoleGrant[] }) =>
      ask(client.POST('/api/v1/service-accounts', { body })),
    onSuccess: refreshAccounts,
  });

export const useDeleteServiceAccount = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(client.DELETE('/api/v1/service-accounts/{id}', { params: { path: { id } } })),
    onSuccess: refreshAccounts,
  });

export const apiKeysQuery = queryOptions({
  queryKey: ['api-keys'],
  queryFn: () =>
    allPages(
      (page) => ask(client.GET('/api/v1/api-keys', list(page))),
      (reply) => reply.api_keys,
    ),
});

const refreshKeys = () => cache.invalidateQueries({ queryKey: ['api-keys'] });

export const useCreateApiKey = () =>
  useMutation({
    mutationFn: (body: { name: string; service_account_id: string }) =>
      ask(client.POST('/api/v1/api-keys', { body })),
    onSuccess: refreshKeys,
  });

export const useDeleteApiKey = () =>
  useMutation({
    mutationFn: (id: string) => ask(client.DELETE('/api/v1/api-keys/{id}', { params: { path: { id } } })),
    onSuccess: refreshKeys,
  });

export const auditLogQuery = ({ action, cluster }: { action: string | null; cluster: string | null }) =>
  infiniteQueryOptions({
    queryKey: ['audit-log', action, cluster],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      ask(
        client.GET('/api/v1/auditlogevents', {
          params: {
            query: {
              sort_order: 'DESC',
              limit: 50,
              starting_from: pageParam,
              action: action ?? undefined,
              cluster_id: cluster ?? undefined,
            },
          },
        }),
      ),
    getNextPageParam: (reply) => reply.next_starting_from ?? undefined,
  });

export const storageLocationsQuery = queryOptions({
  queryKey: ['storage-locations'],
  queryFn: () =>
    allPages(
      (page) => ask(client.GET('/api/v1/storage-locations', list(page))),
      (reply) => reply.storage_locations,
    ),
});

const refreshLocations = () => cache.invalidateQueries({ queryKey: ['storage-locations'] });

export const useCreateStorageLocation = () =>
  useMutation({
    mutationFn: (body: { name: string; region: string; url: string; passphrase?: string }) =>
      ask(client.POST('/api/v1/storage-locations', { body })),
    onSuccess: refreshLocations,
  });

export const useDeleteStorageLocation = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(client.DELETE('/api/v1/storage-locations/{id}', { params: { path: { id } } })),
    onSuccess: refreshLocations,
  });

export const useCheckStorageLocation = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(client.POST('/api/v1/storage-locations/{id}/check', { params: { path: { id } } })),
  });
