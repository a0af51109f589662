import { Anchor } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { Empty, ErrorNotice } from '../components/Async';
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

interface MissingPageProps {
  title: string;
  error: Error;
  /** The way on. */
  children: ReactNode;
}

/** A page of something that the service does not know, or does not show to everybody. */
export function MissingPage({ title, error, children }: MissingPageProps) {
  return (
    <Page title={title}>
      <ErrorNotice error={error} />
      <div>{children}</div>
    </Page>
  );
}
