//! 45 days of every plan, under a clock that is set: which backups exist on each day is what the plan
//! says, every one that is listed can be restored, and the storage holds nothing else.
//!
//! By default every four hours or less often, which is quick; with `STRONGROOM_TEST_FULL=1` every hour, as the plans
//! have it, and all listed backups are restored. (The basic plan has one a day.)

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use strongroom_catalog::backup_settings::SettingsChange;
use strongroom_catalog::clusters::{Cluster, Plan};
use strongroom_catalog::jobs::{JobKind, JobState};
use strongroom_controlplane::simulate::Simulation;
use strongroom_dataplane::collection;
use strongroom_dataplane::postgres::server::Server;
use strongroom_dataplane::progress::Progress;
use strongroom_dataplane::restore::{self, Fence, RestoreOptions, RestoreTarget, SkipMissing};
use strongroom_dataplane::{CancellationToken, verify};
use strongroom_format::layout::{Folder, ObjectKey};
use strongroom_format::manifest::BackupType;
use strongroom_testkit as testkit;

use crate::support::{Service, block_on, clock, files, full, hours, key, source, time};

const DAYS: i64 = 45;
/// Restored by default, of those that are listed in the end.
const SAMPLE: usize = 10;
/// How long objects of expired backups stay here.
const GRACE_HOURS: i64 = 2;
const BEGIN: &str = "2024-02-10T00:00:00Z";

#[test]
fn the_serverless_plan_keeps_its_rhythm_for_45_days() {
    live_through(Plan::Serverless);
}

#[test]
fn the_dedicated_plan_keeps_its_rhythm_for_45_days() {
    live_through(Plan::Dedicated);
}

#[test]
fn the_basic_plan_keeps_its_rhythm_for_45_days() {
    live_through(Plan::Basic);
}

#[test]
fn the_standard_plan_keeps_its_rhythm_for_45_days() {
    live_through(Plan::Standard);
}

#[test]
fn the_advanced_plan_keeps_its_rhythm_for_45_days() {
    live_through(Plan::Advanced);
}

/// From one backup to the next, in hours.
fn rhythm(plan: Plan) -> i64 {
    match plan {
        Plan::Basic => 24,
        _ if full() => 1,
        // Its rules are those of the serverless plan.
        Plan::Standard => 12,
        _ => 4,
    }
}

/// What the plan promises, said once more, in another way than the program does: a backup every so
/// often, kept 30 days. On the dedicated and the advanced plan it is full at midnight and else
/// incremental; an incremental is kept 7 days on the one, and on the other as long as its full.
fn promised(plan: Plan, every: i64, now: Timestamp) -> BTreeMap<Timestamp, BackupType> {
    let mut promised = BTreeMap::new();
    let mut at = time(BEGIN);
    while at <= now {
        let hour = at.to_zoned(TimeZone::UTC).hour();
        let full = (BackupType::Full, at + hours(24 * 30));
        let (kind, until) = match plan {
            Plan::Serverless | Plan::Basic | Plan::Standard => full,
            Plan::Dedicated | Plan::Advanced if hour == 0 => full,
            Plan::Dedicated => (BackupType::Incremental, at + hours(24 * 7)),
            Plan::Advanced => (BackupType::Incremental, full.1 - hours(hour.into())),
        };
        if until > now {
            promised.insert(at, kind);
        }
        at += hours(every);
    }
    promised
}

fn live_through(plan: Plan) {
    let every = rhythm(plan);
    let server = source();
    block_on(async {
        let clock = clock(BEGIN);
        let service = Service::start(clock.clone(), |config| {
            config.grace = hours(GRACE_HOURS).unsigned_abs();
            config.connections = 1;
        })
        .await;
        let url = server.url("shop");
        let cluster = service.attach("tiny", &url, plan, 60 * every, 30).await;
        let simulation = Simulation::new(service.app.clone(), clock.clone());
        // What the source held, by when.
        let mut truth: BTreeMap<Timestamp, i64> = BTreeMap::new();
        let mut rows = 50;
        for day in 0..DAYS {
            let evening = time(BEGIN) + hours(24 * day + 23);
            let change = async |now: Timestamp| {
                let hour = now.to_zoned(TimeZone::UTC).hour();
                // A day ends and the next one begins at the same hour.
                if i64::from(hour) % every == 0 && !truth.contains_key(&now) {
                    let sql = "INSERT INTO orders (note) VALUES ('one more'); \
                               UPDATE customers SET name = name || '.' WHERE id = 7";
                    server.psql("shop", sql);
                    rows += 1;
                    truth.insert(now, rows);
                }
            };
            simulation.run_until(evening, change).await.unwrap();
            what_is_there_is_what_was_promised(&service, &cluster, plan, every, evening, &truth)
                .await;
        }
        every_listed_backup_can_be_restored(&service, &cluster, &truth, every).await;
        nothing_else_is_stored(&service, &cluster, clock.as_ref()).await;
        no_job_failed_and_none_was_done_twice(&service, &cluster, plan, every).await;
        deleted_clusters_lose_all_in_time(&service, &cluster, &simulation).await;
    });
}

fn slot(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(3600) * 3600).unwrap()
}

async fn what_is_there_is_what_was_promised(
    service: &Service,
    cluster: &Cluster,
    plan: Plan,
    every: i64,
    now: Timestamp,
    truth: &BTreeMap<Timestamp, i64>,
) {
    let listed = service.listed(cluster.id).await;
    let found: BTreeMap<Timestamp, BackupType> =
        listed.iter().map(|backup| (slot(backup.data_from), backup.kind)).collect();
    assert_eq!(found.len(), listed.len(), "one per slot");
    assert_eq!(found, promised(plan, every, now), "at {now}");
    for backup in &listed {
        assert_eq!(backup.rows, truth[&slot(backup.data_from)], "{}", backup.engine_id);
        let late = backup.data_from.duration_since(slot(backup.data_from));
        assert!(late < hours(1) / 10, "{} is {late:?} late", backup.engine_id);
    }
    let (complete, _) = service.stored(cluster.id).await;
    let names: Vec<String> = listed.iter().map(|backup| backup.engine_id.to_string()).collect();
    assert_eq!(complete, names, "the storage has what is listed, at {now}");
}

async fn every_listed_backup_can_be_restored(
    service: &Service,
    cluster: &Cluster,
    truth: &BTreeMap<Timestamp, i64>,
    every: i64,
) {
    let (store, key) = (service.store(cluster.id), key());
    let target = testkit::Cluster::builder().start();
    let listed = service.listed(cluster.id).await;
    let (silent, never) = (Progress::silent(), CancellationToken::new());
    let step = if full() { 1 } else { listed.len().div_ceil(SAMPLE) };
    for (number, row) in listed.iter().enumerate() {
        let folder = Folder { id: row.engine_id, full: row.full };
        let backup = collection::Backup::open_at(&store, folder, Some(&key)).await.unwrap();
        let verified = verify::verify(&backup, 1, &silent, &never).await.unwrap();
        assert_eq!(verified.rows, row.rows as u64);
        // From the newest on, which has the longest chain.
        if (listed.len() - 1 - number) % step != 0 {
            continue;
        }
        let options = RestoreOptions {
            target: RestoreTarget::Databases {
                names: vec!["shop".to_owned()],
                restore_to: Some("back".to_owned()),
            },
            to: Server::parse(&target.url("postgres")).unwrap(),
            skip_missing: SkipMissing::default(),
            schema_only: false,
            workers: 1,
            fence: Fence::open(),
        };
        restore::run(&backup, &options, &silent, &never).await.unwrap();
        let seen = target.psql(
            "back",
            "SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM customers), \
             (SELECT length(name) - length('customer 7') FROM customers WHERE id = 7)",
        );
        let at = slot(row.data_from);
        let changes = at.duration_since(time(BEGIN)).as_hours() / every + 1;
        assert_eq!(seen.trim(), format!("{}|{changes}", truth[&at]), "{}", row.engine_id);
        target.psql("postgres", "DROP DATABASE back");
    }
}

/// Every file belongs to a listed backup, or is a pack that one needs, or what somebody may still be
/// reading: that of a backup which expired within the grace time.
async fn nothing_else_is_stored(
    service: &Service,
    cluster: &Cluster,
    clock: &dyn strongroom_catalog::Clock,
) {
    let (store, key) = (service.store(cluster.id), key());
    let root = service.collection_folder(cluster.id);
    let (mut folders, mut needed) = (BTreeSet::new(), BTreeSet::new());
    for row in service.listed(cluster.id).await {
        let folder = Folder { id: row.engine_id, full: row.full };
        let backup = collection::Backup::open_at(&store, folder, Some(&key)).await.unwrap();
        needed.extend(backup.contents.packs.into_iter().map(|pack| pack.path));
        folders.insert(folder);
    }
    let lately = SystemTime::from(clock.now() - hours(GRACE_HOURS + 1));
    for path in files(&root) {
        let Some(folder) = ObjectKey::folder_of(&path) else { panic!("{path} is left") };
        let tombstone = root.join(ObjectKey::Manifest(folder).path());
        let needs = needed.iter().any(|pack| ObjectKey::folder_of(pack) == Some(folder));
        let may_be_read =
            tombstone.metadata().and_then(|it| it.modified()).is_ok_and(|at| at >= lately);
        let own = folders.contains(&folder)
            && (!ObjectKey::is_pack(&path) || needed.contains(&path))
            && !path.ends_with("STARTED");
        let other = needed.contains(&path) || (needs && root.join(&path) == tombstone);
        assert!(own || other || (may_be_read && !folders.contains(&folder)), "{path} is left");
    }
}

async fn no_job_failed_and_none_was_done_twice(
    service: &Service,
    cluster: &Cluster,
    plan: Plan,
    every: i64,
) {
    let mut taken = 0;
    for kind in [JobKind::Backup, JobKind::Prune] {
        let jobs = service.jobs(cluster.id, kind).await;
        for job in &jobs {
            assert_eq!((job.state, job.attempts), (JobState::Succeeded, 1), "{job:?}");
        }
        taken = if kind == JobKind::Backup { jobs.len() as i64 } else { taken };
    }
    // A page of jobs has a thousand at most.
    assert_eq!(taken, ((DAYS * 24 - 1) / every + 1).min(1000), "{plan}");
}

/// A deleted cluster's backups are kept for their time, and then nothing is left of it.
async fn deleted_clusters_lose_all_in_time(
    service: &Service,
    cluster: &Cluster,
    simulation: &Simulation,
) {
    let root = service.collection_folder(cluster.id);
    let before = service.listed(cluster.id).await.len();
    let mut write = service.catalog().begin().await.unwrap();
    let off = SettingsChange { enabled: Some(false), ..SettingsChange::default() };
    write.change_backup_settings(cluster.id, off).await.unwrap();
    write.delete_cluster(cluster.id).await.unwrap();
    write.commit().await.unwrap();
    let deleted = service.catalog().now();
    let nothing = async |_| {};
    simulation.run_until(deleted + hours(1), nothing).await.unwrap();
    let now = service.listed(cluster.id).await.len();
    assert!(now * 10 >= before * 9, "their time is not over: {now} of {before}");
    simulation.run_until(deleted + hours(24 * 30), nothing).await.unwrap();
    assert_eq!(service.listed(cluster.id).await, [], "also the newest goes");
    simulation.run_until(deleted + hours(24 * 30 + GRACE_HOURS + 2), nothing).await.unwrap();
    assert_eq!(files(&root), Vec::<String>::new(), "nothing of it is left");
    let retired = service.catalog().retired_backups(cluster.id).await.unwrap();
    assert_eq!(retired, [], "nothing of it is remembered");
}
