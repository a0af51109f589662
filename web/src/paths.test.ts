import { expect, it } from 'vitest';
import { paths } from './paths';

it('addresses are what people have in their bookmarks', () => {
  expect({
    signIn: paths.signIn('/clusters/c'),
    cluster: paths.cluster('c'),
    backups: paths.backups('c', '2023-04-20'),
    incomplete: paths.incompleteBackups('c'),
    jobs: paths.restoreJobs('c'),
    job: paths.restoreJob('c', 'r'),
    databases: paths.databases('c', 'b'),
    tables: paths.tables('c', 'b', 'my db/1'),
    table: paths.table('c', 'b', 'd', 'public', 'orders'),
    changes: paths.changes('c', 'b', 'a'),
    restoreCluster: paths.restoreCluster('c', 'b'),
    restoreDatabase: paths.restoreDatabase('c', 'b', 'd'),
    restoreTable: paths.restoreTable('c', 'b', 'd', 'public', 'orders'),
  }).toMatchInlineSnapshot(`
    {
      "backups": "/clusters/c/backups?date=2023-04-20",
      "changes": "/clusters/c/backups/b/changes?other=a",
      "cluster": "/clusters/c",
      "databases": "/clusters/c/backups/b/databases",
      "incomplete": "/clusters/c/backups/incomplete",
      "job": "/clusters/c/backups/restore-jobs/r",
      "jobs": "/clusters/c/backups/restore-jobs",
      "restoreCluster": "/clusters/c/backups/b/restore",
      "restoreDatabase": "/clusters/c/backups/b/databases/d/restore",
      "restoreTable": "/clusters/c/backups/b/databases/d/tables/public/orders/restore",
      "signIn": "/sign-in?next=%2Fclusters%2Fc",
      "table": "/clusters/c/backups/b/databases/d/tables/public/orders",
      "tables": "/clusters/c/backups/b/databases/my%20db%2F1/tables",
    }
  `);
});
