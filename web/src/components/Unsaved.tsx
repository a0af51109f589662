/** Asks before what was changed in a form is lost by going to another page, or by closing this one. */
import { Text } from '@mantine/core';
import { useEffect } from 'react';
import { useBlocker } from 'react-router';
import { Confirm } from './Confirm';

export function Unsaved({ when }: { when: boolean }) {
  const blocker = useBlocker(
    ({ currentLocation, nextLocation }) => when && currentLocation.pathname !== nextLocation.pathname,
  );
  useEffect(() => {
    if (!when) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener('beforeunload', ask);
    return () => window.removeEventListener('beforeunload', ask);
  }, [when]);
  if (blocker.state !== 'blocked') return null;
  return (
    <Confirm
      title="Leave without saving?"
      verb="Leave"
      leave="Stay"
      sending={{ isPending: false, error: null }}
      onClose={blocker.reset}
      onConfirm={blocker.proceed}
    >
      <Text size="sm">What you have changed on this page is not saved.</Text>
    </Confirm>
  );
}
