import type { Cluster } from '../../api/types';
import type { Crumb } from '../../components/Page';
import { paths } from '../../paths';

/** `Clusters / shop / ...`: the name of a cluster stands on each of its pages, also where the navigation is closed. */
export const clusterCrumbs = (cluster: Cluster, rest: Crumb[] = []): Crumb[] => [
  { label: 'Clusters', to: paths.clusters() },
  rest.length > 0 ? { label: cluster.name, to: paths.cluster(cluster.id) } : { label: cluster.name },
  ...rest,
];
