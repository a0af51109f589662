/** Attaching a cluster, in two steps: the connection is checked first, then the service is told how to keep it. */
import { Anchor, Button, Group, Radio, Select, Stack, TagsInput, Text, Title } from '@mantine/core';
import { IconCircleCheck } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { useAttachCluster, useCheckConnection } from '../../api/clusters';
import { storageLocationsQuery } from '../../api/organization';
import type { ConnectionCheck, CreateCluster } from '../../api/types';
import { ActionButton } from '../../components/ActionButton';
import { ErrorNotice } from '../../components/Async';
import { Code } from '../../components/Copy';
import { Notice } from '../../components/Notice';
import { Page } from '../../components/Page';
import { SecretField, TextField } from '../../components/TextField';
import { sentence } from '../../format/words';
import { paths } from '../../paths';

const PLANS = [
  {
    value: 'SERVERLESS',
    label: 'Serverless',
    says: 'A full backup every hour, kept 30 days. Restores as a whole.',
  },
  {
    value: 'DEDICATED',
    label: 'Dedicated',
    says: 'A full backup every day, kept 30 days, and an incremental one every hour, kept 7 days. Restores databases and tables, too.',
  },
  { value: 'BASIC', label: 'Basic', says: 'A full backup every 24 hours. Restores as a whole.' },
  { value: 'STANDARD', label: 'Standard', says: 'A full backup every hour, or as often as you choose.' },
  {
    value: 'ADVANCED',
    label: 'Advanced',
    says: 'Full and incremental backups, as often and for as long as you choose.',
  },
];

const PROVIDERS = [
  { value: 'SELF_HOSTED', label: 'Self-hosted' },
  { value: 'GCP', label: 'GCP' },
  { value: 'AWS', label: 'AWS' },
  { value: 'AZURE', label: 'Azure' },
];

/** What was found at a URL. */
interface Checked {
  url: string;
  found: ConnectionCheck;
}

const isUsable = ({ found }: Checked) => !found.problems.some((problem) => problem.blocking);

export function AttachClusterPage() {
  const [url, setUrl] = useState('');
  const [checked, setChecked] = useState<Checked>();
  // Once there, the details stay, whatever becomes of the URL: nobody fills them in twice.
  const [opened, setOpened] = useState(false);
  const check = useCheckConnection();
  const current = checked?.url === url ? checked : undefined;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    check.mutate(url, {
      onSuccess: (found) => {
        const now = { url, found };
        setChecked(now);
        if (isUsable(now)) setOpened(true);
      },
    });
  };
  return (
    <Page
      title="Attach cluster"
      crumbs={[{ label: 'Clusters', to: paths.clusters() }, { label: 'Attach cluster' }]}
      lead="Strongroom reads the cluster through an ordinary connection. Nothing is installed on it."
    >
      <Stack maw={680} gap="md">
        <form onSubmit={submit} className="panel" style={{ padding: 24 }}>
          <Stack>
            <SecretField
              label="Connection URL"
              description="postgresql://user:password@host:5432/postgres. It is stored encrypted and never shown again."
              placeholder="postgresql://"
              autoComplete="off"
              value={url}
              onChange={(text) => setUrl(text.trim())}
            />
            <Group>
              <Button
                type="submit"
                variant={current ? 'default' : 'filled'}
                loading={check.isPending}
                disabled={url === ''}
              >
                Check connection
              </Button>
            </Group>
            {check.isError && check.variables === url && (
              <ErrorNotice title="No connection" error={check.error} />
            )}
            {current && <Found check={current.found} />}
          </Stack>
        </form>
        {opened && <Details url={url} refused={whyNot(current)} />}
      </Stack>
    </Page>
  );
}

function whyNot(checked: Checked | undefined): string | null {
  if (!checked) return 'Check the changed connection first.';
  return isUsable(checked) ? null : 'First mend what was found at the connection.';
}

function Found({ check }: { check: ConnectionCheck }) {
  const isFine = check.problems.length === 0;
  return (
    <Notice
      tone={isFine ? 'ok' : 'warn'}
      icon={isFine && <IconCircleCheck size={18} aria-hidden />}
      title={`Connected to PostgreSQL ${check.server_version}`}
    >
      {check.privileges.length > 0 && <Text size="sm">Privileges: {check.privileges.join(', ')}</Text>}
      {!isFine && (
        <Stack gap="sm" mt={4}>
          {check.problems.map((problem) => (
            <Stack key={problem.message} gap={6}>
              <Text size="sm">
                {problem.blocking && <strong>It cannot be attached: </strong>}
                {problem.blocking ? ended(problem.message) : sentence(problem.message)}
              </Text>
              {problem.remedy && <Code what="remedy">{problem.remedy}</Code>}
            </Stack>
          ))}
        </Stack>
      )}
    </Notice>
  );
}

/** The rest of a sentence, with its full stop. */
const ended = (text: string) => (/[.!?;]$/.test(text) ? text : `${text}.`);

interface DetailsProps {
  url: string;
  /** Why this URL is not attached. */
  refused: string | null;
}

function Details({ url, refused }: DetailsProps) {
  const attach = useAttachCluster();
  const navigate = useNavigate();
  const locations = useQuery(storageLocationsQuery).data?.items;
  const [name, setName] = useState('');
  const [plan, setPlan] = useState('DEDICATED');
  const [provider, setProvider] = useState('SELF_HOSTED');
  const [regions, setRegions] = useState<string[]>([]);
  const [chosen, setPrimary] = useState<string | null>(null);
  const [location, setLocation] = useState<string | null>(null);

  const primary = chosen && regions.includes(chosen) ? chosen : (regions[0] ?? null);
  const managed = !(provider === 'AZURE' && ['DEDICATED', 'ADVANCED'].includes(plan));
  const homeless =
    managed && primary !== null && !location && locations?.every((one) => one.region !== primary);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (refused) return;
    attach.mutate(request({ url, name, plan, provider, regions, primary, location }), {
      onSuccess: (cluster) => void navigate(paths.backups(cluster.id)),
    });
  };
  return (
    <form onSubmit={submit} className="panel" style={{ padding: 24 }}>
      <Stack>
        <Title order={2}>Details</Title>
        <TextField label="Name" value={name} onChange={setName} />
        <Radio.Group label="Plan" value={plan} onChange={setPlan}>
          <Stack gap="xs" mt={6}>
            {PLANS.map((one) => (
              <Radio key={one.value} value={one.value} label={one.label} description={one.says} />
            ))}
          </Stack>
        </Radio.Group>
        <Select
          label="Provider"
          data={PROVIDERS}
          value={provider}
          onChange={(value) => setProvider(value ?? 'SELF_HOSTED')}
          allowDeselect={false}
        />
        {!managed && (
          <Notice title="Managed backups are not available for this cluster">
            Managed backups of dedicated clusters on Azure are in limited access. It can be attached, and you
            can back it up into your own storage.
          </Notice>
        )}
        <TagsInput
          label="Regions"
          description="Backups are stored in the cluster's region, or in the primary one of several."
          placeholder={regions.length === 0 ? 'europe-west1' : undefined}
          data={[...new Set(locations?.map((one) => one.region))]}
          value={regions}
          onChange={setRegions}
        />
        {regions.length > 1 && (
          <Select
            label="Primary region"
            data={regions}
            value={primary}
            onChange={setPrimary}
            allowDeselect={false}
          />
        )}
        <Select
          label="Storage location"
          description="Where the backups go. Left open, the one of the cluster's region is taken."
          placeholder="By region"
          clearable
          data={locations?.map((one) => ({ value: one.id, label: `${one.name} (${one.region})` })) ?? []}
          value={location}
          onChange={setLocation}
        />
        {homeless && (
          <Notice title={`No storage location is in ${primary}`}>
            Choose one above, or add one in{' '}
            <Anchor component={Link} to={paths.storageLocations()} size="sm" underline="always">
              Storage locations
            </Anchor>
            .
          </Notice>
        )}
        {attach.isError && <ErrorNotice error={attach.error} />}
        <Group justify="flex-end">
          <ActionButton
            type="submit"
            action={{ name: 'attach', allowed: refused === null, reason: refused }}
            loading={attach.isPending}
            disabled={name === ''}
          >
            Attach cluster
          </ActionButton>
        </Group>
      </Stack>
    </form>
  );
}

interface Answers {
  url: string;
  name: string;
  plan: string;
  provider: string;
  regions: string[];
  primary: string | null;
  location: string | null;
}

/** The original's request has no place for what is ours, and wants a provider of its own three. */
function request({ url, name, plan, provider, regions, primary, location }: Answers): CreateCluster {
  return {
    name: name.trim(),
    provider: provider === 'SELF_HOSTED' ? 'GCP' : (provider as CreateCluster['provider']),
    spec: {},
    strongroom: {
      url,
      plan: plan as NonNullable<CreateCluster['strongroom']>['plan'],
      provider: provider as NonNullable<CreateCluster['strongroom']>['provider'],
      regions: regions.length > 0 ? regions : undefined,
      primary_region: primary ?? undefined,
      storage_location_id: location ?? undefined,
    },
  };
}

export { AttachClusterPage as Component };
