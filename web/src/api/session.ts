import { queryOptions, useMutation, useQuery } from '@tanstack/react-query';
import { cache } from './cache';
import { ApiError, ask, client } from './client';
import type { Session } from './types';

/** Who is signed in; null: nobody. */
export const sessionQuery = queryOptions({
  queryKey: ['session'],
  staleTime: 60_000,
  queryFn: async (): Promise<Session | null> => {
    try {
      return await ask(client.GET('/api/v1/session'));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
});

export const useSession = () => useQuery(sessionQuery);

export const useSignIn = () =>
  useMutation({
    mutationFn: (body: { email: string; password: string }) => ask(client.POST('/api/v1/session', { body })),
    onSuccess: (session) => {
      cache.clear();
      cache.setQueryData(['session'], session);
    },
  });

export const useSignOut = () =>
  useMutation({
    mutationFn: () => ask(client.DELETE('/api/v1/session')),
    onSettled: () => {
      cache.clear();
      cache.setQueryData(['session'], null);
    },
  });

export const useSetPassword = () =>
  useMutation({
    mutationFn: ({ user, ...body }: { user: string; password: string; current_password?: string }) =>
      ask(client.PUT('/api/v1/users/{user_id}/password', { params: { path: { user_id: user } }, body })),
  });
