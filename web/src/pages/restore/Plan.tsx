/** What a restore would do, as the service has planned it: what is in its way, what it makes, what it replaces. */
import { Alert, List as Bullets, Stack, Text } from '@mantine/core';
import { IconAlertTriangle, IconBan } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { RestorePlan } from '../../api/types';
import { Code } from '../../components/Copy';
import { Facts } from '../../components/Facts';
import { count, databaseSize } from '../../format/size';

/** Whether the service would refuse it. */
export const isBlocked = (plan: RestorePlan) =>
  Boolean(plan.refused) || plan.conflicts.length > 0 || plan.missing.length > 0;

/** What is in the way, with what resolves it, ready to be copied. */
export function Obstacles({ plan }: { plan: RestorePlan }) {
  return (
    <Stack gap="sm" role="status">
      {plan.refused && (
        <Obstacle title="This restore is not possible" icon={<IconBan size={18} aria-hidden />}>
          <Text size="sm">{plan.refused}</Text>
          {plan.hint && (
            <Text size="sm" c="dimmed" style={{ whiteSpace: 'pre-line' }}>
              {plan.hint}
            </Text>
          )}
        </Obstacle>
      )}
      {plan.conflicts.map((conflict) => (
        <Obstacle
          key={`${conflict.kind} ${conflict.name}`}
          title={`Conflict: ${conflict.kind} ${conflict.name}`}
        >
          <Text size="sm">{conflict.message}</Text>
          <Resolutions of={conflict.resolutions} />
        </Obstacle>
      ))}
      {plan.missing.map((missing) => (
        <Obstacle
          key={`${missing.kind} ${missing.name} ${missing.needed_by}`}
          title={`Missing: ${missing.kind} ${missing.name}`}
        >
          <Text size="sm">{missing.message}</Text>
          {labelOf(missing.option) && (
            <Text size="sm">
              Or choose <strong>{labelOf(missing.option)}</strong>.
            </Text>
          )}
          <Resolutions
            of={missing.resolutions.filter(
              (one) => !one.startsWith('--skip') && !one.includes('skip_missing'),
            )}
          />
        </Obstacle>
      ))}
    </Stack>
  );
}

const LABELS: Record<string, string> = {
  skip_missing_foreign_keys: 'Skip missing foreign keys',
  skip_missing_sequences: 'Skip missing sequences',
  skip_missing_views: 'Skip missing views',
  skip_missing_roles: 'Skip missing roles',
  skip_missing_sequence_owners: 'Skip missing sequence owners',
};

/** The option that leaves the dependent part out, as the form names it; told with dashes or without. */
const labelOf = (option: string | null | undefined) =>
  option ? LABELS[option.replace(/^-+/, '').replaceAll('-', '_')] : undefined;

function Obstacle({ title, icon, children }: { title: string; icon?: ReactNode; children: ReactNode }) {
  return (
    <Alert
      variant="outline"
      color="yellow"
      title={title}
      icon={icon ?? <IconAlertTriangle size={18} aria-hidden />}
      styles={{
        root: { background: 'var(--mantine-color-body)' },
        title: { color: 'var(--warn-text)', overflowWrap: 'anywhere' },
      }}
    >
      <Stack gap="xs">{children}</Stack>
    </Alert>
  );
}

function Resolutions({ of }: { of: string[] }) {
  if (of.length === 0) return null;
  return (
    <Stack gap={6}>
      <Text size="sm" c="dimmed">
        {of.length === 1 ? 'This resolves it:' : 'Any one of these resolves it:'}
      </Text>
      {of.map((statement) => (
        <Code key={statement} what="statement">
          {statement}
        </Code>
      ))}
    </Stack>
  );
}

/** What would happen. */
export function PlanSummary({ plan }: { plan: RestorePlan }) {
  return (
    <Stack gap="md">
      <Facts
        of={[
          ['Tables', count(plan.tables)],
          ['Rows', count(plan.rows)],
          [
            'Data',
            `${databaseSize(plan.size_bytes)}, ${databaseSize(plan.stored_bytes)} to be read from storage`,
          ],
          plan.replaces.length > 0 && ['Replaces', <Names key="replaces" of={plan.replaces} />],
          plan.creates.length > 0 && ['Creates', <Names key="creates" of={plan.creates.map(creation)} />],
          plan.uses.length > 0 && [
            'Uses what is there',
            <Names
              key="uses"
              of={plan.uses.map(
                (use) => `${use.kind} ${use.name}${use.comparison === 'different' ? ' (different)' : ''}`,
              )}
            />,
          ],
        ]}
      />
      <Told title="Notes" of={plan.notes} />
      <Told title="To be set again by you afterwards" of={plan.set_again} />
    </Stack>
  );
}

function creation({ kind, name, from }: RestorePlan['creates'][number]): string {
  return from && from !== name ? `${kind} ${name} (from ${from})` : `${kind} ${name}`;
}

const SHOWN = 8;

function Names({ of }: { of: string[] }) {
  const line = (names: string[]) => names.map((name) => <div key={name}>{name}</div>);
  if (of.length <= SHOWN) return <>{line(of)}</>;
  return (
    <>
      {line(of.slice(0, SHOWN))}
      <details>
        <summary style={{ cursor: 'pointer' }}>{count(of.length - SHOWN)} more</summary>
        {line(of.slice(SHOWN))}
      </details>
    </>
  );
}

function Told({ title, of }: { title: string; of: string[] }) {
  if (of.length === 0) return null;
  return (
    <div>
      <Text size="sm" fw={600}>
        {title}
      </Text>
      <Bullets size="sm" mt={4}>
        {of.map((note) => (
          <Bullets.Item key={note}>{note}</Bullets.Item>
        ))}
      </Bullets>
    </div>
  );
}
