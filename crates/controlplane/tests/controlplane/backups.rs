//! Backup jobs: what becomes of them when holders die, sleep, or are stopped.

use std::sync::Arc;
use std::time::Duration;

use strongroom_catalog::clusters::{Cluster, ClusterChange, Plan};
use strongroom_catalog::jobs::{JobKind, JobState};
use strongroom_catalog::storage_locations::NewLocation;
use strongroom_catalog::{Clock, Secret, SystemClock};
use strongroom_controlplane::Scheduler;
use strongroom_controlplane::jobs::Worker;
use strongroom_controlplane::scheduler::Ticked;
use strongroom_dataplane::backup::{self, BackupOptions, Gate, ManagedOptions};
use strongroom_dataplane::postgres::server::Server;
use strongroom_dataplane::progress::Progress;
use strongroom_dataplane::store::Store;
use strongroom_format::manifest::BackupType;
use strongroom_testkit as testkit;
use strongroom_testkit::{Fault, S3Server};
use tokio_util::sync::CancellationToken;

use crate::support::{Service, block_on, clock, files, hours, key, source, time};

#[test]
fn a_new_cluster_is_backed_up_at_once_and_its_job_says_how_it_went() {
    let server = source();
    block_on(async {
        let service = Service::start(Arc::new(SystemClock), |_| {}).await;
        let url = server.url("shop");
        let cluster = service.attach("tiny", &url, Plan::Dedicated, 60, 30).await;
        // As it was before an upgrade.
        let before = ClusterChange {
            server: Some(("12.9".to_owned(), Some("1".to_owned()))),
            ..ClusterChange::default()
        };
        let mut write = service.catalog().begin().await.unwrap();
        write.change_cluster(cluster.id, &before).await.unwrap();
        write.commit().await.unwrap();
        let scheduler = Scheduler::new(service.app.clone());
        let ticked = scheduler.tick().await.unwrap();
        assert_eq!(ticked, Ticked { backups: 1, prunes: 1, ..Ticked::default() });
        // Again, by this replica and by another: nothing more.
        assert_eq!(scheduler.tick().await.unwrap(), Ticked::default());
        let replica = service.replica(Arc::new(SystemClock)).await;
        assert_eq!(Scheduler::new(replica).tick().await.unwrap(), Ticked::default());
        service.work().await;
        let job = &service.jobs(cluster.id, JobKind::Backup).await[0];
        assert_eq!((job.state, job.attempts), (JobState::Succeeded, 1), "{job:?}");
        let statement = job.statement.as_deref().unwrap();
        assert!(statement.starts_with("BACKUP INTO 'file:///"), "{statement}");
        assert!(statement.ends_with(&format!("{}' WITH detached", cluster.id)), "{statement}");
        let progress = job.progress.clone().unwrap_or_default();
        let listed = service.listed(cluster.id).await;
        assert_eq!((listed.len(), listed[0].kind), (1, BackupType::Full));
        assert_eq!(listed[0].job, Some(job.id));
        assert_eq!(listed[0].rows, 50);
        assert!(listed[0].key_id.is_some(), "encrypted, as its location wants it");
        let kept = listed[0].expires_at.unwrap().duration_since(listed[0].data_from);
        assert!((kept - hours(24 * 30)).abs() < hours(1), "{kept:?}");
        let known = service.catalog().cluster(cluster.id).await.unwrap();
        let (version, identifier) = server
            .psql("shop", "SELECT current_setting('server_version'), system_identifier FROM pg_control_system()")
            .split_once('|')
            .map(|(version, identifier)| (version.to_owned(), identifier.to_owned()))
            .unwrap();
        assert_eq!(known.server_version.as_deref(), version.split(' ').next());
        assert_eq!(known.system_identifier, Some(identifier));
        // A quick job may end before its first heartbeat.
        if let Some(tables) = progress["tables"].as_array() {
            assert!(tables.iter().all(|table| table["database"] == "shop"), "{tables:?}");
        }
        assert_eq!(service.stored(cluster.id).await.1, Vec::<String>::new());
    });
}

/// A holder that dies after it has written the manifest, and one that dies before: here, somebody who
/// claims the job and lets the engine work for it, and is never heard of again.
#[test]
fn what_a_dead_holder_finished_is_recorded_and_what_it_did_not_is_discarded() {
    let server = source();
    block_on(async {
        let clock = clock("2024-02-10T05:00:00Z");
        let service = Service::start(clock.clone(), |_| {}).await;
        let cluster = service.attach("tiny", &server.url("shop"), Plan::Serverless, 60, 30).await;
        let scheduler = Scheduler::new(service.app.clone());
        let store = service.store(cluster.id);
        for finishes in [true, false] {
            scheduler.tick().await.unwrap();
            let lease = jiff::SignedDuration::from_secs(30);
            let catalog = service.catalog();
            let dead = catalog.claim("dead", &[JobKind::Backup], lease).await.unwrap().unwrap();
            let options = options(&server, &cluster, dead.job.id, clock.now());
            // It dies right before the manifest, or right after it.
            let refused = BackupOptions {
                gate: Gate::new(|| async { std::future::pending().await }),
                ..options.clone()
            };
            let (silent, never) = (Progress::silent(), CancellationToken::new());
            let mut engine_id = None;
            if finishes {
                let taken = backup::run(&options, &store, &silent, &never).await.unwrap();
                engine_id = Some(taken.id);
            } else {
                let taking = backup::run(&refused, &store, &silent, &never);
                assert!(tokio::time::timeout(Duration::from_secs(5), taking).await.is_err());
            }
            assert!(service.listed(cluster.id).await.len() == usize::from(!finishes));
            service.work().await;
            assert_eq!(service.job(dead.job.id).await.state, JobState::Running, "its lease holds");
            clock.advance(lease);
            service.work().await;
            let job = service.job(dead.job.id).await;
            assert_eq!((job.state, job.generation), (JobState::Succeeded, 2));
            let listed = service.listed(cluster.id).await;
            let newest = listed.last().unwrap();
            assert_eq!(newest.job, Some(job.id));
            if finishes {
                assert_eq!(Some(newest.engine_id), engine_id, "it was not taken again");
            }
            let (complete, others) = service.stored(cluster.id).await;
            assert_eq!(complete.len(), listed.len());
            // The tombstone of what was discarded, and nothing else.
            assert_eq!(others.len(), usize::from(!finishes), "{others:?}");
            clock.advance(hours(1));
        }
        let left = files(&service.collection_folder(cluster.id));
        let claims = left.iter().filter(|path| path.ends_with("STARTED")).count();
        assert_eq!(claims, 0, "{left:?}");
    });
}

/// The bucket lets nobody delete, as some do that are to keep backups for sure.
#[test]
fn a_store_that_refuses_to_delete_does_not_fail_a_backup() {
    let (server, s3) = (source(), S3Server::start());
    block_on(async {
        let clock = clock("2024-02-10T05:00:00Z");
        let mut service = Service::start(clock.clone(), |_| {}).await;
        let url = s3.url("storage");
        let new = NewLocation {
            name: "bucket".to_owned(),
            region: "eu-west-1".to_owned(),
            url: Secret::new(&url),
            url_shown: "s3://storage".to_owned(),
            encryption: Some(Secret::new("07".repeat(32))),
        };
        let mut write = service.catalog().begin().await.unwrap();
        let bucket = write.create_location(&new).await.unwrap();
        write.commit().await.unwrap();
        service.location = bucket;
        let cluster = service.attach("tiny", &server.url("shop"), Plan::Serverless, 60, 30).await;
        let scheduler = Scheduler::new(service.app.clone());
        s3.inject(Fault::status(403).on("POST").no_key());
        for (taken, dies) in [false, true].into_iter().enumerate() {
            scheduler.tick().await.unwrap();
            let lease = jiff::SignedDuration::from_secs(30);
            if dies {
                let catalog = service.catalog();
                let dead = catalog.claim("dead", &[JobKind::Backup], lease).await.unwrap().unwrap();
                let options = options(&server, &cluster, dead.job.id, clock.now());
                let store = Store::open_within(&url, &cluster.id.to_string(), false).unwrap();
                let (silent, never) = (Progress::silent(), CancellationToken::new());
                backup::run(&options, &store, &silent, &never).await.unwrap();
                clock.advance(lease);
            }
            service.work().await;
            let job = service.jobs(cluster.id, JobKind::Backup).await.pop().unwrap();
            assert_eq!(job.state, JobState::Succeeded, "{job:#?}");
            assert_eq!((job.attempts, job.generation), (1 + i64::from(dies), 1 + i64::from(dies)));
            let listed = service.listed(cluster.id).await;
            assert_eq!((listed.len(), listed[taken].job), (taken + 1, Some(job.id)));
            clock.advance(hours(1));
        }
        let keys = s3.keys_of_objects();
        let left = |name: &str| keys.iter().filter(|key| key.ends_with(name)).count();
        assert_eq!((left("MANIFEST"), left("STARTED")), (2, 2), "{keys:?}");
    });
}

fn options(
    server: &testkit::Cluster,
    cluster: &Cluster,
    job: strongroom_catalog::JobId,
    now: jiff::Timestamp,
) -> BackupOptions {
    BackupOptions {
        from: Server::parse(&server.url("shop")).unwrap(),
        databases: Vec::new(),
        tables: Vec::new(),
        workers: 1,
        secret: Some(key()),
        level: 1,
        read_point_limit: Duration::from_secs(60),
        incremental: false,
        detector: None,
        managed: Some(ManagedOptions {
            cluster_id: cluster.id.to_string(),
            cluster_name: cluster.name.clone(),
            plan: cluster.plan.to_string(),
            job_id: job.to_string(),
            full_expires_at: Some(now + hours(24 * 30)),
            incremental_expires_at: None,
        }),
        now: Some(now),
        gate: Gate::open(),
    }
}

#[test]
fn an_unreachable_cluster_is_tried_again_later_and_then_given_up() {
    block_on(async {
        let clock = clock("2024-02-10T05:00:00Z");
        let service = Service::start(clock.clone(), |_| {}).await;
        let url = "postgresql://postgres@127.0.0.1:1/shop?connect_timeout=1";
        let cluster = service.attach("gone", url, Plan::Serverless, 60, 30).await;
        let scheduler = Scheduler::new(service.app.clone());
        let mut pauses = Vec::new();
        for attempt in 1..=5 {
            scheduler.tick().await.unwrap();
            service.work().await;
            let job = service.jobs(cluster.id, JobKind::Backup).await[0].clone();
            assert_eq!(job.attempts, attempt);
            assert_eq!(job.error.as_ref().unwrap().code, "unreachable", "{job:?}");
            if job.state == JobState::Pending {
                pauses.push(job.not_before.duration_since(clock_now(&service)).as_mins());
                clock.set(job.not_before);
            }
        }
        assert_eq!(pauses, [1, 2, 4, 8]);
        let jobs = service.jobs(cluster.id, JobKind::Backup).await;
        assert_eq!((jobs.len(), jobs[0].state), (1, JobState::Failed));
        // The next slot is tried anew, and that there is none is noticed.
        clock.set(time("2024-02-10T07:01:00Z"));
        let ticked = scheduler.tick().await.unwrap();
        assert_eq!((ticked.backups, ticked.missed), (1, 1));
        assert_eq!(scheduler.tick().await.unwrap().missed, 0, "told once");
        // The attempt made a folder, and left nothing in it.
        assert_eq!(files(&service.collection_folder(cluster.id)), Vec::<String>::new());
    });
}

fn clock_now(service: &Service) -> jiff::Timestamp {
    service.catalog().now()
}

#[test]
fn a_wish_to_stop_undoes_a_running_backup() {
    let server = source();
    // The first database is read; then the backup waits for a table of the second one.
    server.psql("shop", "CREATE DATABASE zoo TEMPLATE template0");
    server.psql("zoo", "CREATE TABLE cages (id int)");
    let hold = "BEGIN; LOCK TABLE cages IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(300)";
    let mut holding = server.client("psql", "zoo").args(["-X", "-c", hold]).spawn().unwrap();
    let held = "SELECT count(*) FROM pg_locks WHERE relation = 'cages'::regclass AND granted";
    while server.psql("zoo", held).trim() != "1" {
        std::thread::sleep(Duration::from_millis(20));
    }
    block_on(async {
        let service = Service::start(Arc::new(SystemClock), |config| {
            config.lease = jiff::SignedDuration::from_secs(1);
        })
        .await;
        let cluster = service.attach("tiny", &server.url("shop"), Plan::Serverless, 60, 30).await;
        Scheduler::new(service.app.clone()).tick().await.unwrap();
        let running = {
            let service = service.app.clone();
            tokio::spawn(async move {
                let never = CancellationToken::new();
                Worker::new(service, 0).run_one(&never).await.unwrap()
            })
        };
        let job = loop {
            let job = service.jobs(cluster.id, JobKind::Backup).await[0].clone();
            if job.progress.as_ref().is_some_and(|it| it["tables_total"].as_u64() > Some(0)) {
                break job;
            }
            assert!(job.state != JobState::Succeeded, "it was too quick");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let mut write = service.catalog().begin().await.unwrap();
        write.cancel_job(job.id).await.unwrap();
        write.commit().await.unwrap();
        assert!(running.await.unwrap());
        holding.kill().unwrap();
        holding.wait().unwrap();
        assert_eq!(service.job(job.id).await.state, JobState::Canceled);
        assert_eq!(files(&service.collection_folder(cluster.id)), Vec::<String>::new());
        assert_eq!(service.listed(cluster.id).await, []);
    });
}

#[test]
fn a_process_that_ends_gives_its_job_back() {
    let server = source();
    server.psql(
        "shop",
        "INSERT INTO orders (note) SELECT repeat('x', 500) FROM generate_series(1, 400000)",
    );
    block_on(async {
        let service = Service::start(Arc::new(SystemClock), |_| {}).await;
        let cluster = service.attach("tiny", &server.url("shop"), Plan::Serverless, 60, 30).await;
        Scheduler::new(service.app.clone()).tick().await.unwrap();
        let end = CancellationToken::new();
        let running = {
            let (app, end) = (service.app.clone(), end.clone());
            tokio::spawn(async move { Worker::new(app, 0).run(&end).await })
        };
        while files(&service.collection_folder(cluster.id)).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        end.cancel();
        running.await.unwrap();
        let job = service.jobs(cluster.id, JobKind::Backup).await[0].clone();
        assert_eq!((job.state, job.attempts), (JobState::Pending, 0), "as if not begun");
        assert_eq!(files(&service.collection_folder(cluster.id)), Vec::<String>::new());
        service.work().await;
        assert_eq!(service.job(job.id).await.state, JobState::Succeeded);
    });
}

#[test]
fn the_newest_backup_of_a_living_cluster_is_never_pruned() {
    let server = source();
    block_on(async {
        let clock = clock("2024-02-10T05:00:00Z");
        let service = Service::start(clock.clone(), |_| {}).await;
        let cluster = service.attach("tiny", &server.url("shop"), Plan::Serverless, 60, 2).await;
        let simulation =
            strongroom_controlplane::simulate::Simulation::new(service.app.clone(), clock.clone());
        simulation.run_until(time("2024-02-10T08:00:00Z"), async |_| {}).await.unwrap();
        assert_eq!(service.listed(cluster.id).await.len(), 4);
        server.stop();
        simulation.run_until(time("2024-02-20T08:00:00Z"), async |_| {}).await.unwrap();
        let left = service.listed(cluster.id).await;
        assert_eq!(left.len(), 1);
        assert!(left[0].data_from >= time("2024-02-10T08:00:00Z"));
        assert_eq!(service.stored(cluster.id).await.0.len(), 1);
    });
}
