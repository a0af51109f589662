/** What a restore would do, as the service has planned it: what it makes, uses and replaces. */
import { List as Bullets, Stack, Text } from '@mantine/core';
import type { RestorePlan } from '../../api/types';
import { Facts } from '../../components/Facts';
import { count, databaseSize } from '../../format/size';
import { sentence } from '../../format/words';

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
      <Told
        title="To be set again by you afterwards"
        of={plan.set_again.filter((one) => !plan.notes.includes(one))}
      />
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
          <Bullets.Item key={note}>{sentence(note)}</Bullets.Item>
        ))}
      </Bullets>
    </div>
  );
}
