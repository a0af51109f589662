/** The left navigation: of the cluster one looks at, or of the organization. */
import { AppShell, NavLink, ScrollArea, Text } from '@mantine/core';
import {
  IconArrowLeft,
  IconBuilding,
  IconDatabase,
  IconHistory,
  IconInfoCircle,
  IconKey,
  IconListDetails,
  IconPackage,
  IconServer2,
  IconUsers,
  type TablerIcon,
} from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { Link, useLocation, useParams } from 'react-router';
import { ACTIONS } from '../api/actions';
import { clusterQuery } from '../api/clusters';
import { useSession } from '../api/session';
import { actionOf } from '../components/ActionButton';
import { isDetached } from '../pages/clusters/words';
import { paths } from '../paths';

interface ItemProps {
  to: string;
  label: string;
  Icon: TablerIcon;
  /** Only the very page, not those below it. */
  exact?: boolean;
}

function Item({ to, label, Icon, exact }: ItemProps) {
  const { pathname } = useLocation();
  const active = pathname === to || (!exact && pathname.startsWith(`${to}/`));
  return (
    <NavLink
      component={Link}
      to={to}
      label={label}
      leftSection={<Icon size={17} stroke={1.7} aria-hidden />}
      active={active}
      aria-current={active ? 'page' : undefined}
      style={{ borderRadius: 6 }}
    />
  );
}

function Section({ children }: { children: string }) {
  return (
    <Text size="xs" fw={600} c="dimmed" mt="md" mb={4} px="sm">
      {children}
    </Text>
  );
}

export function Navigation() {
  const { clusterId } = useParams();
  return (
    <AppShell.Section grow component={ScrollArea}>
      {clusterId ? <ClusterNavigation id={clusterId} /> : <MainNavigation />}
    </AppShell.Section>
  );
}

/** Of the organization's pages only those that whoever is signed in may see. */
function MainNavigation() {
  const actions = useSession().data?.actions;
  const may = (...names: string[]) => names.some((name) => actionOf(actions, name).allowed);
  return (
    <>
      <Item to={paths.clusters()} label="Clusters" Icon={IconServer2} />
      <Section>Organization</Section>
      {may(ACTIONS.manageUsers) && <Item to={paths.users()} label="Users and roles" Icon={IconUsers} />}
      {may(ACTIONS.manageServiceAccounts) && (
        <Item to={paths.serviceAccounts()} label="Service accounts" Icon={IconKey} />
      )}
      {may(ACTIONS.manageStorage, ACTIONS.attachCluster) && (
        <Item to={paths.storageLocations()} label="Storage locations" Icon={IconPackage} />
      )}
      {may(ACTIONS.readAuditLog) && <Item to={paths.auditLog()} label="Audit log" Icon={IconListDetails} />}
      <Item to={paths.organization()} label="Settings" Icon={IconBuilding} />
    </>
  );
}

function ClusterNavigation({ id }: { id: string }) {
  const { data, isError } = useQuery(clusterQuery(id));
  // There is nothing to navigate in.
  if (isError && !data) return <MainNavigation />;
  return (
    <>
      <Item to={paths.clusters()} label="Clusters" Icon={IconArrowLeft} exact />
      <Text fw={650} mt="sm" mb={4} px="sm" truncate title={data?.name}>
        {data?.name ?? '\u00a0'}
      </Text>
      <Item to={paths.cluster(id)} label="Overview" Icon={IconInfoCircle} exact />
      <Section>Data</Section>
      {!(data && isDetached(data)) && (
        <Item to={paths.liveDatabases(id)} label="Databases" Icon={IconDatabase} />
      )}
      <Item to={paths.backups(id)} label="Backups" Icon={IconHistory} />
    </>
  );
}
