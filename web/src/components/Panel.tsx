/** A part of a page on a ground of its own. */
import { Paper, Stack, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';

interface PanelProps {
  title?: string;
  lead?: ReactNode;
  children: ReactNode;
}

export function Panel({ title, lead, children }: PanelProps) {
  return (
    <Paper className="panel" p="lg">
      <Stack gap="sm">
        {title && (
          <div>
            <Title order={2}>{title}</Title>
            {lead && (
              <Text c="dimmed" size="sm" mt={4}>
                {lead}
              </Text>
            )}
          </div>
        )}
        {children}
      </Stack>
    </Paper>
  );
}
