/** Asks before something of the organization is deleted for good, and closes when it is. */
import { Text } from '@mantine/core';
import type { UseMutationResult } from '@tanstack/react-query';
import { Confirm } from '../../components/Confirm';

interface DeleteDialogProps {
  /** What is deleted, by its name. */
  what: string;
  /** What the button says. */
  verb: string;
  id: string;
  removal: UseMutationResult<unknown, Error, string>;
  /** What follows from it. */
  children: string;
  onClose: () => void;
}

export function DeleteDialog({ what, verb, id, removal, children, onClose }: DeleteDialogProps) {
  return (
    <Confirm
      title={`Delete ${what}`}
      verb={verb}
      danger
      sending={removal}
      onClose={onClose}
      onConfirm={() => removal.mutate(id, { onSuccess: onClose })}
    >
      <Text size="sm">{children}</Text>
    </Confirm>
  );
}
