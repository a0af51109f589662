/** A state in a word, with a dot that says the same in colour. */
import { Text } from '@mantine/core';
import { isOpen } from '../api/jobs';
import { sentence } from '../format/words';

export type Tone = 'ok' | 'busy' | 'bad' | 'idle';

export function Status({ tone, live, children }: { tone: Tone; live?: boolean; children: string }) {
  return (
    <span style={{ display: 'inline-flex', alignItems: 'center', gap: 8 }}>
      <span className="dot" data-tone={tone} data-live={live || undefined} aria-hidden />
      {children}
    </span>
  );
}

const JOB: Record<string, { tone: Tone; label: string }> = {
  PENDING: { tone: 'busy', label: 'Preparing' },
  RUNNING: { tone: 'busy', label: 'Running' },
  SUCCEEDED: { tone: 'ok', label: 'Succeeded' },
  FAILED: { tone: 'bad', label: 'Failed' },
  CANCELED: { tone: 'idle', label: 'Canceled' },
};

export function JobStatus({ state, stopping }: { state: string; stopping?: boolean }) {
  const open = isOpen(state);
  if (open && stopping) {
    return (
      <Status tone="busy" live>
        Canceling
      </Status>
    );
  }
  // A newer service may know states that this console does not.
  const { tone, label } = JOB[state] ?? { tone: 'idle', label: state };
  return (
    <Status tone={tone} live={open}>
      {label}
    </Status>
  );
}

/** Why something failed: its code, its message, and what one can do about it, each on a line of its own. */
export function Failure({
  code,
  message,
  hint,
}: {
  code?: string | null;
  message: string | null | undefined;
  hint?: string | null;
}) {
  return (
    <>
      {code && <div className="mono">{code}</div>}
      <Text size="sm" c={code ? undefined : 'dimmed'} style={{ overflowWrap: 'anywhere' }}>
        {sentence(message ?? '')}
      </Text>
      {hint && (
        <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
          Hint: {sentence(hint)}
        </Text>
      )}
    </>
  );
}
