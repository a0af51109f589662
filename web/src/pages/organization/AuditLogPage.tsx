import { Button, Group, Select, Stack } from '@mantine/core';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { ACTIONS as MAY } from '../../api/actions';
import { allClustersQuery } from '../../api/clusters';
import { auditLogQuery, serviceAccountsQuery, usersQuery } from '../../api/organization';
import { useSession } from '../../api/session';
import type { AuditEntry, Cluster, RoleGrant } from '../../api/types';
import { actionOf } from '../../components/ActionButton';
import { Async, Empty } from '../../components/Async';
import { Facts } from '../../components/Facts';
import { type Column, List } from '../../components/List';
import { Page } from '../../components/Page';
import { matches, Search } from '../../components/Search';
import { Status, type Tone } from '../../components/Status';
import { When } from '../../components/When';
import { sentence } from '../../format/words';
import { ACTIONS, actionLabel, detailLines } from './audit';
import { sayGrant } from './Roles';

export function AuditLogPage() {
  const [action, setAction] = useState<string | null>(null);
  const [cluster, setCluster] = useState<string | null>(null);
  const [search, setSearch] = useState('');
  const log = useInfiniteQuery(auditLogQuery({ action, cluster }));
  const clusters = useQuery(allClustersQuery).data?.items ?? [];
  const people = usePeople();
  const columns: Column<AuditEntry>[] = [
    { header: 'Time (UTC)', cell: (entry) => <When at={entry.created_at} /> },
    { header: 'Action', cell: (entry) => actionLabel(entry.action) },
    { header: 'By', long: true, cell: (entry) => entry.strongroom.actor.name },
    { header: 'Object', long: true, cell: (entry) => objectOf(entry, people) },
    { header: 'Outcome', cell: (entry) => <Outcome outcome={entry.strongroom.outcome} /> },
    { header: 'Details', stack: true, cell: (entry) => <Details entry={entry} clusters={clusters} /> },
  ];
  const found = (entry: AuditEntry) =>
    matches(
      [actionLabel(entry.action), entry.strongroom.actor.name, objectOf(entry, people)].join(' '),
      search,
    );
  return (
    <Page
      title="Audit log"
      lead="Who changed or restored what, and what was refused. Entries cannot be changed."
    >
      <Stack gap="md">
        <Group align="flex-end" gap="sm">
          <Select
            label="Action"
            placeholder="All actions"
            data={ACTIONS.map((name) => ({ value: name, label: actionLabel(name) }))}
            value={action}
            onChange={setAction}
            searchable
            clearable
            w={{ base: '100%', xs: 260 }}
          />
          <Select
            label="Cluster"
            placeholder="All clusters"
            data={clusters.map((one) => ({ value: one.id, label: one.name }))}
            value={cluster}
            onChange={setCluster}
            searchable
            clearable
            w={{ base: '100%', xs: 220 }}
          />
          <Search label="Search what is shown" value={search} onChange={setSearch} />
        </Group>
        <Async query={log} label="the audit log">
          {({ pages }) => {
            const entries = pages.flatMap((page) => page.entries).filter(found);
            return entries.length === 0 ? (
              <Empty title="No entries" />
            ) : (
              <List
                label="Audit log"
                items={entries}
                columns={columns}
                itemKey={(entry) => entry.id}
                room="much"
              />
            );
          }}
        </Async>
        {log.hasNextPage && (
          <Group justify="center">
            <Button
              variant="default"
              loading={log.isFetchingNextPage}
              onClick={() => void log.fetchNextPage()}
            >
              Show older entries
            </Button>
          </Group>
        )}
      </Stack>
    </Page>
  );
}

/** Names of users and service accounts by id, for those who may see them. */
function usePeople(): Map<string, string> {
  const actions = useSession().data?.actions;
  const enabled = actionOf(actions, MAY.manageUsers).allowed;
  const users = useQuery({ ...usersQuery, enabled }).data?.items ?? [];
  const accounts = useQuery({ ...serviceAccountsQuery, enabled }).data?.items ?? [];
  return new Map([
    ...users.map((user) => [user.id, user.email] as const),
    ...accounts.map((account) => [account.id, account.name] as const),
  ]);
}

/** What an entry is about; whose roles were changed, it tells only by an id. */
function objectOf(entry: AuditEntry, people: Map<string, string>): string {
  const { object } = entry.strongroom;
  return entry.cluster_name || object.name || (object.id && people.get(object.id)) || '--';
}

const OUTCOMES: Record<string, { tone: Tone; label: string }> = {
  DONE: { tone: 'ok', label: 'Done' },
  REFUSED: { tone: 'bad', label: 'Refused' },
  FAILED: { tone: 'bad', label: 'Failed' },
};

function Outcome({ outcome }: { outcome: string }) {
  // A newer service may know outcomes that this console does not.
  const { tone, label } = OUTCOMES[outcome] ?? { tone: 'idle', label: outcome };
  return <Status tone={tone}>{label}</Status>;
}

function Details({ entry, clusters }: { entry: AuditEntry; clusters: Cluster[] }) {
  const lines = [
    ...(entry.error ? [['reason', sentence(entry.error)] as [string, string]] : []),
    ...linesOf(entry.strongroom.details, clusters),
  ];
  if (lines.length === 0) return '--';
  return (
    <details>
      <summary style={{ cursor: 'pointer' }}>Show</summary>
      <Facts of={lines} />
    </details>
  );
}

/** A grant of a role, as entries tell it. */
interface ToldGrant {
  role: RoleGrant['name'];
  resource_type: RoleGrant['resource']['type'];
  resource_id?: string | null;
}

const isGrant = (details: unknown): details is ToldGrant =>
  typeof details === 'object' && details !== null && 'role' in details && 'resource_type' in details;

function linesOf(details: unknown, clusters: Cluster[]): [string, string][] {
  const { roles, ...more } = (details ?? {}) as { roles?: unknown };
  const grants = isGrant(details)
    ? [details]
    : Array.isArray(roles) && roles.every(isGrant)
      ? roles
      : undefined;
  if (!grants) return detailLines(details);
  const say = ({ role, resource_type, resource_id }: ToldGrant) =>
    sayGrant({ name: role, resource: { type: resource_type, id: resource_id ?? undefined } }, clusters);
  return [
    [grants.length === 1 ? 'role' : 'roles', grants.map(say).join(', ') || 'none'],
    ...(isGrant(details) ? [] : detailLines(more)),
  ];
}

export { AuditLogPage as Component };
