/** What somebody may do, and changing it. */
import { ActionIcon, Button, Group, Modal, Select, Stack, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { IconX } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { clustersQuery } from '../../api/clusters';
import { useSetRoles } from '../../api/organization';
import type { Cluster, RoleGrant } from '../../api/types';
import { ErrorNotice } from '../../components/Async';
import { EVERYWHERE, grantOn, isSame, ROLES, roleLabel } from './roles';

const clusterOf = (grant: RoleGrant, clusters: Cluster[]) =>
  clusters.find((cluster) => cluster.id === grant.resource.id)?.name ?? grant.resource.id ?? '';

const sayGrant = (grant: RoleGrant, clusters: Cluster[]) =>
  grant.resource.type === 'CLUSTER'
    ? `${roleLabel(grant.name)} of ${clusterOf(grant, clusters)}`
    : roleLabel(grant.name);

export function RoleTags({ roles }: { roles: RoleGrant[] }) {
  const clusters = useQuery(clustersQuery).data?.items ?? [];
  if (roles.length === 0)
    return (
      <Text c="dimmed" size="sm">
        None
      </Text>
    );
  return (
    <Group gap={4}>
      {roles.map((grant) => (
        <span key={`${grant.name} ${grant.resource.type} ${grant.resource.id}`} className="tag">
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
  const [roles, setRoles] = useState(subject.roles);
  const clusters = useQuery(clustersQuery).data?.items ?? [];
  const save = useSetRoles();
  const submit = () =>
    save.mutate(
      { subject: subject.id, roles },
      {
        onSuccess: () => {
          notifications.show({ message: `The roles of ${subject.name} were saved.` });
          onClose();
        },
      },
    );
  return (
    <Modal opened onClose={onClose} title={`Roles of ${subject.name}`} size="lg">
      <Stack>
        {roles.length === 0 && (
          <Text c="dimmed" size="sm">
            No roles. Without any, nothing can be seen.
          </Text>
        )}
        <Stack gap={4}>
          {roles.map((grant) => (
            <Group
              key={`${grant.name} ${grant.resource.type} ${grant.resource.id}`}
              justify="space-between"
              wrap="nowrap"
            >
              <Text size="sm">{sayGrant(grant, clusters)}</Text>
              <ActionIcon
                variant="subtle"
                color="gray"
                aria-label={`Remove ${sayGrant(grant, clusters)}`}
                onClick={() => setRoles(roles.filter((one) => !isSame(one, grant)))}
              >
                <IconX size={16} aria-hidden />
              </ActionIcon>
            </Group>
          ))}
        </Stack>
        <AddRole
          clusters={clusters}
          onAdd={(grant) => setRoles(roles.some((one) => isSame(one, grant)) ? roles : [...roles, grant])}
        />
        {save.isError && <ErrorNotice title="Not saved" error={save.error} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button onClick={submit} loading={save.isPending}>
            Save roles
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

export function AddRole({ clusters, onAdd }: { clusters: Cluster[]; onAdd: (grant: RoleGrant) => void }) {
  const [name, setName] = useState<RoleGrant['name'] | null>(null);
  const [scope, setScope] = useState(EVERYWHERE);
  const add = () => {
    if (!name) return;
    onAdd(grantOn(scope, name));
    setName(null);
  };
  const chosen = ROLES.find((role) => role.name === name);
  return (
    <Stack gap={4}>
      <Group align="flex-end" gap="xs">
        <Select
          label="Role"
          placeholder="Choose a role"
          data={ROLES.map((role) => ({ value: role.name, label: role.label }))}
          value={name}
          onChange={setName}
          style={{ flex: '1 1 180px' }}
        />
        <Select
          label="On"
          data={[
            { value: EVERYWHERE, label: 'The organization' },
            ...clusters.map((cluster) => ({ value: cluster.id, label: cluster.name })),
          ]}
          value={scope}
          onChange={(value) => value && setScope(value)}
          allowDeselect={false}
          style={{ flex: '1 1 180px' }}
        />
        <Button variant="default" onClick={add} disabled={!name}>
          Add
        </Button>
      </Group>
      {chosen && (
        <Text size="xs" c="dimmed">
          {chosen.says}.
        </Text>
      )}
    </Stack>
  );
}
