//! A backup job: the engine takes it, the catalog learns of it.
//!
//! What exists, the storage decides: a backup is there when its manifest is. Between that moment and
//! the row in the catalog the process may die, so a job that was begun before looks first:
//!
//! | the last holder died | what is found | what is done |
//! |---|---|---|
//! | before its claim in the storage | nothing | the backup is taken |
//! | before the manifest | a folder that its job claimed | it is discarded, behind a tombstone; the backup is taken |
//! | after the manifest | a complete backup of this job | it is recorded |
//! | after the row | the job has ended: both are one transaction | |
//!
//! The same is asked when the engine ends with an error after the backup was let through to its
//! manifest: then nobody knows without looking whether that was written. If even looking fails, the
//! next holder looks.
//!
//! A last holder that did not die but sleeps can not come in between. Right before its manifest it
//! asks the catalog whether the job is still its own ([`Gate`]). If it is, its claim is in the storage
//! already, and whoever takes over finds that: it buries the folder, and the manifest is refused; or
//! the manifest came first, and is found.
//!
//! An incremental builds on the newest backup. The job says so in the catalog, so that no prune takes
//! that one off the lists meanwhile. The engine itself chooses, by what lies in the storage, and keeps
//! prunes away there: a guess that is wrong here costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde_json::json;
use strongroom_catalog::backups::{Backup, NewBackup};
use strongroom_catalog::clusters::{Cluster, ClusterChange, Engine};
use strongroom_catalog::jobs::Ending;
use strongroom_catalog::{CatalogError, ClusterId, LocationId};
use strongroom_dataplane::backup::{self, BackupOptions, Gate, ManagedOptions};
use strongroom_dataplane::store::Store;
use strongroom_dataplane::{collection, prune};
use strongroom_format::manifest::{BackupType, Manifest};
use tracing::{info, warn};

use super::{Done, Running, progress};
use crate::app::collection::{Collection, as_recorded};
use crate::{Error, Kind, Result, cadence, failpoint};

/// The zstd level of scheduled backups.
const LEVEL: i32 = 1;
/// How long reading one database may take.
const READ_POINT_LIMIT: std::time::Duration = std::time::Duration::from_secs(12 * 3600);
/// How long noting a finished backup is tried, and looking whether it is finished.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Runs a backup job.
pub(super) async fn run(running: &Running) -> Result<Done> {
    let Running { app, job, .. } = running;
    let cluster = job.cluster.ok_or_else(|| Error::invalid("a backup job without a cluster"))?;
    let cluster = app.catalog().cluster(cluster).await?;
    let location = cluster.location.or(job.location).ok_or_else(|| {
        Error::precondition(format!("cluster {} has no storage location", cluster.name))
            .hint("make a storage location in the cluster's region")
    })?;
    if job.location != Some(location) {
        // It was changed right before the job was made. While a job is open it stays.
        let mut write = app.catalog().begin().await?;
        write.relocate_job(&running.lease, location).await?;
        write.commit().await?;
    }
    let collection = app.collection_to_fill(location, &cluster).await?;
    let job_id = job.id.to_string();
    if job.generation > 1 {
        let discarded = prune::discard(&collection.store, &job_id).await?;
        for id in &discarded.unfinished {
            warn!(backup = %id, "what the last holder of this job left is discarded");
        }
        if let Some(manifest) = collection::find_by_job(&collection.store, &job_id).await? {
            info!(backup = %manifest.id, "the last holder of this job had finished it");
            return record(running, cluster.id, location, &manifest).await;
        }
    }
    running.stop_if_wished()?;
    running.check_attempts()?;
    if cluster.engine != Engine::Postgres {
        let message = format!("clusters of the engine {} are not backed up yet", cluster.engine);
        return Err(Error::new(Kind::Unsupported, message));
    }
    let incremental = job.payload["type"] == BackupType::Incremental.name();
    let parent = match incremental {
        true => build_on_newest(running, &cluster).await?,
        false => None,
    };
    let passed = Arc::new(AtomicBool::new(false));
    let gate = gate(running, passed.clone());
    let options =
        options(running, &cluster, &collection, incremental, parent.as_ref(), gate).await?;
    let told = progress::listen(&running.progress);
    let error = match backup::run(&options, &collection.store, &told, &running.cancel).await {
        Ok(manifest) => return record(running, cluster.id, location, &manifest).await,
        Err(error) if !passed.load(Ordering::Relaxed) => return Err(error.into()),
        Err(error) => Error::from(error),
    };
    match find_complete(running, &collection.store).await {
        Ok(Some(manifest)) => {
            warn!(error = %error, "the backup is complete in spite of this error");
            record(running, cluster.id, location, &manifest).await
        }
        Ok(None) => Err(error),
        Err(unknown) => {
            warn!(error = %error, unknown = %unknown, "whether the backup is complete is not known");
            Ok(Done::NotNoted)
        }
    }
}

/// The complete backup of this job, if there is one. Asked patiently, since it may be the store's
/// failure that made it necessary to ask.
async fn find_complete(running: &Running, store: &Store) -> Result<Option<Manifest>> {
    let begun = std::time::Instant::now();
    let job_id = running.job.id.to_string();
    loop {
        match collection::find_by_job(store, &job_id).await.map_err(Error::from) {
            Err(error) if error.may_pass() && begun.elapsed() < PATIENCE => {
                if running.cancel.is_cancelled() {
                    return Err(error);
                }
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            found => return found,
        }
    }
}

/// Lets a backup through to its manifest if the job is still this holder's, and notes that.
fn gate(running: &Running, passed: Arc<AtomicBool>) -> Gate {
    let running = running.clone();
    Gate::new(move || {
        let (running, passed) = (running.clone(), passed.clone());
        async move {
            running.still_held().await.map_err(|error| {
                let kind = match error {
                    CatalogError::LeaseLost { .. } => strongroom_dataplane::Kind::Failed,
                    _ => strongroom_dataplane::Kind::Unreachable,
                };
                let message = "the catalog does not confirm that this job is still ours";
                strongroom_dataplane::Error::new(kind, message).caused_by(error)
            })?;
            passed.store(true, Ordering::Relaxed);
            Ok(())
        }
    })
}

/// Keeps the newest backup on the lists for as long as the job runs.
async fn build_on_newest(running: &Running, cluster: &Cluster) -> Result<Option<Backup>> {
    let Running { app, lease, .. } = running;
    let Some(newest) = app.catalog().latest_backup(cluster.id, None).await? else {
        return Ok(None);
    };
    let mut write = app.catalog().begin().await?;
    let kept = match write.build_on(lease, newest.id).await {
        Ok(kept) => kept,
        // It was taken off the lists just now; the engine finds what there is.
        Err(CatalogError::Conflict { .. } | CatalogError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    write.commit().await?;
    Ok(Some(kept))
}

async fn options(
    running: &Running,
    cluster: &Cluster,
    collection: &Collection,
    incremental: bool,
    parent: Option<&Backup>,
    gate: Gate,
) -> Result<BackupOptions> {
    let Running { app, job, .. } = running;
    let catalog = app.catalog();
    let retention = match catalog.backup_settings(cluster.id).await {
        Ok(settings) => settings.retention_days,
        Err(CatalogError::NotFound { .. }) => cadence::DEFAULT_RETENTION,
        Err(error) => return Err(error.into()),
    };
    let full_expires = match parent {
        Some(parent) => full_of(running, parent).await?.and_then(|full| full.expires_at),
        None => None,
    };
    let now = app.now();
    let expires = |kind, full: Option<Timestamp>| {
        cadence::expires_at(cluster.plan, kind, retention, now, full)
    };
    let incrementals_follow = incremental || !cluster.plan.is_serverless();
    let server = app.server_of(cluster.id).await?;
    Ok(BackupOptions {
        from: server,
        databases: Vec::new(),
        tables: Vec::new(),
        workers: app.config().connections,
        secret: collection.secret.clone(),
        level: LEVEL,
        read_point_limit: READ_POINT_LIMIT,
        incremental,
        detector: None,
        managed: Some(ManagedOptions {
            cluster_id: cluster.id.to_string(),
            cluster_name: cluster.name.clone(),
            plan: cluster.plan.to_string(),
            job_id: job.id.to_string(),
            full_expires_at: Some(expires(BackupType::Full, None)),
            incremental_expires_at: incrementals_follow
                .then(|| expires(BackupType::Incremental, full_expires)),
        }),
        now: catalog.simulated_now(),
        gate,
    })
}

/// The full backup of the chain that a backup is in.
async fn full_of(running: &Running, backup: &Backup) -> Result<Option<Backup>> {
    if backup.kind == BackupType::Full {
        return Ok(Some(backup.clone()));
    }
    let chain = running.app.catalog().chain(backup.cluster, backup.full).await?;
    Ok(chain.into_iter().find(|other| other.engine_id == backup.full))
}

/// Notes a complete backup, and that its job has ended well, in one transaction. The backup is there
/// whatever becomes of that: while the catalog is away it is tried again, and then left to the next
/// holder.
async fn record(
    running: &Running,
    cluster: ClusterId,
    location: LocationId,
    manifest: &Manifest,
) -> Result<Done> {
    running.tell().await;
    let begun = std::time::Instant::now();
    let row = as_recorded(manifest, cluster, location, None);
    loop {
        let noted = async {
            failpoint::pass("service.before-record")?;
            note(running, &row, manifest).await?;
            failpoint::pass("service.after-record")
        };
        match noted.await {
            Ok(()) => return Ok(Done::Ended),
            Err(error) if error.may_pass() && begun.elapsed() < PATIENCE => {
                warn!(error = %error, "the backup is complete, and can not be noted now");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            Err(error) => {
                warn!(error = %error, "the backup is complete, and is not noted");
                return Ok(Done::NotNoted);
            }
        }
    }
}

async fn note(running: &Running, row: &NewBackup, manifest: &Manifest) -> Result<()> {
    let Running { app, job, lease, .. } = running;
    let mut write = app.catalog().begin().await?;
    let backup = write.record_backup(row, Some(lease)).await?;
    let result = json!({
        "backup_id": backup.id,
        "engine_id": manifest.id,
        "type": manifest.kind.name(),
        "full_because": manifest.full_because,
        "size_bytes": manifest.size_bytes,
        "stored_bytes": manifest.stored_bytes,
        "rows": manifest.rows,
    });
    // Only of what this holder has read: the URL may have been changed since an earlier one did.
    let cluster = app.catalog().cluster(row.cluster).await?;
    let upgraded = upgraded(&cluster, manifest)
        .filter(|_| job.generation == 1 && cluster.updated_at <= manifest.data_from);
    if let Some(upgraded) = upgraded {
        info!(version = manifest.source.version, "the server has another version now");
        write.change_cluster(row.cluster, &upgraded).await?;
    }
    write.finish_job(lease, &Ending::Succeeded(result)).await?;
    write.commit().await?;
    info!(backup = %manifest.id, kind = manifest.kind.name(), job = %job.id, "backup is complete");
    Ok(())
}

/// What has changed of a cluster's server since it was looked at: an upgrade gives it another version,
/// and `pg_upgrade` another identity.
fn upgraded(cluster: &Cluster, manifest: &Manifest) -> Option<ClusterChange> {
    let source = &manifest.source;
    let identifier = Some(source.system_identifier.clone()).filter(|text| !text.is_empty());
    let same = cluster.server_version.as_deref() == Some(source.version.as_str())
        && (identifier.is_none() || cluster.system_identifier == identifier);
    (!same && cluster.deleted_at.is_none()).then(|| ClusterChange {
        server: Some((source.version.clone(), identifier)),
        ..ClusterChange::default()
    })
}
