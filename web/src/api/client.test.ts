import { expect, it } from 'vitest';
import { ApiError, ask } from './client';
import { allPages } from './pages';

const refused = (status: number, body: unknown, headers?: Record<string, string>) =>
  ask(Promise.resolve({ error: body, response: new Response(null, { status, headers }) })).catch(
    (error) => error,
  );

it('a refusal keeps the words, the hint and the request of the service', async () => {
  const error = await refused(409, {
    code: 6,
    message: 'database "shop" already exists',
    details: [
      { '@type': 'strongroom/hint', hint: 'choose another name' },
      { '@type': 'strongroom/request', request_id: 'r-1' },
    ],
  });
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({
    status: 409,
    message: 'database "shop" already exists',
    hint: 'choose another name',
    requestId: 'r-1',
    isPassing: false,
  });
});

it('too many requests are asked again as late as the service wishes', async () => {
  const error = await refused(429, { message: 'rate limit exceeded', details: [] }, { 'Retry-After': '3' });
  expect(error).toMatchObject({ retryAfter: 3, isPassing: true });
});

it('a reply that is no JSON, such as that of a proxy, is an error all the same', async () => {
  expect(await refused(502, '<html>')).toMatchObject({ status: 502, message: 'The service answered 502.' });
});

it('no reply at all says so', async () => {
  const error = await ask(Promise.reject(new TypeError('fetch failed'))).catch((error) => error);
  expect(error).toMatchObject({ status: 0, message: 'The service does not answer.', isPassing: true });
});

it('a list of several pages is put together, up to a limit', async () => {
  const pages = new Map([
    [undefined, { items: [1, 2], pagination: { next_page: 'b' } }],
    ['b', { items: [3], pagination: { next_page: 'c' } }],
    ['c', { items: [4], pagination: { next_page: null } }],
  ]);
  const page = async (token: string | undefined) => {
    const found = pages.get(token);
    if (!found) throw new Error(`no page ${token}`);
    return found;
  };
  expect(await allPages(page, (reply) => reply.items)).toEqual({ items: [1, 2, 3, 4], more: false });
  expect(await allPages(page, (reply) => reply.items, 2)).toEqual({ items: [1, 2, 3], more: true });
});
