/** What somebody may do, and changing it. */
import { ActionIcon, Button, Group, Select, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconX } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { allClustersQuery } from '../../api/clusters';
import { useSetRoles } from '../../api/organization';
import type { Cluster, RoleGrant } from '../../api/types';
import { FormDialog } from '../../components/FormDialog';
import { isDetached } from '../clusters/words';
import { EVERYWHERE, grantOn, keyOf, ROLES, roleLabel, withGrant } from './roles';

/** All clusters, since roles outlive that one is detached. */
const useClusters = () => useQuery(allClustersQuery).data?.items ?? [];

/** `Cluster Admin of shop`. */
export function sayGrant(grant: RoleGrant, clusters: Cluster[]): string {
  if (grant.resource.type !== 'CLUSTER') return roleLabel(grant.name);
  const cluster = clusters.find((one) => one.id === grant.resource.id);
  const name = cluster?.name ?? grant.resource.id ?? '';
  return `${roleLabel(grant.name)} of ${name}${cluster && isDetached(cluster) ? ' (detached)' : ''}`;
}

export function RoleTags({ roles }: { roles: RoleGrant[] }) {
  const clusters = useClusters();
  if (roles.length === 0)
    return (
      <Text c="dimmed" size="sm">
        None
      </Text>
    );
  return (
    <Group gap={4}>
      {roles.map((grant) => (
        <span key={keyOf(grant)} className="tag">
          {sayGrant(grant, clusters)}
        </span>
      ))}
    </Group>
  );
}

interface EditRolesProps {
  subject: { id: string; name: string; roles: RoleGrant[] };
  onClose: () => void;
}

export function EditRoles({ subject, onClose }: EditRolesProps) {
  const roles = useRoles(subject.roles);
  const save = useSetRoles();
  const submit = () =>
    save.mutate(
      { subject: subject.id, roles: roles.chosen },
      {
        onSuccess: () => {
          notifications.show({ message: `The roles of ${subject.name} were saved.` });
          onClose();
        },
      },
    );
  return (
    <FormDialog
      title={`Roles of ${subject.name}`}
      verb="Save roles"
      failed="Not saved"
      size="lg"
      sending={save}
      onSubmit={submit}
      onClose={onClose}
    >
      {roles.field}
    </FormDialog>
  );
}

/**
 * Roles that are being chosen, with the field in which that is done. A role that stands in the field counts, also if
 * nobody pressed Add, which is there to choose one more.
 */
export function useRoles(initial: RoleGrant[] = []) {
  const clusters = useClusters();
  const [added, setAdded] = useState(initial);
  const [name, setName] = useState<RoleGrant['name'] | null>(null);
  const [scope, setScope] = useState(EVERYWHERE);
  const pending = name ? grantOn(scope, name) : undefined;
  const chosen = pending ? withGrant(added, pending) : added;
  const role = ROLES.find((one) => one.name === name);
  const add = () => {
    setAdded(chosen);
    setName(null);
  };
  const field = (
    <Stack gap="sm">
      <Added roles={added} clusters={clusters} onChange={setAdded} />
      <Group align="flex-end" gap="xs">
        <Select
          label="Role"
          placeholder="Choose a role"
          data={ROLES.map((one) => ({ value: one.name, label: one.label }))}
          value={name}
          onChange={setName}
          clearable
          style={{ flex: '1 1 180px' }}
        />
        <Select
          label="On"
          data={[
            { value: EVERYWHERE, label: 'The organization' },
            ...clusters
              .filter((cluster) => !isDetached(cluster))
              .map((cluster) => ({ value: cluster.id, label: cluster.name })),
          ]}
          value={scope}
          onChange={(value) => value && setScope(value)}
          allowDeselect={false}
          style={{ flex: '1 1 180px' }}
        />
        <Button variant="default" onClick={add} disabled={!pending}>
          Add
        </Button>
      </Group>
      {pending && role && (
        <Text size="xs" c="dimmed" role="status">
          {role.says}. {sayGrant(pending, clusters)} is saved with the others.
        </Text>
      )}
    </Stack>
  );
  return { chosen, field };
}

interface AddedProps {
  roles: RoleGrant[];
  clusters: Cluster[];
  onChange: (roles: RoleGrant[]) => void;
}

function Added({ roles, clusters, onChange }: AddedProps) {
  if (roles.length === 0)
    return (
      <Text c="dimmed" size="sm">
        No roles. Without any, nothing can be seen.
      </Text>
    );
  return (
    <Stack gap={4}>
      {roles.map((grant) => (
        <Group key={keyOf(grant)} justify="space-between" wrap="nowrap">
          <Text size="sm">{sayGrant(grant, clusters)}</Text>
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Remove ${sayGrant(grant, clusters)}`}
            onClick={() => onChange(roles.filter((one) => one !== grant))}
          >
            <IconX size={16} aria-hidden />
          </ActionIcon>
        </Group>
      ))}
    </Stack>
  );
}
