//! The service dies as by `kill -9`, or sleeps while another replica goes on: no job is lost, none is
//! done twice, and in the storage lies nothing but what the catalog lists.
//!
//! Every round asks for one backup, by a change of the settings, which the scheduler must answer with
//! one full backup. The service is killed on the way, at a failpoint or at random, and then started
//! again without failpoints, to bring it to its end. By default a few rounds;
//! `STRONGROOM_TEST_FULL=1` runs all failpoints and many random moments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_catalog::backup_settings::SettingsChange;
use strongroom_catalog::backups::{Backup, BackupFilter};
use strongroom_catalog::clusters::{ClusterState, Connection, Engine, NewCluster, Plan, Provider};
use strongroom_catalog::jobs::{Job, JobFilter, JobKind, JobState, NewJob};
use strongroom_catalog::storage_locations::NewLocation;
use strongroom_catalog::{
    Address, Catalog, ClusterId, JobId, KeySource, Order, Page, Secret, SystemClock,
};
use strongroom_controlplane::failpoint::SERVICE;
use strongroom_dataplane::collection::{self, Entry};
use strongroom_dataplane::failpoint::BACKUP;
use strongroom_dataplane::progress::Progress;
use strongroom_dataplane::store::Store;
use strongroom_dataplane::{CancellationToken, verify};
use strongroom_format::layout::Folder;
use strongroom_testkit::{Cluster, Running};
use tempfile::TempDir;

use crate::state::{Random, files};
use crate::support::strongroom;

/// The service's lease and grace time here.
const LEASE: &str = "2s";
const GRACE: &str = "3s";
/// The longest that a job may take to come to its end after the service was started again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A source, a catalog, and the folder that both the service and the test look into.
struct World {
    runtime: tokio::runtime::Runtime,
    source: Cluster,
    catalog: Catalog,
    /// The catalog's address, as `--catalog` takes it.
    address: String,
    cluster: ClusterId,
    folder: TempDir,
    /// Where the catalog is, if it is not in a file.
    database: Option<Cluster>,
}

impl World {
    fn new(database: Option<Cluster>) -> Self {
        let source = Cluster::builder().start();
        source.create_database("shop");
        source.psql(
            "shop",
            "CREATE TABLE orders AS SELECT n, repeat('x', 100) AS note FROM generate_series(1, 20000) n",
        );
        let folder = TempDir::new().unwrap();
        let address = match &database {
            Some(database) => {
                database.create_database("catalog");
                database.url("catalog")
            }
            None => folder.path().join("catalog.db").display().to_string(),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (catalog, cluster) = runtime.block_on(async {
            let place: Address = address.parse().unwrap();
            let key = KeySource::File(folder.path().join("master.key"));
            let catalog = Catalog::open(&place, key, Arc::new(SystemClock)).await.unwrap();
            let storage = format!("file://{}", folder.path().join("storage").display());
            let mut write = catalog.begin().await.unwrap();
            let location = NewLocation {
                name: "here".to_owned(),
                region: "here".to_owned(),
                url: Secret::new(&storage),
                url_shown: storage,
                encryption: None,
            };
            let location = write.create_location(&location).await.unwrap();
            let url = source.url("shop");
            let cluster = NewCluster {
                name: "shop".to_owned(),
                engine: Engine::Postgres,
                plan: Plan::Dedicated,
                provider: Provider::SelfHosted,
                regions: vec!["here".to_owned()],
                primary_region: "here".to_owned(),
                state: ClusterState::Created,
                connection: Some(Connection { url: Secret::new(&url), shown: url }),
                folder: None,
                location: Some(location.id),
                labels: BTreeMap::new(),
                delete_protection: false,
                creator: None,
            };
            let cluster = write.create_cluster(&cluster).await.unwrap().id;
            // Nothing is due but what a round asks for: the next day is far away.
            write.create_backup_settings(cluster, false, 1440, 30, false).await.unwrap();
            write.commit().await.unwrap();
            (catalog, cluster)
        });
        World { runtime, source, catalog, address, cluster, folder, database }
    }

    /// Starts the service.
    fn serve(&self, failpoints: &str) -> Running {
        let (data, key) = (self.folder.path(), self.folder.path().join("master.key"));
        let (data, key) = (data.display().to_string(), key.display().to_string());
        strongroom(&["serve", "--data-dir", &data, "--listen", "127.0.0.1:0"])
            .args(["--catalog", &self.address, "--master-key-file", &key])
            .args(["--lease", LEASE, "--grace", GRACE, "--job-workers", "2"])
            .programs_of(&self.source)
            .failpoints(failpoints)
            .timeout(Duration::from_secs(600))
            .spawn()
    }

    /// Asks for a backup, by turning backups on with other settings, and so for one that is full.
    fn ask(&self) -> i64 {
        self.runtime.block_on(async {
            let old = self.catalog.backup_settings(self.cluster).await.unwrap();
            let frequency = if old.frequency_minutes == 1440 { 240 } else { 1440 };
            let change = SettingsChange {
                enabled: Some(true),
                frequency_minutes: Some(frequency),
                ..SettingsChange::default()
            };
            let mut write = self.catalog.begin().await.unwrap();
            let new = write.change_backup_settings(self.cluster, change).await.unwrap();
            write.commit().await.unwrap();
            new.generation
        })
    }

    fn jobs(&self, kind: JobKind) -> Vec<Job> {
        let filter =
            JobFilter { kinds: vec![kind], cluster: Some(self.cluster), ..JobFilter::default() };
        let page = Page::first(1000).order(Order::Ascending);
        self.runtime.block_on(self.catalog.jobs(&filter, &page)).unwrap().items
    }

    fn listed(&self) -> Vec<Backup> {
        let filter = BackupFilter { cluster: Some(self.cluster), ..BackupFilter::default() };
        let page = Page::first(1000).order(Order::Ascending);
        self.runtime.block_on(self.catalog.backups(&filter, &page)).unwrap().items
    }

    /// The job of this generation of the settings, once there is one and it has ended.
    fn ended(&self, generation: i64) -> Option<Job> {
        let prefix = format!("{}/{generation}/", self.cluster);
        let jobs = self.jobs(JobKind::Backup);
        let mut ours = jobs
            .into_iter()
            .filter(|job| job.slot.as_deref().is_some_and(|slot| slot.starts_with(&prefix)));
        let job = ours.next()?;
        // At midnight the next slot may begin; it has no job of this round.
        job.state.has_ended().then_some(job)
    }

    fn until_ended(&self, generation: i64, service: &mut Running) -> Job {
        let begun = Instant::now();
        loop {
            if let Some(job) = self.ended(generation) {
                return job;
            }
            assert!(service.is_running(), "the service ended by itself");
            assert!(begun.elapsed() < PATIENCE, "{:#?}", self.jobs(JobKind::Backup));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The cluster's collection.
    fn store(&self) -> Store {
        let url = format!("file://{}", self.folder.path().join("storage").display());
        Store::open_within(&url, &self.cluster.to_string(), false).unwrap()
    }

    /// What must hold after every round: a backup per job, each complete in the storage and listed.
    fn check(&self, what: &str) {
        let (mut jobs, listed) = (self.jobs(JobKind::Backup), self.listed());
        // One may be due beside those that were asked for, where a slot has just begun.
        jobs.retain(|job| job.state.has_ended());
        for job in &jobs {
            assert_eq!(job.state, JobState::Succeeded, "{what}: {job:#?}");
            let taken = listed.iter().filter(|backup| backup.job == Some(job.id)).count();
            assert_eq!(taken, 1, "{what}: job {} has one backup", job.id);
        }
        assert_eq!(listed.len(), jobs.len(), "{what}");
        let entries = self.runtime.block_on(collection::list(&self.store())).unwrap();
        let mut complete = Vec::new();
        for entry in entries {
            match entry {
                Entry::Complete(manifest) => complete.push(manifest.id),
                Entry::Pruned(_) => {}
                other => panic!("{what}: {other:?}"),
            }
        }
        let names: Vec<_> = listed.iter().map(|backup| backup.engine_id).collect();
        assert_eq!(complete, names, "{what}: the storage holds what is listed");
        assert_eq!(self.source.psql("shop", "SELECT count(*) FROM orders").trim(), "20000");
    }

    fn ask_to_prune(&self) -> JobId {
        self.runtime.block_on(async {
            let mut write = self.catalog.begin().await.unwrap();
            let job = write.enqueue(&NewJob::of(JobKind::Prune, self.cluster)).await.unwrap().job;
            write.commit().await.unwrap();
            job.id
        })
    }

    fn until_pruned(&self, job: JobId, service: &mut Running, what: &str) {
        let begun = Instant::now();
        while !self.runtime.block_on(self.catalog.job(job)).unwrap().state.has_ended() {
            assert!(service.is_running() && begun.elapsed() < PATIENCE, "{what}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let job = self.runtime.block_on(self.catalog.job(job)).unwrap();
        assert_eq!(job.state, JobState::Succeeded, "{what}: {job:#?}");
    }

    /// After the grace time: prunes leave nothing but listed backups.
    fn nothing_else_is_left(&self) {
        let mut service = self.serve("");
        std::thread::sleep(Duration::from_secs(4));
        for round in 0..2 {
            let job = self.ask_to_prune();
            self.until_pruned(job, &mut service, &format!("prune {round}"));
            std::thread::sleep(Duration::from_secs(4));
        }
        let root = self.folder.path().join("storage").join(self.cluster.to_string());
        let folders: Vec<String> =
            self.listed().iter().map(|backup| format!("{}/", backup.engine_id)).collect();
        for file in files(&root) {
            let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
            let owned = folders.iter().any(|folder| name.starts_with(folder));
            assert!(owned && !name.ends_with("STARTED"), "{name} is left");
        }
        service.signal("TERM");
        let output = service.wait();
        assert_eq!(output.code, Some(0), "{output:#?}");
    }
}

/// Where prunes of the service can die. (The engine's own points are visited by its tests.)
fn prune_points() -> impl Iterator<Item = &'static str> {
    let words = ["claim", "retire", "forget", "finish"];
    SERVICE.iter().filter(move |point| words.iter().any(|word| point.ends_with(word))).copied()
}

#[test]
fn a_prune_that_is_killed_anywhere_takes_what_has_expired_and_nothing_else() {
    let world = World::new(Some(Cluster::builder().start()));
    let database = world.database.as_ref().unwrap();
    let take = || {
        let generation = world.ask();
        let mut service = world.serve("");
        world.until_ended(generation, &mut service);
        service.kill();
    };
    take();
    for point in prune_points() {
        // The older of two has had its time; what earlier rounds took has had its grace time, too.
        take();
        let before = world.listed();
        let [old, kept] = before.as_slice() else { panic!("{point}: {before:#?}") };
        // What was written within the grace time is kept in any case.
        std::thread::sleep(Duration::from_secs(4));
        let over = "UPDATE backups SET expires_at = now() - interval '1 hour' WHERE engine_id = ";
        database.psql("catalog", &format!("{over}'{}'", old.engine_id));
        let job = world.ask_to_prune();
        let killed = world.serve(&format!("{point}=return(kill)")).wait();
        assert_eq!(killed.code, None, "{point} was reached: {killed:#?}");
        let mut service = world.serve("");
        world.until_pruned(job, &mut service, point);
        service.kill();
        let listed = world.listed();
        assert_eq!(listed, std::slice::from_ref(kept), "{point}");
        let store = world.store();
        let entries = world.runtime.block_on(collection::list(&store)).unwrap();
        let complete: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Complete(manifest) => Some(manifest.id),
                _ => None,
            })
            .collect();
        assert_eq!(complete, [kept.engine_id], "{point}");
        let folder = Folder { id: kept.engine_id, full: kept.full };
        let never = CancellationToken::new();
        world.runtime.block_on(async {
            let backup = collection::Backup::open_at(&store, folder, None).await.unwrap();
            verify::verify(&backup, 1, &Progress::silent(), &never).await.unwrap();
        });
    }
    world.nothing_else_is_left();
}

fn full() -> bool {
    std::env::var_os("STRONGROOM_TEST_FULL").is_some()
}

/// Where backups of the service can die. (Other kinds of jobs pass some of the service's points, too.)
fn points() -> Vec<&'static str> {
    let own = SERVICE
        .iter()
        .filter(|point| !["retire", "forget", "finish"].iter().any(|word| point.ends_with(word)));
    own.chain(BACKUP).copied().collect()
}

#[test]
fn a_service_that_is_killed_anywhere_loses_nothing_and_does_nothing_twice() {
    let world = World::new(None);
    let mut random = Random::seeded(7);
    let all = points();
    let rounds: Vec<Option<&str>> = match full() {
        true => (0..50).map(|round| all.get(round).copied()).collect(),
        // The steps that decide, and two random moments.
        false => vec![
            Some("service.after-enqueue"),
            Some("service.after-claim"),
            Some("backup.before-manifest"),
            Some("backup.after-manifest"),
            Some("service.before-record"),
            Some("service.after-record"),
            None,
            None,
        ],
    };
    for (number, point) in rounds.into_iter().enumerate() {
        let what = format!("round {number}, {}", point.unwrap_or("at random"));
        match point {
            Some(point) => {
                let generation = world.ask();
                let killed = world.serve(&format!("{point}=return(kill)")).wait();
                assert_eq!(killed.code, None, "{what} was reached: {killed:#?}");
                let mut service = world.serve("");
                world.until_ended(generation, &mut service);
                service.kill();
            }
            None => {
                let mut service = world.serve("");
                let generation = world.ask();
                std::thread::sleep(Duration::from_millis(random.below(9000)));
                service.kill();
                service = world.serve("");
                world.until_ended(generation, &mut service);
                service.kill();
            }
        }
        world.check(&what);
    }
    world.nothing_else_is_left();
}

#[test]
fn of_two_replicas_one_goes_on_when_the_other_dies_or_sleeps() {
    let world = World::new(Some(Cluster::builder().start()));
    let mut rounds = vec!["kill", "backup.before-manifest", "stop", "stop"];
    if full() {
        rounds = rounds.into_iter().cycle().take(24).collect();
    }
    let mut random = Random::seeded(11);
    for (number, round) in rounds.into_iter().enumerate() {
        let what = format!("round {number}, {round}");
        let point =
            if round.contains('.') { format!("{round}=return(kill)") } else { String::new() };
        // Alone at first, so that it is the one that holds the job.
        let mut first = world.serve(&point);
        let generation = world.ask();
        let begun = Instant::now();
        let prefix = format!("{}/{generation}/", world.cluster);
        let running = |job: &Job| {
            let ours = job.slot.as_deref().is_some_and(|slot| slot.starts_with(&prefix));
            ours && job.state != JobState::Pending
        };
        while first.is_running() && !world.jobs(JobKind::Backup).iter().any(running) {
            assert!(begun.elapsed() < PATIENCE, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(random.below(150)));
        match round {
            "kill" => first.signal("KILL"),
            "stop" => first.signal("STOP"),
            _ => {}
        }
        let mut second = world.serve("");
        world.until_ended(generation, &mut second);
        if round == "stop" {
            // It wakes up beside its successor, and must do nothing any more.
            first.signal("CONT");
            std::thread::sleep(Duration::from_secs(3));
            assert!(first.is_running(), "{what}");
            first.signal("TERM");
        }
        first.wait();
        world.check(&what);
        second.kill();
    }
    let taken_over = world.jobs(JobKind::Backup).iter().filter(|job| job.generation > 1).count();
    assert!(taken_over > 0, "nobody was ever interrupted");
    world.nothing_else_is_left();
}

/// Errors, not deaths. Those that come when the manifest is there are no failure of the backup.
#[test]
fn what_fails_behind_the_manifest_does_not_fail_the_backup() {
    let world = World::new(None);
    for point in ["backup.after-manifest", "backup.before-release"] {
        let mut service = world.serve(&format!("{point}=return(fail)"));
        let generation = world.ask();
        let job = world.until_ended(generation, &mut service);
        assert_eq!((job.state, job.generation), (JobState::Succeeded, 1), "{point}: {job:#?}");
        service.kill();
        world.check(point);
    }
    let before = world.listed();
    let mut service = world.serve("backup.before-manifest=return(fail)");
    let generation = world.ask();
    let job = world.until_ended(generation, &mut service);
    assert_eq!(job.state, JobState::Failed, "{job:#?}");
    assert_eq!(world.listed(), before, "there is none");
}
