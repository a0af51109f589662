/** Attaching a cluster, in two steps: the connection is checked first, then the service is told how to keep it. */
import {
  Alert,
  Button,
  Group,
  PasswordInput,
  Radio,
  Select,
  Stack,
  TagsInput,
  Text,
  TextInput,
  Title,
} from '@mantine/core';
import { IconAlertTriangle, IconCircleCheck } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { useNavigate } from 'react-router';
import { useAttachCluster, useCheckConnection } from '../../api/clusters';
import { storageLocationsQuery } from '../../api/organization';
import type { ConnectionCheck, CreateCluster } from '../../api/types';
import { ErrorNotice } from '../../components/Async';
import { Code } from '../../components/Copy';
import { Page } from '../../components/Page';
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

export function AttachClusterPage() {
  const [url, setUrl] = useState('');
  const check = useCheckConnection();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    check.mutate(url);
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
            <PasswordInput
              label="Connection URL"
              description="postgresql://user:password@host:5432/postgres. It is stored encrypted and never shown again."
              placeholder="postgresql://"
              value={url}
              autoComplete="off"
              required
              withAsterisk={false}
              onChange={(event) => {
                setUrl(event.currentTarget.value.trim());
                check.reset();
              }}
            />
            <Group>
              <Button
                type="submit"
                variant={check.data ? 'default' : 'filled'}
                loading={check.isPending}
                disabled={url === ''}
              >
                Check connection
              </Button>
            </Group>
            {check.isError && <ErrorNotice title="No connection" error={check.error} />}
            {check.data && <Found check={check.data} />}
          </Stack>
        </form>
        {check.data && <Details url={url} />}
      </Stack>
    </Page>
  );
}

function Found({ check }: { check: ConnectionCheck }) {
  const isFine = check.problems.length === 0;
  return (
    <Alert
      role="status"
      variant="outline"
      color={isFine ? 'green' : 'yellow'}
      icon={isFine ? <IconCircleCheck size={18} aria-hidden /> : <IconAlertTriangle size={18} aria-hidden />}
      title={`Connected to ${check.server_version}`}
      styles={{ title: { color: 'var(--mantine-color-text)' } }}
    >
      {check.privileges.length > 0 && <Text size="sm">Privileges: {check.privileges.join(', ')}</Text>}
      {!isFine && (
        <Stack gap="sm" mt={4}>
          {check.problems.map((problem) => (
            <Stack key={problem.message} gap={6}>
              <Text size="sm">
                {problem.blocking && <strong>Backups would fail: </strong>}
                {problem.message}
              </Text>
              {problem.remedy && <Code what="remedy">{problem.remedy}</Code>}
            </Stack>
          ))}
        </Stack>
      )}
    </Alert>
  );
}

function Details({ url }: { url: string }) {
  const attach = useAttachCluster();
  const navigate = useNavigate();
  const locations = useQuery(storageLocationsQuery);
  const [name, setName] = useState('');
  const [plan, setPlan] = useState('DEDICATED');
  const [provider, setProvider] = useState('SELF_HOSTED');
  const [regions, setRegions] = useState<string[]>([]);
  const [primary, setPrimary] = useState<string | null>(null);
  const [location, setLocation] = useState<string | null>(null);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    attach.mutate(request({ url, name, plan, provider, regions, primary, location }), {
      onSuccess: (cluster) => void navigate(paths.backups(cluster.id)),
    });
  };
  return (
    <form onSubmit={submit} className="panel" style={{ padding: 24 }}>
      <Stack>
        <Title order={2}>Details</Title>
        <TextInput
          label="Name"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          required
          withAsterisk={false}
        />
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
        <TagsInput
          label="Regions"
          description="Backups are stored in the cluster's region, or in the primary one of several."
          placeholder={regions.length === 0 ? 'europe-west1' : undefined}
          value={regions}
          onChange={setRegions}
        />
        {regions.length > 1 && (
          <Select
            label="Primary region"
            data={regions}
            value={primary ?? regions[0] ?? null}
            onChange={setPrimary}
            allowDeselect={false}
          />
        )}
        <Select
          label="Storage location"
          description="Where the backups go. Left open, the one of the cluster's region is taken."
          placeholder="By region"
          clearable
          data={
            locations.data?.items.map((one) => ({ value: one.id, label: `${one.name} (${one.region})` })) ??
            []
          }
          value={location}
          onChange={setLocation}
        />
        {attach.isError && <ErrorNotice error={attach.error} />}
        <Group justify="flex-end">
          <Button type="submit" loading={attach.isPending} disabled={name === ''}>
            Attach cluster
          </Button>
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
    name,
    provider: provider === 'SELF_HOSTED' ? 'GCP' : (provider as CreateCluster['provider']),
    spec: {},
    strongroom: {
      url,
      plan: plan as NonNullable<CreateCluster['strongroom']>['plan'],
      provider: provider as NonNullable<CreateCluster['strongroom']>['provider'],
      regions: regions.length > 0 ? regions : undefined,
      primary_region: regions.length > 1 ? (primary ?? regions[0]) : regions[0],
      storage_location_id: location ?? undefined,
    },
  };
}

export { AttachClusterPage as Component };
