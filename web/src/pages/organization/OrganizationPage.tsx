import { Group, Paper, Stack } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { ACTIONS } from '../../api/actions';
import { organizationQuery, useRenameOrganization } from '../../api/organization';
import { useSession } from '../../api/session';
import type { Organization } from '../../api/types';
import { ActionButton, actionOf } from '../../components/ActionButton';
import { Async, ErrorNotice } from '../../components/Async';
import { Facts } from '../../components/Facts';
import { Page } from '../../components/Page';
import { TextField } from '../../components/TextField';
import { dateTime } from '../../format/time';

export function OrganizationPage() {
  const organization = useQuery(organizationQuery);
  return (
    <Page title="Settings" tab="Organization">
      <Async query={organization} label="the organization">
        {(organization) => <Settings key={organization.name} organization={organization} />}
      </Async>
    </Page>
  );
}

function Settings({ organization }: { organization: Organization }) {
  const [name, setName] = useState(organization.name);
  const rename = useRenameOrganization();
  const session = useSession().data;
  const action = actionOf(session?.actions, ACTIONS.renameOrganization);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    // The form is made anew from what was saved, so its own callbacks would not be called any more.
    rename.mutateAsync(name.trim()).then(
      () => notifications.show({ message: 'The name was saved.' }),
      () => undefined,
    );
  };
  return (
    <Paper className="panel" p="lg" maw={680}>
      <form onSubmit={submit}>
        <Stack gap="lg">
          <TextField label="Organization name" value={name} onChange={setName} disabled={!action.allowed} />
          <Facts
            of={[
              ['Label', organization.label],
              [
                'Organization ID',
                <span key="id" className="mono">
                  {organization.id}
                </span>,
              ],
              ['Created', `${dateTime(organization.created_at)} UTC`],
            ]}
          />
          {rename.isError && <ErrorNotice title="Not saved" error={rename.error} />}
          <Group justify="flex-end">
            <ActionButton
              type="submit"
              action={action}
              loading={rename.isPending}
              disabled={name === '' || name === organization.name}
            >
              Save
            </ActionButton>
          </Group>
        </Stack>
      </form>
    </Paper>
  );
}

export { OrganizationPage as Component };
