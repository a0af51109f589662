import { useEffect, useState } from 'react';

/** The present, looked at again every so often, so that what depends on it does not grow old on the screen. */
export function useNow(every = 30_000): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}
