/** A page's head: title, where one is, what one can do. Moving to a page moves the focus to its title. */
import { Anchor, Group, Stack, Text, Title } from '@mantine/core';
import { type ReactNode, useEffect, useRef } from 'react';
import { Link, useLocation } from 'react-router';

export interface Crumb {
  label: string;
  to?: string;
}

interface PageProps {
  title: string;
  /** What the browser's tab says, where that is more than the title. */
  tab?: string;
  lead?: ReactNode;
  crumbs?: Crumb[];
  actions?: ReactNode;
  children: ReactNode;
}

export function Page({ title, tab, lead, crumbs, actions, children }: PageProps) {
  useTitle(tab ?? title);
  return (
    <Stack gap="lg">
      <div>
        {crumbs && <Crumbs crumbs={crumbs} />}
        <Group justify="space-between" align="flex-start" gap="sm">
          <div style={{ minWidth: 0, flex: '1 1 320px' }}>
            <Heading>{title}</Heading>
            {lead && (
              <Text component="div" c="dimmed" size="sm" mt={4} maw={720}>
                {lead}
              </Text>
            )}
          </div>
          {actions && <Group gap="xs">{actions}</Group>}
        </Group>
      </div>
      {children}
    </Stack>
  );
}

export function Crumbs({ crumbs }: { crumbs: Crumb[] }) {
  return (
    <nav aria-label="Breadcrumb">
      <ol className="crumbs">
        {crumbs.map((crumb) => (
          <li key={crumb.to ?? crumb.label}>
            {crumb.to ? (
              <Anchor component={Link} to={crumb.to} size="sm">
                {crumb.label}
              </Anchor>
            ) : (
              <Text span size="sm" c="dimmed" aria-current="page">
                {crumb.label}
              </Text>
            )}
          </li>
        ))}
      </ol>
    </nav>
  );
}

/** The page's title, which takes the focus when somebody comes here from another page. */
function Heading({ children }: { children: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { key } = useLocation();
  useEffect(() => {
    // 'default' is the first page of a visit, where the browser's own order is right.
    if (key !== 'default' && document.activeElement === document.body)
      heading.current?.focus({ preventScroll: true });
  }, [key]);
  return (
    <Title order={1} ref={heading} tabIndex={-1} style={{ overflowWrap: 'anywhere' }}>
      {children}
    </Title>
  );
}

export function useTitle(title: string) {
  useEffect(() => {
    document.title = `${title} · Strongroom`;
  }, [title]);
}
