/**
 * A button for what the API calls an action: when it is not permitted, the button stays reachable by keyboard
 * and says the reason, which is the service's.
 */
import { Button, type ButtonProps, Tooltip } from '@mantine/core';
import { type MouseEvent, useId } from 'react';
import { Link } from 'react-router';
import type { Action } from '../api/types';
import { sentence } from '../format/words';

/** The named action; what the service does not mention, it will judge when asked. */
export function actionOf(actions: readonly Action[] | undefined, name: string): Action {
  return actions?.find((action) => action.name === name) ?? { name, allowed: true, reason: null };
}

interface ActionButtonProps extends ButtonProps {
  action: Action;
  to?: string;
  type?: 'button' | 'submit';
  onClick?: (event: MouseEvent) => void;
  'aria-label'?: string;
}

export function ActionButton({
  action,
  to,
  type = 'button',
  onClick,
  children,
  ...button
}: ActionButtonProps) {
  const id = useId();
  if (action.allowed) {
    return to ? (
      <Button component={Link} to={to} {...button}>
        {children}
      </Button>
    ) : (
      <Button type={type} onClick={onClick} {...button}>
        {children}
      </Button>
    );
  }
  const reason = sentence(action.reason ?? 'You may not do this');
  return (
    <Tooltip label={reason}>
      <Button
        {...button}
        type="button"
        data-disabled
        aria-disabled
        aria-describedby={id}
        onClick={(event) => event.preventDefault()}
      >
        {children}
        <span id={id} hidden>
          {reason}
        </span>
      </Button>
    </Tooltip>
  );
}
