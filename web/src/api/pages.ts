/** Lists come by pages. Where the console needs all of it, it asks for all of them. */

interface Paged {
  pagination?: { next_page?: string | null } | null;
}

/** The most that one request may ask for. */
export const PAGE = 500;

/** All pages of a list, up to `most` of them; `more` tells whether some were left out. */
export async function allPages<P extends Paged, T>(
  page: (token: string | undefined) => Promise<P>,
  items: (reply: P) => T[],
  most = 10,
): Promise<{ items: T[]; more: boolean }> {
  const found: T[] = [];
  let token: string | undefined;
  for (let asked = 0; asked < most; asked += 1) {
    const reply = await page(token);
    found.push(...items(reply));
    token = reply.pagination?.next_page ?? undefined;
    if (!token) return { items: found, more: false };
  }
  return { items: found, more: true };
}
