//! Figures for whoever watches the service, in the form that Prometheus reads.
//!
//! Two kinds. What the catalog knows (when a cluster was last backed up, how many jobs failed and why) is
//! asked of it whenever somebody reads the figures, so that several replicas say the same, and one that
//! was just started knows it too. What this process did (how long its jobs took) it counts itself, and
//! a sum over replicas is meant.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use metrics::{counter, gauge, histogram, with_local_recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use strongroom_catalog::clusters::ClusterFilter;
use strongroom_catalog::jobs::{Job, JobKind, JobState};
use strongroom_catalog::page::MAX_LIMIT;
use strongroom_catalog::{ClusterId, Page};

use crate::{App, Caller, Error, Kind, Permission, Result, cadence};

/// Upper bounds of the groups of durations, in seconds.
const BUCKETS: &[f64] =
    &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4.0 * 3600.0, 12.0 * 3600.0, 24.0 * 3600.0];
/// How long a job that has ended is counted. Jobs are kept for longer: all of them would be more than
/// can be counted whenever somebody asks.
const COUNTED: SignedDuration = SignedDuration::from_hours(24);
/// How long a worker may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// What this process counts.
pub(crate) struct Figures {
    recorder: Option<PrometheusRecorder>,
    /// When a worker was last seen alive.
    beat: Mutex<Option<Instant>>,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Figures {
    pub(crate) fn new() -> Self {
        let seconds = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, BUCKETS);
        let recorder = builder.ok().map(PrometheusBuilder::build_recorder);
        Figures { recorder, beat: Mutex::new(None) }
    }

    /// A worker lives.
    pub(crate) fn beats(&self) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// A job has ended in this process.
    pub(crate) fn ended(&self, job: &Job) {
        let Some(recorder) = &self.recorder else { return };
        let (Some(started), Some(finished)) = (job.started_at, job.finished_at) else { return };
        let seconds = finished.duration_since(started).as_secs_f64().max(0.0);
        let (kind, state) = (job.kind.to_string(), job.state.to_string());
        let moved = job.progress.as_ref().and_then(|told| told["bytes_done"].as_u64());
        with_local_recorder(recorder, || {
            histogram!("strongroom_job_duration_seconds", "kind" => kind.clone(), "state" => state)
                .record(seconds);
            counter!("strongroom_job_bytes_total", "kind" => kind).increment(moved.unwrap_or(0));
        });
    }
}

impl App {
    /// All figures, as Prometheus reads them. Nobody in particular is asked for.
    pub async fn figures(&self) -> Result<String> {
        let known = self.known_figures().await?;
        let own = self.own_figures().recorder.as_ref().map(|recorder| recorder.handle().render());
        Ok(own.unwrap_or_default() + &known)
    }

    /// As [`App::figures`], for somebody.
    pub async fn figures_for(&self, caller: &Caller) -> Result<String> {
        caller.require(Permission::ReadMetrics)?;
        self.figures().await
    }

    async fn known_figures(&self) -> Result<String> {
        let now = self.now();
        let names = self.cluster_names().await?;
        let schedules = self.catalog().schedules().await?;
        let sums = self.catalog().backup_sums().await?;
        let ended_since = now.saturating_sub(COUNTED).unwrap_or(now);
        let counts = self.catalog().job_counts(ended_since).await?;
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            for schedule in &schedules {
                let id = schedule.settings.cluster;
                let labels = [
                    ("cluster", names.get(&id).cloned().unwrap_or_default()),
                    ("cluster_id", id.to_string()),
                ];
                if let Some(last) = schedule.last_backup {
                    let age = now.duration_since(last).as_secs_f64();
                    gauge!("strongroom_backup_last_success_age_seconds", &labels).set(age);
                }
                if let Some(next) = cadence::next(schedule, now) {
                    let at = next.as_millisecond() as f64 / 1000.0;
                    gauge!("strongroom_backup_next_timestamp_seconds", &labels).set(at);
                }
                let missed = cadence::is_missed(schedule, now);
                gauge!("strongroom_backup_missed", &labels).set(f64::from(u8::from(missed)));
            }
            for sum in &sums {
                let labels = [
                    ("cluster", names.get(&sum.cluster).cloned().unwrap_or_default()),
                    ("cluster_id", sum.cluster.to_string()),
                ];
                gauge!("strongroom_backups", &labels).set(sum.backups as f64);
                gauge!("strongroom_backup_stored_bytes", &labels).set(sum.stored_bytes as f64);
                gauge!("strongroom_backup_size_bytes", &labels).set(sum.size_bytes as f64);
            }
            for kind in JobKind::ALL {
                for state in [JobState::Pending, JobState::Running] {
                    let of = |count: &&strongroom_catalog::jobs::JobCount| {
                        count.kind == *kind && count.state == state
                    };
                    let number: i64 = counts.iter().filter(of).map(|count| count.jobs).sum();
                    let labels = [("kind", kind.to_string()), ("state", state.to_string())];
                    gauge!("strongroom_jobs_open", &labels).set(number as f64);
                }
            }
            for count in counts.iter().filter(|count| count.state.has_ended()) {
                let mut labels =
                    vec![("kind", count.kind.to_string()), ("state", count.state.to_string())];
                if count.state == JobState::Failed {
                    labels.push(("code", count.code.clone().unwrap_or_default()));
                }
                gauge!("strongroom_jobs_ended", &labels).set(count.jobs as f64);
            }
        });
        Ok(recorder.handle().render())
    }

    async fn cluster_names(&self) -> Result<HashMap<ClusterId, String>> {
        let filter = ClusterFilter { inactive: true, ..ClusterFilter::default() };
        let (mut names, mut page) = (HashMap::new(), Some(Page::first(MAX_LIMIT)));
        while let Some(at) = page {
            let listed = self.catalog().clusters(&filter, &at).await?;
            page = listed.next_page();
            names.extend(listed.items.into_iter().map(|cluster| (cluster.id, cluster.name)));
        }
        Ok(names)
    }

    /// Whether this process can do its work: the catalog answers, the master key opens what is sealed
    /// in it, and a worker is alive. An error says which does not.
    pub async fn ready(&self) -> Result<()> {
        let not = |what: &str| Error::new(Kind::Unavailable, what.to_owned());
        let catalog = self.catalog();
        catalog
            .ping()
            .await
            .map_err(|error| not("the catalog does not answer").caused_by(error))?;
        let locations = catalog.locations(None, &Page::first(1)).await?;
        if let Some(location) = locations.items.first() {
            catalog.location_secrets(location.id).await.map_err(|error| {
                not("the master key does not open the catalog's secrets").caused_by(error)
            })?;
        }
        if self.config().workers == 0 {
            return Ok(());
        }
        let beat = *self.own_figures().beat.lock().unwrap_or_else(PoisonError::into_inner);
        match beat {
            Some(beat) if beat.elapsed() < SILENCE => Ok(()),
            Some(_) => Err(not("the workers of this process have said nothing for a minute")),
            None => Err(not("no worker of this process has begun yet")),
        }
    }
}
