/**
 * Asking the service. Every reply that is not 200 becomes an `ApiError`, so that pages have one kind of
 * failure to show, with the service's own words and hint.
 */
import createClient from 'openapi-fetch';
import type { paths } from './schema';

/** What the service refused, in its words. */
export class ApiError extends Error {
  readonly status: number;
  readonly hint: string | undefined;
  readonly requestId: string | undefined;
  /** Seconds that the service asks to wait. */
  readonly retryAfter: number | undefined;

  constructor(
    status: number,
    message: string,
    more: { hint?: string; requestId?: string; retryAfter?: number } = {},
  ) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.hint = more.hint;
    this.requestId = more.requestId;
    this.retryAfter = more.retryAfter;
  }

  /** Whether the same request may succeed a moment later. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status === 503;
  }
}

export const client = createClient<paths>({
  baseUrl: '/',
  credentials: 'same-origin',
  // Asked for anew each time: tests and tools replace the global one.
  fetch: (request) => globalThis.fetch(request),
});

client.use({
  onRequest({ request }) {
    // Changes made with a session's cookie must carry this header: another site's form cannot send it.
    if (request.method !== 'GET') request.headers.set('X-Strongroom-Request', '1');
    return request;
  },
});

interface Outcome<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The reply's body, or an `ApiError`. */
export async function ask<T>(request: Promise<Outcome<T>>): Promise<T> {
  let outcome: Outcome<T>;
  try {
    outcome = await request;
  } catch {
    throw new ApiError(0, 'The service does not answer.', {
      hint: 'Check your connection, and that the service runs.',
    });
  }
  if (outcome.response.ok && outcome.data !== undefined) return outcome.data;
  throw refusal(outcome.response, outcome.error);
}

function refusal(response: Response, body: unknown): ApiError {
  const status = (typeof body === 'object' && body !== null ? body : {}) as {
    message?: unknown;
    details?: unknown;
  };
  const details = Array.isArray(status.details) ? (status.details as Record<string, unknown>[]) : [];
  const text = (type: string, field: string) => {
    const found = details.find((detail) => detail['@type'] === type)?.[field];
    return typeof found === 'string' ? found : undefined;
  };
  const wait = Number(response.headers.get('Retry-After'));
  return new ApiError(
    response.status,
    typeof status.message === 'string' && status.message !== ''
      ? status.message
      : `The service answered ${response.status}.`,
    {
      hint: text('strongroom/hint', 'hint'),
      requestId: text('strongroom/request', 'request_id'),
      retryAfter: wait > 0 ? wait : undefined,
    },
  );
}
