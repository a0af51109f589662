//! Jobs: claimed once, fenced, canceled, given back; and all of that at once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use strongroom_catalog::jobs::{
    Claimed, Ending, Failure, Job, JobFilter, JobKind, JobState, Lease, NewJob,
};
use strongroom_catalog::{Address, Catalog, CatalogError, ClusterId, JobId, Page};

use crate::support::{a_backup, failure, hours, seconds};

const ANY: &[JobKind] = JobKind::ALL;

async fn enqueue(catalog: &Catalog, new: &NewJob) -> Job {
    let mut write = catalog.begin().await.unwrap();
    let job = write.enqueue(new).await.unwrap().job;
    write.commit().await.unwrap();
    job
}

async fn claim(catalog: &Catalog) -> Option<Claimed> {
    catalog.claim("worker", ANY, seconds(30)).await.unwrap()
}

async fn finish(catalog: &Catalog, lease: &Lease, ending: &Ending) -> Result<Job, CatalogError> {
    let mut write = catalog.begin().await?;
    let job = write.finish_job(lease, ending).await?;
    write.commit().await.map(|()| job)
}

fn well() -> Ending {
    Ending::Succeeded(json!({"ok": true}))
}

fn is_lost<T: std::fmt::Debug>(result: Result<T, CatalogError>) -> bool {
    matches!(result, Err(CatalogError::LeaseLost { .. }))
}

on_both! {
    async fn what_ended_long_ago_is_not_counted(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await;
        let counts = async || {
            let counted = catalog.job_counts(catalog.now() - hours(24)).await.unwrap();
            let mut counted: Vec<_> = counted
                .into_iter()
                .map(|it| (it.kind, it.state, it.code.unwrap_or_default(), it.jobs))
                .collect();
            counted.sort_by_key(|(kind, state, ..)| (kind.name(), state.name()));
            counted
        };
        let failed = Ending::Failed(failure("denied", "no"));
        for ending in [well(), failed.clone(), failed] {
            enqueue(catalog, &NewJob::of(JobKind::Backup, cluster.id)).await;
            let Claimed { lease, .. } = claim(catalog).await.unwrap();
            finish(catalog, &lease, &ending).await.unwrap();
        }
        enqueue(catalog, &NewJob::of(JobKind::Restore, cluster.id)).await;
        claim(catalog).await.unwrap();
        enqueue(catalog, &NewJob::of(JobKind::Drill, cluster.id)).await;
        let open = [
            (JobKind::Drill, JobState::Pending, String::new(), 1),
            (JobKind::Restore, JobState::Running, String::new(), 1),
        ];
        let ended = [
            (JobKind::Backup, JobState::Failed, "denied".to_owned(), 2),
            (JobKind::Backup, JobState::Succeeded, String::new(), 1),
        ];
        assert_eq!(counts().await, [ended, open.clone()].concat());
        test.clock.advance(hours(25));
        assert_eq!(counts().await, open, "what waits or runs is counted however old it is");
    }

    async fn a_job_goes_from_waiting_to_its_end(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await;
        let new = NewJob {
            slot: Some("s".into()),
            payload: json!({"type": "full"}),
            statement: Some("BACKUP INTO 's3://b?AWS_SECRET_ACCESS_KEY=hush'".into()),
            requested_by: Some("scheduler".into()),
            ..NewJob::of(JobKind::Backup, cluster.id)
        };
        let job = enqueue(catalog, &new).await;
        assert_eq!((job.state, job.attempts, job.generation), (JobState::Pending, 0, 0));
        assert_eq!((&job.payload, job.cluster), (&new.payload, new.cluster));
        assert!(job.statement.as_deref().unwrap().ends_with("=redacted'"));
        assert_eq!(catalog.job(job.id).await.unwrap(), job);

        test.clock.advance(seconds(5));
        let Claimed { job: running, lease } = claim(catalog).await.unwrap();
        assert_eq!(
            (running.state, running.attempts, running.generation),
            (JobState::Running, 1, 1)
        );
        assert_eq!(running.holder.as_deref(), Some("worker"));
        assert_eq!(running.started_at, Some(catalog.now()));
        assert_eq!(running.lease_until, Some(catalog.now() + seconds(30)));
        assert!(claim(catalog).await.is_none());

        test.clock.advance(seconds(20));
        let beat = catalog.heartbeat(&lease, Some(&json!({"rows": 7}))).await.unwrap();
        assert_eq!(beat.lease_until, catalog.now() + seconds(30));
        assert!(!beat.cancel_requested);
        catalog.heartbeat(&lease, None).await.unwrap();
        assert_eq!(catalog.job(job.id).await.unwrap().progress, Some(json!({"rows": 7})));

        let failed = Ending::Failed(Failure {
            hint: Some("see postgresql://ann:hush@db/x".into()),
            ..failure("denied", "postgresql://ann:hush@db/x refused")
        });
        let ended = finish(catalog, &lease, &failed).await.unwrap();
        assert_eq!((ended.state, ended.finished_at), (JobState::Failed, Some(catalog.now())));
        let redacted = Failure {
            hint: Some("see postgresql://ann:redacted@db/x".into()),
            ..failure("denied", "postgresql://ann:redacted@db/x refused")
        };
        assert_eq!(ended.error, Some(redacted));
        assert!(is_lost(catalog.heartbeat(&lease, None).await));
        assert!(is_lost(finish(catalog, &lease, &well()).await));
        assert!(claim(catalog).await.is_none());
        assert_eq!(catalog.job_of_slot("s").await.unwrap(), Some(ended));
    }

    async fn a_claim_takes_one_job(test: Test) {
        // PostgreSQL reads a table that it takes for tiny from its beginning to its end.
        let cluster = test.cluster("ledger").await.id;
        enqueue(&test.catalog, &NewJob::of(JobKind::Alert, cluster)).await;
        if let (Address::Postgres(url), Some(server)) = (&test.address, &test.server) {
            server.psql(url.expose().rsplit_once('/').unwrap().1, "ANALYZE jobs");
        }
        for _ in 0..6 {
            enqueue(&test.catalog, &NewJob::of(JobKind::Alert, cluster)).await;
        }
        for taken in 1..=7 {
            assert!(claim(&test.catalog).await.is_some());
            let running = JobFilter { states: vec![JobState::Running], ..JobFilter::default() };
            let listed = test.catalog.jobs(&running, &Page::first(100)).await.unwrap();
            assert_eq!(listed.items.len(), taken);
        }
    }

    async fn what_somebody_waits_for_goes_first(test: Test) {
        let cluster = test.cluster("ledger").await.id;
        for kind in [JobKind::Backup, JobKind::Drill, JobKind::Restore, JobKind::Alert] {
            enqueue(&test.catalog, &NewJob::of(kind, cluster)).await;
            test.clock.advance(seconds(1));
        }
        let mut order = Vec::new();
        while let Some(claimed) = claim(&test.catalog).await {
            order.push(claimed.job.kind);
        }
        use JobKind::{Alert, Backup, Drill, Restore};
        assert_eq!(order, [Restore, Alert, Backup, Drill]);
    }

    async fn a_restore_that_was_begun_is_ended_by_a_worker(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await.id;
        let job = enqueue(catalog, &NewJob::of(JobKind::Restore, cluster)).await;
        let cancel = async |id: JobId| {
            let mut write = catalog.begin().await.unwrap();
            let job = write.cancel_job(id).await.unwrap();
            write.commit().await.unwrap();
            job
        };
        let lease = claim(catalog).await.unwrap().lease;
        let mut write = catalog.begin().await.unwrap();
        let later = catalog.now() + seconds(600);
        write.retry_job(&lease, later, &failure("unreachable", "nobody is there")).await.unwrap();
        write.commit().await.unwrap();
        assert!(claim(catalog).await.is_none());
        // It may be published: nobody can say that it was canceled but who looks.
        let wished = cancel(job.id).await;
        assert_eq!((wished.state, wished.finished_at), (JobState::Pending, None));
        let Claimed { job: again, lease } = claim(catalog).await.unwrap();
        assert_eq!((again.id, again.cancel_requested_at), (job.id, wished.cancel_requested_at));
        let mut write = catalog.begin().await.unwrap();
        let released = write.release_job(&lease).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(released.state, JobState::Pending);
        let lease = claim(catalog).await.unwrap().lease;
        assert_eq!(finish(catalog, &lease, &well()).await.unwrap().state, JobState::Succeeded);
        // One that was never begun left nothing.
        let never = enqueue(catalog, &NewJob::of(JobKind::Restore, cluster)).await;
        assert_eq!(cancel(never.id).await.state, JobState::Canceled);
    }

    async fn a_clock_that_was_ahead_holds_nothing_up(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await.id;
        test.clock.advance(hours(24 * 40));
        let waits = enqueue(catalog, &NewJob::of(JobKind::Backup, cluster)).await;
        let runs = enqueue(catalog, &NewJob::of(JobKind::Restore, cluster)).await;
        assert_eq!(claim(catalog).await.unwrap().job.id, runs.id);
        test.clock.advance(-hours(24 * 40));
        let mut taken = [claim(catalog).await.unwrap().job.id, claim(catalog).await.unwrap().job.id];
        taken.sort();
        assert_eq!(taken, [waits.id, runs.id], "neither its time nor its lease is believed");
        assert!(claim(catalog).await.is_none());
    }

    async fn only_restores_keep_their_tables_when_they_have_ended(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await.id;
        for (kind, kept) in [(JobKind::Backup, false), (JobKind::Restore, true)] {
            let job = enqueue(catalog, &NewJob::of(kind, cluster)).await;
            let lease = claim(catalog).await.unwrap().lease;
            let told = json!({"fraction": 1.0, "tables": [{"table": "orders"}]});
            catalog.heartbeat(&lease, Some(&told)).await.unwrap();
            finish(catalog, &lease, &well()).await.unwrap();
            let progress = catalog.job(job.id).await.unwrap().progress.unwrap();
            assert_eq!(progress["fraction"], json!(1.0));
            assert_eq!(progress.get("tables").is_some(), kept, "{kind}");
        }
    }

    async fn a_second_job_is_not_made_while_the_first_is_open(test: Test) {
        let cluster = test.cluster("ledger").await.id;
        let replica = test.replica().await;
        let slot = |slot: &str| NewJob {
            slot: Some(slot.into()),
            open_as: Some(format!("backup/{cluster}")),
            ..NewJob::of(JobKind::Backup, cluster)
        };
        let enqueue = async |catalog: &Catalog, slot: NewJob| {
            let mut write = catalog.begin().await.unwrap();
            let enqueued = write.enqueue(&slot).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            write.commit().await.unwrap();
            enqueued
        };
        // Two slots at once: whoever is first, there is one job.
        let (a, b) = tokio::join!(
            enqueue(&test.catalog, slot("1")),
            enqueue(&replica, slot("2"))
        );
        assert_ne!(a.is_new, b.is_new);
        assert_eq!(a.job.id, b.job.id);
        let lease = claim(&test.catalog).await.unwrap().lease;
        let third = enqueue(&replica, slot("3")).await;
        assert!(!third.is_new && third.job.id == a.job.id, "a running one is open, too");
        finish(&test.catalog, &lease, &well()).await.unwrap();
        assert!(enqueue(&replica, slot("3")).await.is_new);
    }

    async fn a_slot_becomes_a_job_once(test: Test) {
        let cluster = test.cluster("ledger").await.id;
        let replica = test.replica().await;
        let new =
            NewJob { slot: Some("2026-11-22T14".into()), ..NewJob::of(JobKind::Backup, cluster) };
        let enqueue = async |catalog: &Catalog| {
            let mut write = catalog.begin().await.unwrap();
            let enqueued = write.enqueue(&new).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            write.commit().await.unwrap();
            enqueued
        };
        let (a, b, c) =
            tokio::join!(enqueue(&test.catalog), enqueue(&replica), enqueue(&test.catalog));
        assert_eq!([&a, &b, &c].iter().filter(|enqueued| enqueued.is_new).count(), 1);
        assert!(a.job.id == b.job.id && b.job.id == c.job.id);
        // Also when that job has ended.
        let lease = claim(&test.catalog).await.unwrap().lease;
        finish(&test.catalog, &lease, &well()).await.unwrap();
        assert!(!enqueue(&replica).await.is_new);
        assert!(claim(&test.catalog).await.is_none());
    }

    async fn a_lease_that_is_over_is_taken_by_another(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await;
        let location = test.location("here").await;
        enqueue(catalog, &NewJob::of(JobKind::Backup, cluster.id)).await;
        let old = claim(catalog).await.unwrap().lease;
        test.clock.advance(seconds(29));
        assert!(claim(catalog).await.is_none());
        test.clock.advance(seconds(1));
        let new = claim(catalog).await.unwrap();
        assert_eq!((new.lease.generation, new.job.attempts), (2, 2));

        // Nothing that the old holder writes is written.
        assert!(is_lost(catalog.heartbeat(&old, Some(&json!("old"))).await));
        assert!(is_lost(finish(catalog, &old, &well()).await));
        let backup = a_backup(&cluster, &location, catalog.now());
        let mut write = catalog.begin().await.unwrap();
        assert!(is_lost(write.record_backup(&backup, Some(&old)).await));
        drop(write);
        let mut write = catalog.begin().await.unwrap();
        assert!(is_lost(write.retry_job(&old, catalog.now(), &failure("x", "x")).await));
        assert!(is_lost(write.release_job(&old).await));
        drop(write);

        // The backup and the end of its job are one.
        let mut write = catalog.begin().await.unwrap();
        let recorded = write.record_backup(&backup, Some(&new.lease)).await.unwrap();
        write.finish_job(&new.lease, &well()).await.unwrap();
        drop(write);
        assert!(catalog.backup(recorded.id).await.is_err());
        assert_eq!(catalog.job(new.job.id).await.unwrap().state, JobState::Running);
    }

    async fn a_late_heartbeat_keeps_a_job_that_nobody_took(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await.id;
        enqueue(catalog, &NewJob::of(JobKind::Backup, cluster)).await;
        let lease = claim(catalog).await.unwrap().lease;
        test.clock.advance(hours(1));
        catalog.heartbeat(&lease, None).await.unwrap();
        assert!(claim(catalog).await.is_none());
    }

    async fn one_backup_of_a_cluster_runs_at_a_time(test: Test) {
        let catalog = &test.catalog;
        let (a, b) = (test.cluster("a").await.id, test.cluster("b").await.id);
        for cluster in [a, a, b] {
            enqueue(catalog, &NewJob::of(JobKind::Backup, cluster)).await;
            test.clock.advance(seconds(1));
        }
        enqueue(catalog, &NewJob::of(JobKind::Restore, a)).await;
        let claimed = [claim(catalog).await, claim(catalog).await, claim(catalog).await];
        let taken: Vec<_> =
            claimed.iter().flatten().map(|c| (c.job.kind, c.job.cluster.unwrap())).collect();
        assert_eq!(taken, [(JobKind::Restore, a), (JobKind::Backup, a), (JobKind::Backup, b)]);
        assert!(claim(catalog).await.is_none());
        let first = claimed[1].as_ref().unwrap();
        finish(catalog, &first.lease, &well()).await.unwrap();
        assert_eq!(claim(catalog).await.unwrap().job.cluster, Some(a));
    }

    async fn only_wanted_kinds_are_claimed_when_their_time_has_come(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await.id;
        let later = NewJob {
            not_before: Some(catalog.now() + seconds(10)),
            ..NewJob::of(JobKind::Backup, cluster)
        };
        enqueue(catalog, &later).await;
        assert!(claim(catalog).await.is_none());
        test.clock.advance(seconds(10));
        assert!(catalog.claim("w", &[JobKind::Prune], seconds(1)).await.unwrap().is_none());
        assert!(claim(catalog).await.is_some());
    }

    async fn cancelling_asks_the_holder(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await.id;
        let cancel = async |id: JobId| {
            let mut write = catalog.begin().await?;
            let job = write.cancel_job(id).await?;
            write.commit().await.map(|()| job)
        };
        let waiting = enqueue(catalog, &NewJob::of(JobKind::Backup, cluster)).await;
        let canceled = cancel(waiting.id).await.unwrap();
        assert_eq!(
            (canceled.state, canceled.finished_at),
            (JobState::Canceled, Some(catalog.now()))
        );
        assert!(claim(catalog).await.is_none());
        let error = cancel(waiting.id).await.unwrap_err();
        assert!(error.to_string().contains("job with status canceled cannot be"), "{error}");
        assert!(matches!(cancel(JobId::new()).await, Err(CatalogError::NotFound { .. })));

        // The holder dies; whoever takes the job over learns of it.
        let running = enqueue(catalog, &NewJob::of(JobKind::Backup, cluster)).await;
        let lease = claim(catalog).await.unwrap().lease;
        assert_eq!(cancel(running.id).await.unwrap().state, JobState::Running);
        assert!(catalog.heartbeat(&lease, None).await.unwrap().cancel_requested);
        test.clock.advance(hours(1));
        let taken = claim(catalog).await.unwrap();
        assert!(taken.job.cancel_requested_at.is_some());
        let ended = finish(catalog, &taken.lease, &Ending::Canceled).await.unwrap();
        assert_eq!(ended.state, JobState::Canceled);
    }

    async fn a_job_is_given_back(test: Test) {
        let catalog = &test.catalog;
        let cluster = test.cluster("ledger").await.id;
        let job = enqueue(catalog, &NewJob::of(JobKind::Backup, cluster)).await;
        let lease = claim(catalog).await.unwrap().lease;
        let mut write = catalog.begin().await.unwrap();
        let at = catalog.now() + seconds(60);
        let waiting = write.retry_job(&lease, at, &failure("unreachable", "nobody answers")).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!((waiting.state, waiting.not_before), (JobState::Pending, at));
        assert_eq!(waiting.error.unwrap().code, "unreachable");
        assert!(claim(catalog).await.is_none());
        test.clock.advance(seconds(60));
        let again = claim(catalog).await.unwrap();
        assert_eq!((again.job.attempts, again.lease.generation), (2, 2));

        // A shutdown does not count; and what is wished to stop, stops.
        let mut write = catalog.begin().await.unwrap();
        let released = write.release_job(&again.lease).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!((released.state, released.attempts), (JobState::Pending, 1));
        let last = claim(catalog).await.unwrap();
        let mut write = catalog.begin().await.unwrap();
        write.cancel_job(job.id).await.unwrap();
        let canceled = write.retry_job(&last.lease, at, &failure("x", "x")).await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(
            (canceled.state, canceled.finished_at),
            (JobState::Canceled, Some(catalog.now()))
        );
    }

    async fn a_backup_that_a_job_builds_on_stays(test: Test) {
        let catalog = &test.catalog;
        let (cluster, location) = (test.cluster("ledger").await, test.location("here").await);
        let parent = test.backup(&cluster, &location, catalog.now()).await;
        enqueue(catalog, &NewJob::of(JobKind::Backup, cluster.id)).await;
        let lease = claim(catalog).await.unwrap().lease;
        let mut write = catalog.begin().await.unwrap();
        assert_eq!(write.build_on(&lease, parent.id).await.unwrap(), parent);
        write.commit().await.unwrap();
        let mut write = catalog.begin().await.unwrap();
        assert!(write.retire_backup(parent.id).await.is_err());
        drop(write);
        finish(catalog, &lease, &well()).await.unwrap();
        let mut write = catalog.begin().await.unwrap();
        assert!(write.retire_backup(parent.id).await.is_ok());
    }

    async fn old_jobs_are_forgotten_but_the_newest_of_each_cluster(test: Test) {
        let catalog = &test.catalog;
        let (a, b) = (test.cluster("a").await.id, test.cluster("b").await.id);
        for (cluster, slot) in
            [(a, Some("1")), (a, Some("2")), (a, None), (b, Some("3")), (b, None)]
        {
            let new =
                NewJob { slot: slot.map(str::to_owned), ..NewJob::of(JobKind::Backup, cluster) };
            enqueue(catalog, &new).await;
            let lease = claim(catalog).await.unwrap().lease;
            finish(catalog, &lease, &well()).await.unwrap();
            test.clock.advance(seconds(1));
        }
        enqueue(catalog, &NewJob::of(JobKind::Backup, a)).await;
        let mut write = catalog.begin().await.unwrap();
        assert_eq!(write.forget_jobs(ANY, catalog.now() - hours(1)).await.unwrap(), 0);
        assert_eq!(write.forget_jobs(&[JobKind::Prune], catalog.now()).await.unwrap(), 0);
        // Of a: slot 1, and the one without a slot, which is not the newest any more.
        assert_eq!(write.forget_jobs(ANY, catalog.now() + hours(1)).await.unwrap(), 2);
        write.commit().await.unwrap();
        assert!(catalog.job_of_slot("1").await.unwrap().is_none());
        for slot in ["2", "3"] {
            assert!(catalog.job_of_slot(slot).await.unwrap().is_some(), "slot {slot}");
        }
        let filter = JobFilter { states: vec![JobState::Succeeded], ..JobFilter::default() };
        assert_eq!(catalog.jobs(&filter, &Page::default()).await.unwrap().items.len(), 3);
        let filter = JobFilter { cluster: Some(b), kinds: vec![JobKind::Backup], ..filter };
        assert_eq!(catalog.jobs(&filter, &Page::default()).await.unwrap().items.len(), 2);
    }

    // Two replicas with four workers each, some of which die: no job is run twice at one
    // generation, no two backups of a cluster run at once, and in the end every job has ended.
    async fn workers_of_several_replicas_share_the_work(test: Test) {
        const JOBS: usize = 60;
        let mut clusters = Vec::new();
        for number in 0..5 {
            clusters.push(test.cluster(&number.to_string()).await.id);
        }
        for number in 0..JOBS {
            enqueue(&test.catalog, &NewJob::of(JobKind::Backup, clusters[number % 5])).await;
        }
        #[derive(Default)]
        struct Seen {
            claims: HashSet<(JobId, i64)>,
            running: HashMap<ClusterId, JobId>,
            ended: usize,
            deaths: usize,
        }
        let seen = Arc::new(Mutex::new(Seen::default()));
        let replicas = [test.catalog.clone(), test.replica().await];
        let mut workers = Vec::new();
        for number in 0..8 {
            let (catalog, seen) = (replicas[number % 2].clone(), seen.clone());
            let clock = test.clock.clone();
            workers.push(tokio::spawn(async move {
                let name = format!("worker-{number}");
                loop {
                    let claimed = catalog.claim(&name, ANY, seconds(30)).await.unwrap();
                    let Some(Claimed { job, lease }) = claimed else {
                        if seen.lock().unwrap().ended == JOBS {
                            return;
                        }
                        // Nothing is due: time goes by, and leases of the dead end.
                        clock.advance(seconds(1));
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        continue;
                    };
                    let cluster = job.cluster.unwrap();
                    let dies = {
                        let mut seen = seen.lock().unwrap();
                        assert!(seen.claims.insert((job.id, lease.generation)), "run twice");
                        let before = seen.running.insert(cluster, job.id);
                        assert!(before.is_none_or(|before| before == job.id), "two at once");
                        let dies = seen.deaths < 10 && seen.claims.len() % 5 == 0;
                        seen.deaths += usize::from(dies);
                        dies
                    };
                    tokio::task::yield_now().await;
                    if dies {
                        continue;
                    }
                    if is_lost(catalog.heartbeat(&lease, None).await) {
                        continue;
                    }
                    // Before the end is written, since another one may begin right after it.
                    let held = seen.lock().unwrap().running.remove(&cluster);
                    match finish(&catalog, &lease, &Ending::Succeeded(Value::Null)).await {
                        Ok(_) => seen.lock().unwrap().ended += 1,
                        Err(CatalogError::LeaseLost { .. }) => {
                            if let Some(held) = held {
                                seen.lock().unwrap().running.entry(cluster).or_insert(held);
                            }
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }));
        }
        for worker in workers {
            tokio::time::timeout(Duration::from_secs(120), worker).await.unwrap().unwrap();
        }
        let filter = JobFilter { states: vec![JobState::Succeeded], ..JobFilter::default() };
        let ended = test.catalog.jobs(&filter, &Page::default()).await.unwrap().items;
        assert_eq!(ended.len(), JOBS);
        let seen = seen.lock().unwrap();
        assert_eq!((seen.ended, seen.deaths), (JOBS, 10));
        let generations: i64 = ended.iter().map(|job| job.generation).sum();
        assert_eq!(generations as usize, seen.claims.len(), "every claim was seen");
    }
}
