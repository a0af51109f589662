/** A state in a word, with a dot that says the same in colour. */
import type { JobState } from '../api/types';

export type Tone = 'ok' | 'busy' | 'bad' | 'idle';

export function Status({ tone, live, children }: { tone: Tone; live?: boolean; children: string }) {
  return (
    <span style={{ display: 'inline-flex', alignItems: 'center', gap: 8 }}>
      <span className="dot" data-tone={tone} data-live={live || undefined} aria-hidden />
      {children}
    </span>
  );
}

const JOB: Record<JobState, { tone: Tone; label: string }> = {
  PENDING: { tone: 'busy', label: 'Preparing' },
  RUNNING: { tone: 'busy', label: 'Running' },
  SUCCEEDED: { tone: 'ok', label: 'Succeeded' },
  FAILED: { tone: 'bad', label: 'Failed' },
  CANCELED: { tone: 'idle', label: 'Canceled' },
};

export const jobLabel = (state: JobState): string => JOB[state].label;

export function JobStatus({ state, stopping }: { state: JobState; stopping?: boolean }) {
  const open = state === 'PENDING' || state === 'RUNNING';
  if (open && stopping) {
    return (
      <Status tone="busy" live>
        Canceling
      </Status>
    );
  }
  return (
    <Status tone={JOB[state].tone} live={open}>
      {JOB[state].label}
    </Status>
  );
}
