//! Prune jobs: what is taken off the lists, and what comes back onto them.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strongroom_catalog::backups::Backup;
use strongroom_catalog::clusters::{Cluster, Plan};
use strongroom_catalog::jobs::{Failure, Job, JobKind, JobState, NewJob};
use strongroom_catalog::{BackupId, Clock, FakeClock};
use strongroom_controlplane::{Caller, Scheduler};
use strongroom_format::layout::{Folder, ObjectKey};
use strongroom_testkit as testkit;

use crate::support::{Service, block_on, clock, files, hours, source};

/// A machine's clock that is wrong by so much.
#[derive(Debug, Default)]
struct WrongClock(Mutex<SignedDuration>);

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        Timestamp::now() + *self.0.lock().unwrap()
    }
}

/// Takes a backup now. All that is listed.
async fn back_up(service: &Service, cluster: &Cluster) -> Vec<Backup> {
    let job = run(service, full_backup(cluster)).await;
    assert_eq!(job.state, JobState::Succeeded, "{job:#?}");
    service.listed(cluster.id).await
}

fn full_backup(cluster: &Cluster) -> NewJob {
    let payload = serde_json::json!({"type": "full"});
    NewJob { payload, ..NewJob::of(JobKind::Backup, cluster.id) }
}

async fn run(service: &Service, job: NewJob) -> Job {
    let mut write = service.catalog().begin().await.unwrap();
    let job = write.enqueue(&job).await.unwrap().job;
    write.commit().await.unwrap();
    service.work().await;
    service.job(job.id).await
}

async fn prune(service: &Service, cluster: &Cluster) -> Job {
    run(service, NewJob::of(JobKind::Prune, cluster.id)).await
}

/// As a prune did that did not ask the engine first, or that was killed right then.
async fn retire(service: &Service, id: BackupId) {
    let mut write = service.catalog().begin().await.unwrap();
    write.retire_backup(id).await.unwrap();
    write.commit().await.unwrap();
}

async fn rebuild(service: &Service) -> usize {
    let rebuilt = service.app.rebuild(&Caller::system("a test")).await.unwrap();
    rebuilt.iter().flat_map(|it| &it.clusters).map(|it| it.recorded).sum()
}

fn folder(backup: &Backup) -> Folder {
    Folder { id: backup.engine_id, full: backup.full }
}

/// A service that gives readers no time, and a cluster whose backups are kept two days.
async fn start(server: &testkit::Cluster, clock: Arc<dyn Clock>, plan: Plan) -> (Service, Cluster) {
    let service = Service::start(clock, |config| config.grace = Duration::ZERO).await;
    let cluster = service.attach("tiny", &server.url("shop"), plan, 60, 2).await;
    (service, cluster)
}

/// Three full backups, an hour apart.
async fn three(server: &testkit::Cluster) -> (Service, Cluster, Arc<FakeClock>, Vec<Backup>) {
    let clock = clock("2024-02-10T05:00:00Z");
    let (service, cluster) = start(server, clock.clone(), Plan::Serverless).await;
    for _ in 0..3 {
        back_up(&service, &cluster).await;
        clock.advance(hours(1));
    }
    let all = service.listed(cluster.id).await;
    assert_eq!(all.len(), 3);
    (service, cluster, clock, all)
}

#[test]
fn a_clock_that_is_ahead_takes_nothing_off_the_lists() {
    let server = source();
    block_on(async {
        let clock = Arc::new(WrongClock::default());
        let (service, cluster) = start(&server, clock.clone(), Plan::Serverless).await;
        back_up(&service, &cluster).await;
        let all = back_up(&service, &cluster).await;
        assert_eq!(all.len(), 2);
        *clock.0.lock().unwrap() = hours(24 * 40);
        let expired = service.catalog().expired_backups(cluster.id, 9).await.unwrap();
        assert_eq!(expired, all, "for the catalog they have expired");
        let job = prune(&service, &cluster).await;
        assert_eq!(job.state, JobState::Succeeded, "{job:#?}");
        assert_eq!(service.listed(cluster.id).await, all);
        assert_eq!(service.stored(cluster.id).await.0.len(), 2);
    });
}

#[test]
fn what_was_taken_off_the_lists_too_early_comes_back() {
    let server = source();
    block_on(async {
        let (service, cluster, clock, all) = three(&server).await;
        for by_prune in [true, false] {
            retire(&service, all[0].id).await;
            retire(&service, all[1].id).await;
            assert_eq!(service.listed(cluster.id).await, all[2..]);
            if by_prune {
                prune(&service, &cluster).await;
            } else {
                assert_eq!(rebuild(&service).await, 2);
                assert_eq!(rebuild(&service).await, 0, "nothing is left to do");
            }
            assert_eq!(service.listed(cluster.id).await, all);
        }
        // What a prune is about to remove does not, but for the newest.
        clock.advance(hours(24 * 3));
        for backup in &all {
            retire(&service, backup.id).await;
        }
        assert_eq!(rebuild(&service).await, 1);
        assert_eq!(service.listed(cluster.id).await, all[2..]);
        retire(&service, all[2].id).await;
        prune(&service, &cluster).await;
        assert_eq!(service.listed(cluster.id).await, all[2..]);
        assert_eq!(service.stored(cluster.id).await.0.len(), 1);
    });
}

#[test]
fn what_is_kept_because_of_damage_stays_on_the_lists() {
    let server = source();
    block_on(async {
        let clock = clock("2024-02-10T05:00:00Z");
        let (service, cluster) = start(&server, clock.clone(), Plan::Dedicated).await;
        let scheduler = Scheduler::new(service.app.clone());
        for _ in 0..3 {
            scheduler.tick().await.unwrap();
            service.work().await;
            clock.advance(hours(1));
        }
        let all = service.listed(cluster.id).await;
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|backup| backup.full == all[0].engine_id), "one chain");
        let contents = ObjectKey::Contents(folder(&all[2])).path();
        let contents = service.collection_folder(cluster.id).join(contents);
        let mut bytes = fs::read(&contents).unwrap();
        bytes[7] ^= 1;
        fs::write(&contents, bytes).unwrap();
        // The time of the older ones is over. They may be the only good ones.
        let due = all[0].expires_at.max(all[1].expires_at).unwrap();
        assert!(all[2].expires_at.unwrap() > due);
        clock.set(due);
        retire(&service, all[1].id).await;
        assert_eq!(prune(&service, &cluster).await.state, JobState::Succeeded);
        assert_eq!(service.listed(cluster.id).await, all);
    });
}

#[test]
fn the_newest_backup_that_can_be_restored_stays_on_the_lists() {
    let server = source();
    block_on(async {
        let (service, cluster, clock, all) = three(&server).await;
        let root = service.collection_folder(cluster.id);
        let newest = folder(&all[2]).to_string();
        let pack =
            files(&root).into_iter().find(|it| it.starts_with(&newest) && it.ends_with(".pack"));
        fs::remove_file(root.join(pack.unwrap())).unwrap();
        clock.advance(hours(24 * 3));
        // One that can be restored was even taken off the lists.
        retire(&service, all[1].id).await;
        for _ in 0..3 {
            let job = prune(&service, &cluster).await;
            assert_eq!(job.state, JobState::Succeeded, "{job:#?}");
            let notes = job.result.unwrap()["notes"].to_string();
            assert!(notes.contains("missing or cut short"), "{notes}");
            assert_eq!(service.listed(cluster.id).await, all[1..]);
        }
        assert_eq!(service.stored(cluster.id).await.0.len(), 2);
        let known = service.catalog().retired_backups(cluster.id).await.unwrap();
        assert_eq!(known, [], "of the oldest nothing is left");
        // Of a deleted cluster nothing stays.
        let mut write = service.catalog().begin().await.unwrap();
        write.delete_cluster(cluster.id).await.unwrap();
        write.commit().await.unwrap();
        for _ in 0..2 {
            prune(&service, &cluster).await;
        }
        assert_eq!(service.listed(cluster.id).await, []);
        assert_eq!(files(&root), Vec::<String>::new());
    });
}

#[test]
fn a_backup_that_a_job_reads_is_spared_and_goes_later() {
    let server = source();
    block_on(async {
        let (service, cluster, clock, all) = three(&server).await;
        clock.advance(hours(24 * 3));
        let mut write = service.catalog().begin().await.unwrap();
        let later = clock.now() + hours(1);
        let mut reads = NewJob::of(JobKind::Drill, cluster.id);
        (reads.backup, reads.not_before) = (Some(all[0].id), Some(later));
        let reads = write.enqueue(&reads).await.unwrap().job;
        write.commit().await.unwrap();
        prune(&service, &cluster).await;
        let left = [all[0].clone(), all[2].clone()];
        assert_eq!(service.listed(cluster.id).await, left);
        assert_eq!(service.stored(cluster.id).await.0.len(), 2);
        let mut write = service.catalog().begin().await.unwrap();
        write.cancel_job(reads.id).await.unwrap();
        write.commit().await.unwrap();
        prune(&service, &cluster).await;
        assert_eq!(service.listed(cluster.id).await, all[2..]);
        assert_eq!(service.stored(cluster.id).await.0.len(), 1);
    });
}

/// What a holder that slept made a tombstone of, after its successor had listed it again.
#[test]
fn what_is_listed_and_pruned_leaves_the_lists() {
    let server = source();
    block_on(async {
        let (service, cluster, clock, all) = three(&server).await;
        clock.advance(hours(24 * 3));
        let manifest = ObjectKey::Manifest(folder(&all[0])).path();
        let manifest = service.collection_folder(cluster.id).join(manifest);
        let tombstone = strongroom_format::manifest::bury(&fs::read(&manifest).unwrap());
        fs::write(&manifest, tombstone).unwrap();
        prune(&service, &cluster).await;
        assert_eq!(service.listed(cluster.id).await, all[2..]);
        prune(&service, &cluster).await;
        assert_eq!(service.catalog().retired_backups(cluster.id).await.unwrap(), []);
    });
}

#[test]
fn a_backup_of_a_time_to_come_does_not_make_every_later_one_full() {
    let server = source();
    block_on(async {
        let clock = clock("2024-02-10T05:00:00Z");
        let (service, cluster) = start(&server, clock.clone(), Plan::Dedicated).await;
        clock.advance(hours(24 * 30));
        back_up(&service, &cluster).await;
        clock.advance(-hours(24 * 30));
        let full = back_up(&service, &cluster).await[0].engine_id;
        clock.advance(hours(1));
        let payload = serde_json::json!({"type": "incremental"});
        let job = NewJob { payload, ..NewJob::of(JobKind::Backup, cluster.id) };
        assert_eq!(run(&service, job).await.state, JobState::Succeeded);
        let listed = service.listed(cluster.id).await;
        assert_eq!((listed.len(), listed[1].parent), (3, Some(full)), "{listed:#?}");
    });
}

/// As of a job that was given up, or canceled, when its manifest was written and not yet recorded.
#[test]
fn a_complete_backup_that_no_list_has_is_found_by_a_prune() {
    let server = source();
    block_on(async {
        let (service, cluster, _, all) = three(&server).await;
        let mut write = service.catalog().begin().await.unwrap();
        write.forget_backups_in(all[0].location, cluster.id).await.unwrap();
        for known in &all[..2] {
            write.record_backup(&known.backup, None).await.unwrap();
        }
        write.commit().await.unwrap();
        assert_eq!(service.listed(cluster.id).await.len(), 2);
        assert_eq!(prune(&service, &cluster).await.state, JobState::Succeeded);
        let listed = service.listed(cluster.id).await;
        let known =
            |backups: &[Backup]| backups.iter().map(|it| it.backup.clone()).collect::<Vec<_>>();
        assert_eq!(known(&listed), known(&all));
    });
}

#[test]
fn a_folder_that_is_not_there_is_told_and_changes_nothing() {
    let server = source();
    block_on(async {
        let (service, cluster, clock, all) = three(&server).await;
        clock.advance(hours(24 * 3));
        let root = service.collection_folder(cluster.id);
        let away = PathBuf::from(format!("{}.unmounted", root.display()));
        fs::rename(&root, &away).unwrap();
        // Nor is anything written where the disk ought to be.
        for job in [NewJob::of(JobKind::Prune, cluster.id), full_backup(&cluster)] {
            let job = run(&service, job).await;
            assert_eq!((job.state, job.attempts), (JobState::Failed, 1), "{job:#?}");
            let Failure { message, hint, .. } = job.error.unwrap();
            for words in ["does not exist", "3 backups of cluster tiny"] {
                assert!(message.contains(words), "{message}");
            }
            assert!(hint.unwrap().starts_with("mount the disk"));
        }
        assert_eq!(service.listed(cluster.id).await, all);
        assert!(!root.exists());
        fs::rename(&away, &root).unwrap();
        assert_eq!(prune(&service, &cluster).await.state, JobState::Succeeded);
        assert_eq!(service.listed(cluster.id).await, all[2..]);
        // Removed on purpose: what the message says to do.
        fs::remove_dir_all(&root).unwrap();
        fs::create_dir(&root).unwrap();
        rebuild(&service).await;
        assert_eq!(service.listed(cluster.id).await, []);
        fs::remove_dir(&root).unwrap();
        // Where there never was a backup, there need not be a folder.
        assert_eq!(prune(&service, &cluster).await.state, JobState::Succeeded);
        assert_eq!(back_up(&service, &cluster).await.len(), 1);
    });
}
