/** What was asked for is kept here, and asked for again by these rules. */
import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiError } from './client';

const isSignedOut = (error: unknown) => error instanceof ApiError && error.status === 401;

export const cache: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: forgetSession }),
  mutationCache: new MutationCache({ onError: forgetSession }),
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      // What passes by itself is asked again, as late as the service wishes. The rest is shown at once.
      retry: (failures, error) => error instanceof ApiError && error.isPassing && failures < 3,
      retryDelay: (failures, error) =>
        (error instanceof ApiError && error.retryAfter ? error.retryAfter : 2 ** failures) * 1000,
    },
  },
});

/** A session that ended while a page was open: the next look at it leads to signing in. */
function forgetSession(error: unknown) {
  if (isSignedOut(error) && cache.getQueryData(['session'])) cache.setQueryData(['session'], null);
}
