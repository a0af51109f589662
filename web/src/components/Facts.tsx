/** What is known of one thing, as terms and values. */
import type { ReactNode } from 'react';

export function Facts({ of }: { of: (readonly [string, ReactNode] | false | undefined)[] }) {
  return (
    <dl className="facts">
      {of.filter(isFact).map(([term, value]) => (
        <div key={term} style={{ display: 'contents' }}>
          <dt>{term}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function isFact(
  fact: readonly [string, ReactNode] | false | undefined,
): fact is readonly [string, ReactNode] {
  return fact !== false && fact !== undefined;
}
