/** Roles under the names that people know. */
import type { RoleGrant } from '../../api/types';

export const ROLES: { name: RoleGrant['name']; label: string; says: string }[] = [
  {
    name: 'ORG_ADMIN',
    label: 'Org Administrator',
    says: 'Everything in the organization, restores included',
  },
  { name: 'ORG_MEMBER', label: 'Org Member', says: 'Belongs to the organization; no more' },
  { name: 'CLUSTER_ADMIN', label: 'Cluster Admin', says: 'Everything on the cluster, restores included' },
  { name: 'CLUSTER_OPERATOR_WRITER', label: 'Cluster Operator', says: 'Backups, settings and restores' },
  { name: 'CLUSTER_DEVELOPER', label: 'Cluster Developer', says: 'Sees clusters and lists of backups' },
  { name: 'CLUSTER_MONITOR', label: 'Cluster Monitor', says: 'Sees clusters and lists of backups' },
  { name: 'CLUSTER_CREATOR', label: 'Cluster Creator', says: 'Attaches clusters' },
  { name: 'METRICS_VIEWER', label: 'Metrics Viewer', says: 'Reads metrics' },
  { name: 'FOLDER_ADMIN', label: 'Folder Admin', says: 'Kept for the API' },
  { name: 'FOLDER_MOVER', label: 'Folder Mover', says: 'Kept for the API' },
  { name: 'BILLING_COORDINATOR', label: 'Billing Coordinator', says: 'Kept for the API' },
  { name: 'BILLING_VIEWER', label: 'Billing Viewer', says: 'Kept for the API' },
];

export const roleLabel = (name: string): string => ROLES.find((role) => role.name === name)?.label ?? name;

export const isSame = (a: RoleGrant, b: RoleGrant): boolean => keyOf(a) === keyOf(b);

export const keyOf = (grant: RoleGrant): string =>
  `${grant.name} ${grant.resource.type} ${grant.resource.id ?? ''}`;

/** With one more, unless it is among them. */
export const withGrant = (roles: RoleGrant[], grant: RoleGrant): RoleGrant[] =>
  roles.some((one) => isSame(one, grant)) ? roles : [...roles, grant];

/** Where a role holds: here, or on the cluster of this id. */
export const EVERYWHERE = 'organization';

/** There is one organization: the API tells grants on it without an id, and so they are made here, to be the same. */
export const grantOn = (scope: string, name: RoleGrant['name']): RoleGrant => ({
  name,
  resource: scope === EVERYWHERE ? { type: 'ORGANIZATION' } : { type: 'CLUSTER', id: scope },
});
