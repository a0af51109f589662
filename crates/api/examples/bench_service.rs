//! How long lists take over HTTP with 1,000 clusters and 100,000 backups in the catalog, on SQLite and
//! on PostgreSQL: `./dev bench --service`.
//!
//! The service is the real one, on a socket of this machine; the catalog is filled by its own
//! functions. Each list is asked for several times, over one connection, and the median is told. At
//! the end the scheduler ticks twice: when a backup of every cluster is due, and when none is.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for developers, whose output is its purpose"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use strongroom_controlplane::model::{
    Address, Backup, BackupType, Catalog, ClusterId, ClusterState, DatabaseSummary, Engine,
    FakeClock, Grantee, JobKind, KeySource, LocationId, NewBackup, NewCluster, NewJob, NewRestore,
    Plan, Provider, Resource, RestoreKind, RestoreObject, Role, Secret,
};
use strongroom_controlplane::{App, Config, Scheduler};
use strongroom_testkit::Cluster;

const CLUSTERS: usize = 1_000;
const BACKUPS: usize = 100_000;
/// Jobs of each cluster.
const JOBS: usize = 20;
/// Restores and drills of each cluster.
const RESTORES: usize = 5;
/// Every so many backups one goes to the first cluster, which so has about as many as one that is
/// backed up every five minutes and keeps them for a month.
const OFTEN: usize = 12;
/// Clusters that somebody without a role on the organization may see.
const VISIBLE: usize = 200;
const SAMPLES: usize = 21;
/// What a list may take.
const WANTED: Duration = Duration::from_millis(50);
/// What a tick of the scheduler may take.
const TICK: Duration = Duration::from_secs(1);
/// As old as the oldest backup is.
const DAYS: i64 = 30;

#[tokio::main]
async fn main() {
    let server = Cluster::start();
    server.create_database("catalog");
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Address::Sqlite(folder.path().join("catalog.db"));
    let postgres = Address::Postgres(Secret::new(server.url("catalog")));
    let lite = measure(sqlite, || {}).await;
    // A server that runs for longer does this by itself.
    let large = measure(postgres, || drop(server.psql("catalog", "VACUUM ANALYZE"))).await;
    println!("| list | answer | SQLite | PostgreSQL |");
    println!("|---|---:|---:|---:|");
    let mut slow = false;
    for (of_lite, of_large) in lite.iter().zip(&large) {
        assert_eq!(of_lite.path, of_large.path);
        slow |= of_lite.is_slow() || of_large.is_slow();
        let milliseconds = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        println!(
            "| `{}` | {} KiB | {} | {} |",
            of_lite.path,
            of_lite.bytes / 1024,
            milliseconds(of_lite.median),
            milliseconds(of_large.median)
        );
    }
    if slow {
        eprintln!("bench: a list is slower than {WANTED:?}, or a tick than {TICK:?}");
        std::process::exit(1);
    }
}

/// A list, and how long it took.
struct Measured {
    path: String,
    bytes: usize,
    median: Duration,
}

/// What stands in place of an address.
const DUE: &str = "a tick of the scheduler: all clusters are due";
const NOT_DUE: &str = "a tick of the scheduler: none is due";

impl Measured {
    fn is_slow(&self) -> bool {
        let wanted = if [DUE, NOT_DUE].contains(&self.path.as_str()) { TICK } else { WANTED };
        self.median > wanted
    }
}

async fn measure(address: Address, settle: impl Fn()) -> Vec<Measured> {
    let name = if matches!(address, Address::Sqlite(_)) { "SQLite" } else { "PostgreSQL" };
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FakeClock::at(Timestamp::now()));
    let keys = KeySource::File(folder.path().join("master.key"));
    let catalog = Catalog::open(&address, keys, clock.clone()).await.unwrap();
    let mut config = Config::new(folder.path());
    config.requests_per_second = None;
    let app = App::start(catalog, config).await.unwrap();
    eprintln!("bench: filling the catalog in {name}");
    let begun = Instant::now();
    let clusters = fill(&app, &clock).await;
    settle();
    eprintln!("bench: filled in {:.0?}", begun.elapsed());

    let organization = app.organization().await.unwrap();
    let all = key(&app, &[(Role::OrgAdmin, Resource::Organization(organization.id))]).await;
    let some: Vec<_> = clusters[..VISIBLE]
        .iter()
        .map(|id| (Role::ClusterDeveloper, Resource::Cluster(*id)))
        .collect();
    let some = key(&app, &some).await;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/api/v1", listener.local_addr().unwrap());
    let router = strongroom_api::router(app.clone());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });

    let client = reqwest::Client::new();
    let mut measured = Vec::new();
    for (who, key) in [("", &all), (" (sees 200)", &some)] {
        for path in paths(clusters[0], app.now()) {
            if !who.is_empty() && !path.starts_with("/clusters?") {
                continue;
            }
            let (bytes, median) = ask(&client, &format!("{base}{path}"), key).await;
            let shown = path.replace(&clusters[0].to_string(), "{id}");
            let shown = times(app.now())
                .iter()
                .fold(shown, |shown, (name, time)| shown.replace(&time.to_string(), name));
            measured.push(Measured { path: format!("{shown}{who}"), bytes, median });
        }
    }
    let scheduler = Scheduler::new(app.clone());
    for path in [DUE, NOT_DUE] {
        let begun = Instant::now();
        let ticked = scheduler.tick().await.unwrap();
        let median = begun.elapsed();
        assert_eq!(ticked.backups, if path == DUE { CLUSTERS } else { 0 });
        measured.push(Measured { path: path.to_owned(), bytes: 0, median });
    }
    app.catalog().close().await;
    measured
}

/// The times in addresses, and what is shown in place of them.
fn times(now: Timestamp) -> [(&'static str, Timestamp); 3] {
    let before = |days: i64| now - SignedDuration::from_hours(24 * days);
    [("{a month ago}", before(DAYS)), ("{yesterday}", before(1)), ("{now}", now)]
}

fn paths(cluster: ClusterId, now: Timestamp) -> Vec<String> {
    let [month, from, until] = times(now).map(|(_, time)| time);
    let of = |rest: &str| format!("/clusters/{cluster}{rest}");
    vec![
        "/clusters?pagination.limit=100".to_owned(),
        "/clusters?pagination.limit=500".to_owned(),
        "/clusters?pagination.limit=500&pagination.sort_by=CREATED_AT&show_inactive=true"
            .to_owned(),
        of(""),
        of("/backups-config"),
        of("/backups"),
        of(&format!("/backups?start_time={from}&end_time={until}")),
        of(&format!("/backup-days?from={month}&until={until}")),
        of("/storage-history"),
        of("/jobs"),
        of("/incomplete-backups"),
        of("/restores"),
        of("/drills"),
        "/clusters/available-regions".to_owned(),
        "/storage-locations".to_owned(),
        "/auditlogevents?limit=100".to_owned(),
        "/users".to_owned(),
        "/roles".to_owned(),
        "/service-accounts".to_owned(),
        "/api-keys".to_owned(),
    ]
}

/// The length of an answer and the median time to it.
async fn ask(client: &reqwest::Client, url: &str, key: &str) -> (usize, Duration) {
    let (mut times, mut bytes) = (Vec::new(), 0);
    while times.len() < SAMPLES {
        let begun = Instant::now();
        let response = client.get(url).bearer_auth(key).send().await.unwrap();
        match response.status() {
            StatusCode::OK => {
                bytes = response.bytes().await.unwrap().len();
                times.push(begun.elapsed());
            }
            other => panic!("{url}: {other}: {}", response.text().await.unwrap()),
        }
    }
    times.sort();
    (bytes, times[times.len() / 2])
}

/// A new service account with these roles, by its API key.
async fn key(app: &App, grants: &[(Role, Resource)]) -> String {
    let mut write = app.catalog().begin().await.unwrap();
    let account = write.create_service_account("bench", "", None).await.unwrap();
    write.set_grants(Grantee::ServiceAccount(account.id), grants).await.unwrap();
    let (_, secret) = write.create_api_key(account.id, "bench").await.unwrap();
    write.commit().await.unwrap();
    secret.expose().to_owned()
}

/// Clusters with their settings, jobs and backups; the clock ends where it began.
async fn fill(app: &App, clock: &FakeClock) -> Vec<ClusterId> {
    let catalog = app.catalog();
    let now = app.now();
    let step = SignedDuration::from_hours(24 * DAYS) / i32::try_from(BACKUPS).unwrap();
    let locations = catalog.locations(None, &Default::default()).await.unwrap().items;
    let location = locations[0].id;
    clock.set(now - SignedDuration::from_hours(24 * DAYS));
    let mut clusters = Vec::new();
    let mut write = catalog.begin().await.unwrap();
    for number in 0..CLUSTERS {
        let made = write.create_cluster(&a_cluster(number, location)).await.unwrap();
        write.create_backup_settings(made.id, true, 60, 30, false).await.unwrap();
        clusters.push(made.id);
        for _ in 0..JOBS {
            let job = NewJob::of(JobKind::Backup, made.id);
            let job = write.enqueue(&job).await.unwrap().job;
            write.cancel_job(job.id).await.unwrap();
        }
    }
    write.commit().await.unwrap();
    let mut write = catalog.begin().await.unwrap();
    let begin = app.now();
    for number in 0..BACKUPS {
        let at = begin + step * i32::try_from(number).unwrap();
        let id = at.strftime("%Y/%m/%d-%H%M%S.00").to_string().parse().unwrap();
        let backup = NewBackup {
            cluster: clusters[if number % OFTEN == 0 { 0 } else { number % CLUSTERS }],
            location,
            engine_id: id,
            kind: BackupType::Full,
            parent: None,
            full: id,
            data_from: at,
            finished_at: at,
            expires_at: Some(at + SignedDuration::from_hours(24 * 30)),
            size_bytes: 1 << 30,
            stored_bytes: 1 << 28,
            rows: 1_000_000,
            databases: ["shop", "billing", "events"].map(summary).into(),
            key_id: None,
            job: None,
        };
        let backup = write.record_backup(&backup, None).await.unwrap();
        if number >= BACKUPS - CLUSTERS {
            for _ in 0..RESTORES {
                let restore = write.enqueue_restore(&a_restore(&backup)).await.unwrap();
                write.cancel_job(restore.job.id).await.unwrap();
                let drill = write.enqueue_drill(backup.id, None, "bench").await.unwrap();
                write.cancel_job(drill.job.id).await.unwrap();
            }
        }
    }
    write.commit().await.unwrap();
    clock.set(now);
    clusters
}

fn summary(name: &str) -> DatabaseSummary {
    DatabaseSummary { name: name.to_owned(), tables: 12, rows: 300_000, size_bytes: 1 << 28 }
}

fn a_restore(backup: &Backup) -> NewRestore {
    let shop = RestoreObject { database: "shop".to_owned(), schema: None, table: None };
    NewRestore {
        source: backup.cluster,
        destination: backup.cluster,
        backup: backup.id,
        kind: RestoreKind::Database,
        objects: vec![shop],
        options: serde_json::json!({ "new_db_name": "shop_restored" }),
        statement: Some("RESTORE DATABASE shop WITH new_db_name = 'shop_restored'".to_owned()),
        requested_by: Some("bench".to_owned()),
    }
}

fn a_cluster(number: usize, location: LocationId) -> NewCluster {
    NewCluster {
        name: format!("cluster-{number:04}"),
        engine: Engine::Postgres,
        plan: Plan::Dedicated,
        provider: Provider::SelfHosted,
        regions: vec!["local".to_owned()],
        primary_region: "local".to_owned(),
        state: ClusterState::Created,
        connection: None,
        folder: None,
        location: Some(location),
        labels: [("team".to_owned(), "money".to_owned())].into(),
        delete_protection: false,
        creator: None,
    }
}
