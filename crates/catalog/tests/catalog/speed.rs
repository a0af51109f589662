//! Lists stay quick in a catalog of 1,000 clusters and 100,000 backups.

use std::time::{Duration, Instant};

use strongroom_catalog::backups::BackupFilter;
use strongroom_catalog::clusters::{ClusterFilter, ClusterSort};
use strongroom_catalog::jobs::{JobFilter, JobKind, JobState};
use strongroom_catalog::{Address, ClusterId, Order, Page};

use crate::support::{Test, hours, time};

/// What a list may take.
const LIST: Duration = Duration::from_millis(50);
/// What a tick of the scheduler may take.
const TICK: Duration = Duration::from_secs(1);
/// Machines that run tests are busy: this many times as much fails.
const SLACK: u32 = 10;

/// Copies one cluster 999 times; its backup 100,000 times, 36 seconds apart, in turn to each
/// cluster; and gives every cluster 20 failed jobs, an hour apart. `UUID(n)`, `LATER(time,
/// seconds)`, `NAME(time, seconds)` and `SERIES(n)` are spelled by each database.
const FILL: [&str; 4] = [
    "INSERT INTO clusters SELECT UUID(1000 + n), 'cluster ' || n, engine, plan, provider, regions, \
     primary_region, state, operation_status, connection_sealed, connection_shown, server_version, \
     system_identifier, folder_id, location_id, labels, as_given, delete_protection, creator, \
     created_at, updated_at, deleted_at FROM clusters CROSS JOIN (SERIES(999)) AS series(n)",
    "INSERT INTO backup_settings SELECT id, TRUE, 60, 30, 0, NULL, 1, created_at FROM clusters",
    "INSERT INTO backups SELECT UUID(1000000 + n), UUID(1001 + n % 999), location_id, \
     NAME(data_from, n * 36), kind, parent_engine_id, full_engine_id, LATER(data_from, n * 36), \
     finished_at, expires_at, size_bytes, stored_bytes, row_count, databases, key_id, job_id, \
     recorded_at, retired_at FROM backups CROSS JOIN (SERIES(100000)) AS series(n)",
    "INSERT INTO jobs (id, kind, state, cluster_id, payload, not_before, attempts, generation, \
     created_at, finished_at) SELECT UUID(2000000 + row_number() OVER ()), 'backup', 'failed', \
     id, '{}', created_at, 1, 1, LATER(created_at, n * 3600), created_at \
     FROM clusters CROSS JOIN (SERIES(20)) AS series(n)",
];

fn spelled(statement: &str, postgres: bool) -> String {
    let (uuid, later, name, series) = if postgres {
        (
            "CAST(lpad(to_hex($1), 32, '0') AS uuid)",
            "($1 + $2 * interval '1 second')",
            "to_char(($1 + $2 * interval '1 second') AT TIME ZONE 'UTC', 'YYYY/MM/DD-HH24MISS.00')",
            "SELECT * FROM generate_series(1, $1)",
        )
    } else {
        (
            "('00000000-0000-0000-0000-' || printf('%012x', $1))",
            "strftime('%Y-%m-%dT%H:%M:%S.000000Z', $1, '+' || ($2) || ' seconds')",
            "strftime('%Y/%m/%d-%H%M%S.00', $1, '+' || ($2) || ' seconds')",
            "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < $1) \
             SELECT n FROM s",
        )
    };
    let mut sql = statement.to_owned();
    for (name, form) in [("UUID(", uuid), ("LATER(", later), ("NAME(", name), ("SERIES(", series)] {
        while let Some(start) = sql.find(name) {
            let open = start + name.len();
            let mut depth = 1;
            let end = sql[open..].char_indices().find_map(|(at, character)| {
                depth += i32::from(character == '(') - i32::from(character == ')');
                (depth == 0).then_some(open + at)
            });
            let arguments: Vec<String> =
                sql[open..end.unwrap()].splitn(2, ", ").map(str::to_owned).collect();
            let mut filled = form.replace("$1", &arguments[0]);
            if let Some(second) = arguments.get(1) {
                filled = filled.replace("$2", second);
            }
            sql.replace_range(start..=end.unwrap(), &filled);
        }
    }
    sql
}

async fn fill(test: &Test) {
    for statement in FILL {
        match &test.address {
            Address::Sqlite(path) => {
                // Names of columns of a derived table are not to be had in this form.
                let sql = spelled(statement, false).replace(") AS series(n)", ")");
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
                sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
                pool.close().await;
            }
            Address::Postgres(url) => {
                let sql = spelled(statement, true);
                let pool = sqlx::PgPool::connect(url.expose()).await.unwrap();
                sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
                sqlx::query("ANALYZE").execute(&pool).await.unwrap();
                pool.close().await;
            }
        }
    }
}

/// The median of several calls.
async fn median(name: &str, wanted: Duration, test: &Test, call: impl AsyncFn() -> usize) {
    let mut times = Vec::new();
    let mut rows = 0;
    for _ in 0..11 {
        let start = Instant::now();
        rows = call().await;
        times.push(start.elapsed());
    }
    times.sort();
    let median = times[times.len() / 2];
    let verdict = if median <= wanted { "" } else { "  (slower than wanted)" };
    println!("{:?} {name}: {rows} rows, median {median:.1?}{verdict}", test.catalog.dialect());
    assert!(rows > 0, "{name} finds something");
    assert!(median < wanted * SLACK, "{name}: {median:?}");
}

on_both! {
    async fn lists_are_quick(test: Test) {
        let catalog = &test.catalog;
        let location = test.location("here").await;
        let first = test.cluster("cluster").await;
        test.backup(&first, &location, time("2026-10-01T00:00:00Z")).await;
        let start = Instant::now();
        fill(test).await;
        println!("{:?}: filled in {:.1?}", catalog.dialect(), start.elapsed());
        test.clock.advance(hours(24 * 60));

        let cluster: ClusterId = "00000000-0000-0000-0000-000000000400".parse().unwrap();
        let of_one = BackupFilter { cluster: Some(cluster), ..BackupFilter::default() };
        median("clusters by name", LIST, test, async || {
            catalog
                .clusters(&ClusterFilter::default(), &Page::first(100))
                .await
                .unwrap()
                .items
                .len()
        })
        .await;
        let all = ClusterFilter {
            inactive: true,
            sort: Some(ClusterSort::CreatedAt),
            ..ClusterFilter::default()
        };
        median("a thousand clusters, newest first", LIST, test, async || {
            let page = Page::first(1000).order(Order::Descending);
            catalog.clusters(&all, &page).await.unwrap().items.len()
        })
        .await;
        median("backups of a cluster", LIST, test, async || {
            catalog.backups(&of_one, &Page::first(500)).await.unwrap().items.len()
        })
        .await;
        median("backups of a cluster on a day", LIST, test, async || {
            let filter = BackupFilter {
                from: Some(time("2026-10-02T00:00:00Z")),
                until: Some(time("2026-10-03T00:00:00Z")),
                ..of_one.clone()
            };
            catalog.backups(&filter, &Page::first(500)).await.unwrap().items.len()
        })
        .await;
        median("500 of all backups", LIST, test, async || {
            catalog.backups(&BackupFilter::default(), &Page::first(500)).await.unwrap().items.len()
        })
        .await;
        let mut page = Page::first(1000);
        for _ in 0..20 {
            let listed = catalog.backups(&BackupFilter::default(), &page).await.unwrap();
            page = Page::at(listed.next.unwrap(), 1000);
        }
        page.limit = Some(100);
        median("100 of all backups, 20,000 in", LIST, test, async || {
            catalog.backups(&BackupFilter::default(), &page).await.unwrap().items.len()
        })
        .await;
        median("the calendar of three months", LIST, test, async || {
            let (from, until) = (time("2026-09-01T00:00:00Z"), time("2026-12-01T00:00:00Z"));
            catalog.calendar(cluster, from, until).await.unwrap().len()
        })
        .await;
        median("incomplete backups of a cluster", LIST, test, async || {
            let filter = JobFilter {
                kinds: vec![JobKind::Backup],
                states: vec![JobState::Pending, JobState::Running, JobState::Failed],
                cluster: Some(cluster),
                ..JobFilter::default()
            };
            catalog.jobs(&filter, &Page::first(100)).await.unwrap().items.len()
        })
        .await;
        median("what the scheduler must know", TICK, test, async || {
            catalog.schedules().await.unwrap().len()
        })
        .await;
        // Nothing is due, among 20,000 jobs.
        let claims = Instant::now();
        for _ in 0..20 {
            let none = catalog.claim("w", JobKind::ALL, hours(1)).await.unwrap();
            assert!(none.is_none());
        }
        println!("{:?} looking for work: {:.1?}", catalog.dialect(), claims.elapsed() / 20);
    }
}
