import { Anchor } from '@mantine/core';
import { Link } from 'react-router';
import { Empty } from '../components/Async';
import { Page } from '../components/Page';
import { paths } from '../paths';

export function NotFoundPage() {
  return (
    <Page title="Page not found">
      <Empty title="There is nothing at this address">
        <Anchor component={Link} to={paths.clusters()}>
          Go to the clusters
        </Anchor>
      </Empty>
    </Page>
  );
}
