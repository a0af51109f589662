/** Asks before something that cannot be taken back. */
import { TextInput } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { FormDialog, type Sending } from './FormDialog';

interface ConfirmProps {
  title: string;
  children: ReactNode;
  /** What the button says. */
  verb: string;
  /** What leaving says, where "Cancel" could be taken for the thing itself. */
  leave?: string;
  danger?: boolean;
  /** Has to be typed, where a click is too easily made. */
  typed?: string;
  sending: Sending;
  onConfirm: () => void;
  onClose: () => void;
}

export function Confirm({ children, typed, onConfirm, ...dialog }: ConfirmProps) {
  const [text, setText] = useState('');
  return (
    <FormDialog {...dialog} ready={typed === undefined || text === typed} onSubmit={onConfirm}>
      <div>{children}</div>
      {typed !== undefined && <TypeToConfirm what={typed} value={text} onChange={setText} autoFocus />}
    </FormDialog>
  );
}

interface TypeToConfirmProps {
  what: string;
  value: string;
  onChange: (text: string) => void;
  autoFocus?: boolean;
}

export function TypeToConfirm({ what, value, onChange, autoFocus }: TypeToConfirmProps) {
  return (
    <TextInput
      label={`Type ${what} to confirm`}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      autoComplete="off"
      spellCheck={false}
      data-autofocus={autoFocus || undefined}
    />
  );
}
