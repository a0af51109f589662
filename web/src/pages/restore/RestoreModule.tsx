/**
 * What the three restore modules share: the backup's details and the choices, Continue, the review of the plan,
 * Restore, and then the Restore Jobs tab. The plan is asked for while the choices are made, so that whatever is in
 * the way is known before anything runs.
 */
import { Alert, Button, Group, Loader, Stack, Tabs, Text, TextInput, Title } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { notifications } from '@mantine/notifications';
import { IconAlertOctagon } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { storageLocationsQuery } from '../../api/organization';
import { restorePlanQuery, useRestore } from '../../api/restores';
import type { Backup, Cluster, CreateRestore, RestorePlan } from '../../api/types';
import { ActionButton } from '../../components/ActionButton';
import { ErrorNotice } from '../../components/Async';
import { Code } from '../../components/Copy';
import { Facts } from '../../components/Facts';
import { type Crumb, Page } from '../../components/Page';
import { useNow } from '../../components/useNow';
import { backupSize } from '../../format/size';
import { dateTime, expiresIn } from '../../format/time';
import { paths } from '../../paths';
import { asApi, asCli, collectionOf } from './command';
import { isBlocked, Obstacles, PlanSummary } from './Plan';

interface RestoreModuleProps {
  title: string;
  crumbs: Crumb[];
  source: Cluster;
  backup: Backup;
  destination: Cluster;
  /** What is to be restored; undefined while a choice is missing. */
  body: CreateRestore | undefined;
  /** What of the backup is restored. */
  what: readonly [string, ReactNode];
  /** What becomes of it, for the review. */
  becomes?: readonly [string, ReactNode];
  /** The choices. */
  children: ReactNode;
  /** Where leaving the module leads. */
  back: string;
  /** What would be lost; makes the person type the destination's name. */
  danger?: ReactNode;
}

export function RestoreModule(props: RestoreModuleProps) {
  const { title, crumbs, body, destination } = props;
  const [review, setReview] = useState(false);
  const [asked] = useDebouncedValue(body, 350);
  const plan = useQuery({
    ...restorePlanQuery(destination.id, asked ?? { type: 'CLUSTER' }),
    enabled: asked !== undefined && body !== undefined,
  });
  // What was typed a moment ago has not been planned yet.
  const planning =
    plan.isFetching || plan.isPlaceholderData || JSON.stringify(asked) !== JSON.stringify(body);
  return (
    <Page title={title} crumbs={crumbs}>
      <Stack maw={760} gap="md">
        {review && body && plan.data ? (
          <Review {...props} body={body} plan={plan.data} onBack={() => setReview(false)} />
        ) : (
          <Choices
            {...props}
            plan={body ? plan.data : undefined}
            planning={body !== undefined && planning}
            error={plan.error}
            onContinue={() => setReview(true)}
          />
        )}
      </Stack>
    </Page>
  );
}

interface ChoicesProps extends RestoreModuleProps {
  plan: RestorePlan | undefined;
  planning: boolean;
  error: Error | null;
  onContinue: () => void;
}

function Choices({
  source,
  backup,
  what,
  children,
  back,
  body,
  plan,
  planning,
  error,
  onContinue,
}: ChoicesProps) {
  const now = useNow();
  const blocked = plan !== undefined && isBlocked(plan);
  const ready = body !== undefined && plan !== undefined && !planning && !blocked;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready) onContinue();
  };
  return (
    <form onSubmit={submit}>
      <Stack className="panel" p="lg" gap="lg">
        <div>
          <Title order={2} mb="sm">
            Backup details
          </Title>
          <Facts
            of={[
              ['Cluster', source.name],
              ['Data From (UTC)', dateTime(backup.as_of_time)],
              ['Type', backup.strongroom.type === 'FULL' ? 'Full' : 'Incremental'],
              ['Size', backupSize(backup.strongroom.size_bytes)],
              ['Expires In', expiresIn(backup.strongroom.expires_at, now)],
              what,
            ]}
          />
        </div>
        {children}
        {error && !plan && <ErrorNotice title="There is no plan for this restore" error={error} />}
        {plan && !planning && <Obstacles plan={plan} />}
        <Group justify="space-between">
          <Text role="status" size="sm" c="dimmed">
            {planning && (
              <Group gap="xs" component="span">
                <Loader size={14} /> Planning the restore
              </Group>
            )}
          </Text>
          <Group gap="xs">
            <Button component={Link} to={back} variant="default">
              Cancel
            </Button>
            <ActionButton
              type="submit"
              action={{
                name: 'continue',
                allowed: ready,
                reason: blocked ? 'First resolve what is in the way.' : 'The plan is not ready yet.',
              }}
            >
              Continue
            </ActionButton>
          </Group>
        </Group>
      </Stack>
    </form>
  );
}

interface ReviewProps extends RestoreModuleProps {
  body: CreateRestore;
  plan: RestorePlan;
  onBack: () => void;
}

function Review({ source, backup, destination, what, becomes, danger, body, plan, onBack }: ReviewProps) {
  const restore = useRestore();
  const navigate = useNavigate();
  const [typed, setTyped] = useState('');
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);

  const confirmed = danger === undefined || typed === destination.name;
  const request: CreateRestore = danger
    ? { ...body, restore_opts: { ...body.restore_opts, confirm_cluster_name: typed } }
    : body;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!confirmed) return;
    restore.mutate(
      { destination: destination.id, body: request },
      {
        onSuccess: () => {
          notifications.show({ message: 'The restore job was created.' });
          void navigate(paths.restoreJobs(destination.id));
        },
      },
    );
  };
  return (
    <form onSubmit={submit}>
      <Stack className="panel" p="lg" gap="lg">
        <Title order={2} ref={heading} tabIndex={-1} style={{ outline: 'none' }}>
          Review
        </Title>
        {danger && (
          <Alert
            role="alert"
            variant="filled"
            color="red.9"
            title="All data is erased and replaced"
            icon={<IconAlertOctagon size={18} aria-hidden />}
          >
            {danger}
          </Alert>
        )}
        <Facts
          of={[
            ['Source > Destination', `${source.name} > ${destination.name}`],
            ['Data From (UTC)', dateTime(backup.as_of_time)],
            what,
            becomes,
          ]}
        />
        <PlanSummary plan={plan} />
        <Recipes
          source={source}
          backup={backup}
          destination={destination}
          body={body}
          statement={plan.statement}
        />
        {danger && (
          <TextInput
            label={`Type ${destination.name} to confirm`}
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            autoComplete="off"
            spellCheck={false}
          />
        )}
        {restore.isError && <ErrorNotice title="The restore was not begun" error={restore.error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onBack}>
            Back
          </Button>
          <Button
            type="submit"
            color={danger ? 'red.9' : undefined}
            loading={restore.isPending}
            disabled={!confirmed}
          >
            Restore
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

interface RecipesProps {
  source: Cluster;
  backup: Backup;
  destination: Cluster;
  body: CreateRestore;
  statement: string;
}

/** The same restore as a statement, a request and a command. */
function Recipes({ source, backup, destination, body, statement }: RecipesProps) {
  const locations = useQuery({ ...storageLocationsQuery, retry: false });
  const location = locations.data?.items.find((one) => one.id === source.strongroom.storage_location_id);
  const recipes = [
    ['SQL', 'statement', statement] as const,
    ['API', 'request', asApi(window.location.origin, destination.id, body)] as const,
    [
      'CLI',
      'command',
      asCli(body, {
        engineId: backup.strongroom.engine_id,
        collection: collectionOf(location?.url, source.id),
        to: destination.strongroom.connection_url ?? undefined,
      }),
    ] as const,
  ];
  return (
    <details>
      <summary style={{ cursor: 'pointer', fontSize: '0.875rem', width: 'fit-content' }}>
        Copy as SQL, API or CLI
      </summary>
      <Tabs defaultValue={recipes[0]?.[0]} mt="sm">
        <Tabs.List aria-label="Copy as">
          {recipes.map(([name]) => (
            <Tabs.Tab key={name} value={name}>
              {name}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {recipes.map(([name, what, text]) => (
          <Tabs.Panel key={name} value={name} pt="sm">
            <Code what={what}>{text}</Code>
          </Tabs.Panel>
        ))}
      </Tabs>
    </details>
  );
}
