/** A dialog that asks for something and sends it: refused, it stays and says why; otherwise it closes. */
import { Button, Group, Modal, type ModalProps, Stack } from '@mantine/core';
import type { FormEvent, ReactNode } from 'react';
import { ErrorNotice } from './Async';

/** What a mutation tells of itself, whatever it sends. */
export interface Sending {
  isPending: boolean;
  error: Error | null;
}

interface FormDialogProps {
  title: string;
  /** What the button says. */
  verb: string;
  /** What the other button says: not always does leaving mean to cancel something. */
  leave?: string;
  /** What is said above a refusal. */
  failed?: string;
  danger?: boolean;
  size?: ModalProps['size'];
  sending: Sending;
  /** Whether there is something to send. */
  ready?: boolean;
  onSubmit: () => void;
  onClose: () => void;
  children: ReactNode;
}

export function FormDialog({
  title,
  verb,
  leave = 'Cancel',
  failed,
  danger,
  size,
  sending,
  ready = true,
  onSubmit,
  onClose,
  children,
}: FormDialogProps) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready) onSubmit();
  };
  return (
    <Modal opened onClose={onClose} title={title} size={size}>
      <form onSubmit={submit}>
        <Stack>
          {children}
          {sending.error && <ErrorNotice title={failed} error={sending.error} />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={onClose}>
              {leave}
            </Button>
            <Button
              type="submit"
              color={danger ? 'red.9' : undefined}
              loading={sending.isPending}
              disabled={!ready}
            >
              {verb}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
