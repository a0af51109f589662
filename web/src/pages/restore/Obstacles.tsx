/** What is in the way of a restore, with what gets it out of the way: a button where the form can do it. */
import { Button, Group, Stack, Text } from '@mantine/core';
import { IconBan } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import type { RestorePlan } from '../../api/types';
import { Code } from '../../components/Copy';
import { Notice } from '../../components/Notice';
import { sentence } from '../../format/words';
import { SKIPS, type Skip } from './choices';
import { SKIP_LABELS } from './fields';
import { isNamedToo, type Resolution, resolutionsOf } from './resolutions';

/** What the form lets a person do about an obstacle. */
export interface WaysOut {
  /** Restores it under another name. */
  rename?: (name: string) => void;
  /** Leaves out what needs something missing. */
  skip?: (option: Skip) => void;
  /** The database that it goes into, where that is not a new one. */
  into?: string;
}

interface ObstaclesProps {
  plan: RestorePlan;
  ways: WaysOut;
  /** Whether the service is being asked again. */
  asking: boolean;
  onAgain: () => void;
}

export function Obstacles({ plan, ways, asking, onAgain }: ObstaclesProps) {
  // The button turns only for whoever pressed it, not each time that the service is asked by itself.
  const [pressed, setPressed] = useState(false);
  useEffect(() => {
    if (!asking) setPressed(false);
  }, [asking]);
  const again = () => {
    setPressed(true);
    onAgain();
  };
  return (
    <Stack gap="sm" role="status">
      {plan.refused && (
        <Notice title="This restore is not possible" icon={<IconBan size={18} aria-hidden />} role="note">
          <Text size="sm">{sentence(plan.refused)}</Text>
          {plan.hint && (
            <Text size="sm" c="dimmed" mt={6} style={{ whiteSpace: 'pre-line' }}>
              {sentence(plan.hint)}
            </Text>
          )}
        </Notice>
      )}
      {plan.conflicts.map((conflict) => (
        <Notice
          key={`${conflict.kind} ${conflict.name}`}
          title={`Conflict: ${conflict.kind} ${conflict.name}`}
          role="note"
        >
          <Stack gap="xs">
            <Text size="sm">{sentence(conflict.message)}</Text>
            <Resolutions of={resolutionsOf(conflict.resolutions)} ways={ways} />
          </Stack>
        </Notice>
      ))}
      {plan.missing.map((missing) => (
        <Missing key={`${missing.kind} ${missing.name} ${missing.needed_by}`} missing={missing} ways={ways} />
      ))}
      <Group justify="space-between" gap="xs">
        <Text size="sm" c="dimmed">
          It is looked at again every few seconds.
        </Text>
        <Button size="xs" variant="default" loading={pressed && asking} onClick={again}>
          Check again
        </Button>
      </Group>
    </Stack>
  );
}

function Missing({ missing, ways }: { missing: RestorePlan['missing'][number]; ways: WaysOut }) {
  const skip = skipOf(missing.option);
  const beside = missing.resolutions.some(isNamedToo) && ways.into;
  const others = resolutionsOf(missing.resolutions.filter((one) => !isNamedToo(one)));
  return (
    <Notice title={`Missing: ${missing.kind} ${missing.name}`} role="note">
      <Stack gap="xs">
        <Text size="sm">{sentence(missing.message)}</Text>
        {skip && (
          <Text size="sm">
            Choose <strong>{SKIP_LABELS[skip]}</strong>
            {beside && `, or restore the ${missing.kind} ${missing.name} into ${ways.into} first`}.
          </Text>
        )}
        {!skip && beside && (
          <Text size="sm">
            Restore the {missing.kind} {missing.name} into {ways.into} first, or restore the whole database.
          </Text>
        )}
        {skip && ways.skip && (
          <Group>
            <Button size="xs" variant="light" onClick={() => ways.skip?.(skip)}>
              {SKIP_LABELS[skip]}
            </Button>
          </Group>
        )}
        <Resolutions of={others} ways={ways} besides={skip !== undefined} />
      </Stack>
    </Notice>
  );
}

/** The option that leaves the dependent part out, as the form names it; told with dashes or without. */
function skipOf(option: string | null | undefined): Skip | undefined {
  const name = option?.replace(/^-+/, '').replaceAll('-', '_');
  return SKIPS.find((skip) => skip === name);
}

interface ResolutionsProps {
  of: Resolution[];
  ways: WaysOut;
  /** There is another way out above these. */
  besides?: boolean;
}

function Resolutions({ of, ways, besides = false }: ResolutionsProps) {
  const rename = of.find((one) => one.kind === 'rename');
  const statements = of.filter((one) => one.kind === 'statement');
  const advice = of.filter((one) => one.kind === 'advice');
  const offered = rename !== undefined && ways.rename !== undefined;
  return (
    <>
      {offered && (
        <Group>
          <Button size="xs" variant="light" onClick={() => ways.rename?.(rename.name)}>
            Restore to {rename.name} instead
          </Button>
        </Group>
      )}
      {advice.map(({ text }) => (
        <Text key={text} size="sm">
          {text}
        </Text>
      ))}
      {statements.length > 0 && (
        <Text size="sm" c="dimmed">
          {toBeRun(statements.length, offered || besides || advice.length > 0)}
        </Text>
      )}
      {statements.map(({ text }) => (
        <Code key={text} what="statement">
          {text}
        </Code>
      ))}
    </>
  );
}

function toBeRun(statements: number, besides: boolean): string {
  const which = statements === 1 ? 'this statement' : 'one of these statements';
  return `${besides ? 'Or run' : 'Run'} ${which} on the destination:`;
}
