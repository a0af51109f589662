/**
 * What the three restore modules share: the backup's details and the choices, Continue, the review of the plan,
 * Restore, and then the Restore Jobs tab.
 */
import { Alert, Button, Group, Loader, Stack, Tabs, Text, Title } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconAlertOctagon } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import { Link, useNavigate, useSearchParams } from 'react-router';
import { ACTIONS } from '../../api/actions';
import { storageLocationsQuery } from '../../api/organization';
import { isBlocked, useRestore } from '../../api/restores';
import type { Backup, Cluster, CreateRestore, RestorePlan } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { ErrorNotice } from '../../components/Async';
import { TypeToConfirm } from '../../components/Confirm';
import { Code } from '../../components/Copy';
import { Facts } from '../../components/Facts';
import { Notice } from '../../components/Notice';
import { type Crumb, Page } from '../../components/Page';
import { useNow } from '../../components/useNow';
import { backupSize } from '../../format/size';
import { dateTime, expiresIn } from '../../format/time';
import { sentence } from '../../format/words';
import { paths } from '../../paths';
import { asApi, asCli, collectionOf } from './command';
import { Obstacles, type WaysOut } from './Obstacles';
import { PlanSummary } from './Plan';
import { isReady, type Planned } from './usePlan';

interface RestoreModuleProps {
  title: string;
  crumbs: Crumb[];
  source: Cluster;
  backup: Backup;
  /** What is chosen, and what it would do. */
  planned: Planned;
  /** What of the backup is restored. */
  what: readonly [string, ReactNode];
  /** What becomes of it, for the review. */
  becomes?: readonly [string, ReactNode];
  /** The choices. */
  children: ReactNode;
  /** What the choices can do about what is in the way. */
  ways?: WaysOut;
  /** Choices that are rarely made, after what is in the way. */
  more?: ReactNode;
  /** Where leaving the module leads. */
  back: string;
  /** What would be lost; makes the person type the destination's name. */
  danger?: (destination: Cluster) => ReactNode;
}

/** The step of the address, which is how the browser's Back leads from the review to the choices. */
const STEP = 'step';
const REVIEW = 'review';

export function RestoreModule(props: RestoreModuleProps) {
  const { title, crumbs, backup, planned } = props;
  const navigate = useNavigate();
  const [search, setSearch] = useSearchParams();
  const [continued, setContinued] = useState(false);
  const asked = search.get(STEP) === REVIEW;
  const { body, destination, plan } = planned;
  const reviewing = asked && continued && isReady(planned);

  // Whoever comes to the review by its address alone has not made any choice; and when something gets in the way in the
  // meantime, it begins again with Continue, not in the middle of a word.
  useEffect(() => {
    if (!asked || reviewing) return;
    const rest = new URLSearchParams(search);
    rest.delete(STEP);
    setSearch(rest, { replace: true });
  }, [asked, reviewing, search, setSearch]);

  const review = () => {
    setContinued(true);
    setSearch((known) => {
      const more = new URLSearchParams(known);
      more.set(STEP, REVIEW);
      return more;
    });
  };
  const allowed = actionOf(backup.strongroom.actions, ACTIONS.restore);
  return (
    <Page title={title} crumbs={crumbs}>
      <Stack maw={760} gap="md">
        {!allowed.allowed ? (
          <Notice tone="bad" role="alert" title="Not permitted">
            {sentence(allowed.reason ?? 'You may not restore this backup')}
          </Notice>
        ) : reviewing && body && destination && plan ? (
          <Review
            {...props}
            body={body}
            destination={destination}
            plan={plan}
            onBack={() => void navigate(-1)}
          />
        ) : (
          <Choices {...props} cameBack={continued} onContinue={review} />
        )}
      </Stack>
    </Page>
  );
}

/** A heading that takes the focus when its step begins. */
function StepHeading({ children, focus }: { children: string; focus: boolean }) {
  const heading = useRef<HTMLHeadingElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only when the step begins.
  useEffect(() => {
    if (focus) heading.current?.focus();
  }, []);
  return (
    <Title order={2} ref={heading} tabIndex={-1} style={{ outline: 'none' }}>
      {children}
    </Title>
  );
}

interface ChoicesProps extends RestoreModuleProps {
  /** From the review. */
  cameBack: boolean;
  onContinue: () => void;
}

function Choices({
  source,
  backup,
  planned,
  what,
  children,
  ways,
  more,
  back,
  cameBack,
  onContinue,
}: ChoicesProps) {
  const now = useNow();
  const { plan, planning, asking, error, again } = planned;
  const ready = isReady(planned);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready) onContinue();
  };
  return (
    <form onSubmit={submit}>
      <Stack className="panel" p="lg" gap="lg">
        <Stack gap="sm">
          <StepHeading focus={cameBack}>Backup details</StepHeading>
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
        </Stack>
        {children}
        {error && !plan && (
          <ErrorNotice title="There is no plan for this restore" error={error} retry={again} />
        )}
        {plan && isBlocked(plan) && (
          <Obstacles plan={plan} ways={ways ?? {}} asking={asking} onAgain={again} />
        )}
        {more}
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
              action={{ name: 'continue', allowed: ready, reason: whyNot(planned) }}
            >
              Continue
            </ActionButton>
          </Group>
        </Group>
      </Stack>
    </form>
  );
}

function whyNot({ body, plan, error }: Planned): string {
  if (!body) return 'A choice is missing.';
  if (plan) return 'First resolve what is in the way.';
  return error ? error.message : 'The plan is not ready yet.';
}

interface ReviewProps extends RestoreModuleProps {
  destination: Cluster;
  body: CreateRestore;
  plan: RestorePlan;
  onBack: () => void;
}

function Review({ source, backup, destination, what, becomes, danger, body, plan, onBack }: ReviewProps) {
  const restore = useRestore();
  const navigate = useNavigate();
  const [typed, setTyped] = useState('');
  const confirmed = danger === undefined || typed === destination.name;
  const request: CreateRestore = danger
    ? { ...body, restore_opts: { ...body.restore_opts, confirm_cluster_name: typed } }
    : body;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!confirmed) return;
    restore.mutateAsync({ destination: destination.id, body: request }).then(
      () => {
        notifications.show({ message: 'The restore job was created.' });
        // Back leads to where the module was opened: this restore is begun.
        void navigate(paths.restoreJobs(destination.id), { replace: true });
      },
      () => undefined,
    );
  };
  return (
    <form onSubmit={submit}>
      <Stack className="panel" p="lg" gap="lg">
        <StepHeading focus>Review</StepHeading>
        {danger && (
          <Alert
            role="alert"
            variant="filled"
            color="red.9"
            title="All data is erased and replaced"
            icon={<IconAlertOctagon size={18} aria-hidden />}
          >
            {danger(destination)}
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
        {danger && <TypeToConfirm what={destination.name} value={typed} onChange={setTyped} />}
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
