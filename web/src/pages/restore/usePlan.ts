/**
 * The plan of the restore that is being chosen. It is asked for while the choices are made, so that whatever is in the
 * way is known before anything runs; not at every letter, but when the typing pauses.
 */
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { isBlocked, restorePlanQuery } from '../../api/restores';
import type { Cluster, CreateRestore, RestorePlan } from '../../api/types';

export interface Planned {
  /** What is to be restored; undefined while a choice is missing. */
  body: CreateRestore | undefined;
  destination: Cluster | undefined;
  /** The plan of just these choices. */
  plan: RestorePlan | undefined;
  /** These choices have no plan yet. */
  planning: boolean;
  /** Whether the plan is made anew, of the same choices. */
  asking: boolean;
  error: Error | null;
  again: () => void;
}

interface Asked {
  destination: string;
  body: CreateRestore;
}

export function usePlan(destination: Cluster | undefined, body: CreateRestore | undefined): Planned {
  const complete = destination !== undefined && body !== undefined;
  const wanted = complete ? JSON.stringify({ destination: destination.id, body } satisfies Asked) : '';
  const [asked] = useDebouncedValue(wanted, 350);
  const { destination: to, body: what } = asked
    ? (JSON.parse(asked) as Asked)
    : { destination: '', body: { type: 'CLUSTER' as const } };
  const query = useQuery({ ...restorePlanQuery(to, what), enabled: asked !== '' });
  // What was typed a moment ago has not been planned yet; the plan that is there is of something else.
  const current = complete && asked === wanted && !query.isPlaceholderData;
  const plan = current ? query.data : undefined;
  return {
    body: complete ? body : undefined,
    destination,
    plan,
    planning: complete && (!current || (plan === undefined && query.isFetching)),
    asking: query.isFetching,
    error: current ? query.error : null,
    again: () => void query.refetch(),
  };
}

export const isReady = ({ body, plan }: Planned): boolean =>
  body !== undefined && plan !== undefined && !isBlocked(plan);
