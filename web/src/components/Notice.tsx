/** Something that people should know before they go on, on the ground of the page. */
import { Alert } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import type { ReactNode } from 'react';

const TONES = {
  ok: { color: 'green', title: 'var(--mantine-color-text)' },
  warn: { color: 'yellow', title: 'var(--warn-text)' },
  bad: { color: 'red', title: 'var(--bad-text)' },
  idle: { color: 'gray', title: 'var(--mantine-color-text)' },
} as const;

interface NoticeProps {
  tone?: keyof typeof TONES;
  title?: ReactNode;
  icon?: ReactNode;
  /** An alert is read out at once, a status when there is time for it, a note not at all. */
  role?: 'alert' | 'status' | 'note';
  mb?: string;
  children?: ReactNode;
}

export function Notice({ tone = 'warn', title, icon, role = 'status', mb, children }: NoticeProps) {
  const { color, title: titleColor } = TONES[tone];
  const sign =
    icon ?? (tone === 'warn' || tone === 'bad' ? <IconAlertTriangle size={18} aria-hidden /> : undefined);
  return (
    <Alert
      role={role}
      variant="outline"
      color={color}
      title={title}
      icon={sign}
      mb={mb}
      styles={{
        root: { background: 'var(--mantine-color-body)' },
        title: { color: titleColor, overflowWrap: 'anywhere' },
      }}
    >
      {children}
    </Alert>
  );
}
