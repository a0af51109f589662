//! Random interleavings of several workers, compared with a model of the rules.
//!
//! The model is the essay of `jobs.rs` in a few lines of Rust. Every claim, refusal and state of
//! the catalog must be what it says. All leases that were ever given out are tried again and again,
//! since the old ones are what fencing is about.

use std::collections::HashSet;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use strongroom_catalog::jobs::{Ending, JobKind, JobState, Lease, NewJob};
use strongroom_catalog::{CatalogError, ClusterId, Dialect, JobId, Result};

use crate::support::{Test, block_on, failure, seconds};

#[derive(Clone, Debug)]
enum Step {
    Enqueue { cluster: usize, kind: usize, slot: Option<u8>, delay: i64 },
    Claim { length: i64 },
    Heartbeat { lease: usize },
    Finish { lease: usize, ending: u8 },
    Retry { lease: usize, delay: i64 },
    Release { lease: usize },
    Cancel { job: usize },
    Pass { time: i64 },
}

const KINDS: [JobKind; 3] = [JobKind::Backup, JobKind::Restore, JobKind::Alert];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2usize, 0..3usize, prop::option::of(0..4u8), 0..20i64)
            .prop_map(|(cluster, kind, slot, delay)| Step::Enqueue { cluster, kind, slot, delay }),
        6 => (1..30i64).prop_map(|length| Step::Claim { length }),
        3 => (0..64usize).prop_map(|lease| Step::Heartbeat { lease }),
        3 => (0..64usize, 0..3u8).prop_map(|(lease, ending)| Step::Finish { lease, ending }),
        2 => (0..64usize, 0..20i64).prop_map(|(lease, delay)| Step::Retry { lease, delay }),
        1 => (0..64usize).prop_map(|lease| Step::Release { lease }),
        2 => (0..64usize).prop_map(|job| Step::Cancel { job }),
        4 => (0..30i64).prop_map(|time| Step::Pass { time }),
    ]
}

#[derive(Clone, Debug)]
struct Known {
    id: JobId,
    kind: JobKind,
    alone: Option<(JobKind, usize)>,
    slot: Option<u8>,
    state: JobState,
    not_before: Timestamp,
    lease_until: Timestamp,
    generation: i64,
    attempts: i64,
    canceled: bool,
}

#[derive(Default)]
struct Model {
    jobs: Vec<Known>,
    leases: Vec<Lease>,
    claims: HashSet<(JobId, i64)>,
}

impl Model {
    fn due(&self, now: Timestamp) -> Option<usize> {
        let taken = |job: &Known| {
            let running = |other: &&Known| other.state == JobState::Running;
            self.jobs.iter().filter(running).any(|other| other.alone == job.alone)
        };
        let due = |job: &&Known| match job.state {
            JobState::Running => job.lease_until <= now,
            JobState::Pending => job.not_before <= now && (job.alone.is_none() || !taken(job)),
            _ => false,
        };
        let order = |job: &&Known| (job.kind == JobKind::Backup, job.not_before, job.id);
        let first = self.jobs.iter().filter(due).min_by_key(order)?;
        self.position(first.id)
    }

    fn position(&self, id: JobId) -> Option<usize> {
        self.jobs.iter().position(|job| job.id == id)
    }

    /// The job of a lease, if that still holds.
    fn held(&mut self, lease: &Lease) -> Option<&mut Known> {
        self.jobs.iter_mut().find(|job| {
            (job.id, job.generation, job.state) == (lease.job, lease.generation, JobState::Running)
        })
    }
}

fn pick<T: Clone>(items: &[T], index: usize) -> Option<T> {
    (!items.is_empty()).then(|| items[index % items.len()].clone())
}

/// What was refused must have been refused for the reason that the model gives.
fn agree<T: std::fmt::Debug>(result: Result<T>, expected: bool, step: &Step) -> Option<T> {
    match result {
        Ok(value) if expected => Some(value),
        Err(CatalogError::LeaseLost { .. } | CatalogError::Conflict { .. }) if !expected => None,
        other => panic!("{step:?}: {other:?}, and success was expected: {expected}"),
    }
}

async fn interleave(test: &Test, clusters: &[ClusterId; 2], round: usize, steps: &[Step]) {
    let replica = &test.catalog;
    let mut model = Model::default();
    for step in steps {
        let now = replica.now();
        match step {
            Step::Enqueue { cluster, kind, slot, delay } => {
                let kind = KINDS[*kind];
                let new = NewJob {
                    slot: slot.map(|slot| format!("{round}/{slot}")),
                    not_before: Some(now + seconds(*delay)),
                    ..NewJob::of(kind, clusters[*cluster])
                };
                let mut write = replica.begin().await.unwrap();
                let enqueued = write.enqueue(&new).await.unwrap();
                write.commit().await.unwrap();
                let known = model.jobs.iter().find(|job| slot.is_some() && job.slot == *slot);
                assert_eq!(enqueued.is_new, known.is_none(), "{step:?}");
                if let Some(known) = known {
                    assert_eq!(enqueued.job.id, known.id);
                    continue;
                }
                model.jobs.push(Known {
                    id: enqueued.job.id,
                    kind,
                    alone: (kind != JobKind::Alert).then_some((kind, *cluster)),
                    slot: *slot,
                    state: JobState::Pending,
                    not_before: now + seconds(*delay),
                    lease_until: now,
                    generation: 0,
                    attempts: 0,
                    canceled: false,
                });
            }
            Step::Claim { length } => {
                let claimed = replica.claim("w", &KINDS, seconds(*length)).await.unwrap();
                let due = model.due(now);
                assert_eq!(claimed.as_ref().map(|c| c.job.id), due.map(|due| model.jobs[due].id));
                let (Some(claimed), Some(due)) = (claimed, due) else { continue };
                let known = &mut model.jobs[due];
                known.state = JobState::Running;
                known.generation += 1;
                known.attempts += 1;
                known.lease_until = now + seconds(*length);
                assert_eq!(claimed.lease.generation, known.generation);
                assert_eq!(claimed.job.cancel_requested_at.is_some(), known.canceled);
                let claim = (claimed.job.id, claimed.lease.generation);
                assert!(model.claims.insert(claim), "claimed twice at one generation");
                model.leases.push(claimed.lease);
            }
            Step::Heartbeat { lease } => {
                let Some(lease) = pick(&model.leases, *lease) else { continue };
                let held = model.held(&lease);
                let beat = replica.heartbeat(&lease, None).await;
                if let (Some(beat), Some(held)) = (agree(beat, held.is_some(), step), held) {
                    held.lease_until = now + lease.length;
                    assert_eq!(beat.cancel_requested, held.canceled);
                }
            }
            Step::Finish { lease, ending } => {
                let Some(lease) = pick(&model.leases, *lease) else { continue };
                let (ending, state) = match ending {
                    0 => (Ending::Succeeded(Value::Null), JobState::Succeeded),
                    1 => (Ending::Failed(failure("x", "x")), JobState::Failed),
                    _ => (Ending::Canceled, JobState::Canceled),
                };
                let held = model.held(&lease);
                let mut write = replica.begin().await.unwrap();
                let ended = write.finish_job(&lease, &ending).await;
                write.commit().await.unwrap();
                if let (Some(_), Some(held)) = (agree(ended, held.is_some(), step), held) {
                    held.state = state;
                }
            }
            Step::Retry { lease, .. } | Step::Release { lease } => {
                let Some(lease) = pick(&model.leases, *lease) else { continue };
                let held = model.held(&lease);
                let mut write = replica.begin().await.unwrap();
                let given = match step {
                    Step::Retry { delay, .. } => {
                        write.retry_job(&lease, now + seconds(*delay), &failure("x", "x")).await
                    }
                    _ => write.release_job(&lease).await,
                };
                write.commit().await.unwrap();
                if let (Some(_), Some(held)) = (agree(given, held.is_some(), step), held) {
                    let ends = held.canceled && held.kind != JobKind::Restore;
                    held.state = if ends { JobState::Canceled } else { JobState::Pending };
                    match step {
                        Step::Retry { delay, .. } => held.not_before = now + seconds(*delay),
                        _ => held.attempts -= 1,
                    }
                }
            }
            Step::Cancel { job } => {
                let Some(known) = pick(&model.jobs, *job) else { continue };
                let mut write = replica.begin().await.unwrap();
                let canceled = write.cancel_job(known.id).await;
                write.commit().await.unwrap();
                if agree(canceled, !known.state.has_ended(), step).is_some() {
                    let position = model.position(known.id).unwrap();
                    let known = &mut model.jobs[position];
                    known.canceled = true;
                    if known.state == JobState::Pending {
                        known.not_before = now;
                        let began = known.kind == JobKind::Restore && known.generation > 0;
                        known.state = if began { JobState::Pending } else { JobState::Canceled };
                    }
                }
            }
            Step::Pass { time } => test.clock.advance(seconds(*time)),
        }
    }
    for known in &model.jobs {
        let job = replica.job(known.id).await.unwrap();
        assert_eq!(
            (job.state, job.generation, job.attempts, job.cancel_requested_at.is_some()),
            (known.state, known.generation, known.attempts, known.canceled),
        );
    }

    // Nothing is lost: workers that do not die bring every job to an end.
    test.clock.advance(seconds(1000));
    while let Some(claimed) = replica.claim("last", &KINDS, seconds(1)).await.unwrap() {
        let claim = (claimed.job.id, claimed.lease.generation);
        assert!(model.claims.insert(claim), "claimed twice at one generation");
        let mut write = replica.begin().await.unwrap();
        write.finish_job(&claimed.lease, &Ending::Succeeded(Value::Null)).await.unwrap();
        write.commit().await.unwrap();
    }
    for known in &model.jobs {
        assert!(replica.job(known.id).await.unwrap().state.has_ended(), "{known:?} is lost");
    }
}

fn runs(dialect: Dialect, cases: u32) {
    let full = std::env::var_os("STRONGROOM_TEST_FULL").is_some();
    let cases = if full { cases * 20 } else { cases };
    block_on(async {
        let test = Test::new(dialect).await;
        let clusters = [test.cluster("a").await.id, test.cluster("b").await.id];
        let round = std::cell::Cell::new(0);
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let runtime = tokio::runtime::Handle::current();
        let ran = TestRunner::new(config).run(&prop::collection::vec(step(), 1..80), |steps| {
            round.set(round.get() + 1);
            let once = interleave(&test, &clusters, round.get(), &steps);
            tokio::task::block_in_place(|| runtime.block_on(once));
            Ok(())
        });
        if let Err(error) = ran {
            panic!("{error}");
        }
    });
}

#[test]
fn interleavings_follow_the_rules_on_sqlite() {
    runs(Dialect::Sqlite, 60);
}

#[test]
fn interleavings_follow_the_rules_on_postgres() {
    runs(Dialect::Postgres, 30);
}
