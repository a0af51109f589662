//! Where a cluster's backups lie, and opening one.
//!
//! Each cluster has a collection of its own in a storage location, in a folder that is called by its
//! id. So what is done with one cluster's backups costs what that cluster has, and ids can not clash.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use strongroom_catalog::backups::{Backup, NewBackup};
use strongroom_catalog::clusters::Cluster;
use strongroom_catalog::{BackupId, ClusterId, LocationId};
use strongroom_dataplane::collection;
use strongroom_dataplane::store::Store;
use strongroom_format::key::Secret;
use strongroom_format::layout::Folder;
use strongroom_format::manifest::Manifest;

use super::App;
use crate::cadence::DEFAULT_RETENTION;
use crate::{Caller, Error, Kind, Permission, Result};

/// A cluster's collection in a storage location, and the key of encrypted backups in it.
#[derive(Clone)]
pub(crate) struct Collection {
    pub(crate) store: Store,
    pub(crate) secret: Option<Secret>,
}

impl App {
    /// Opens a cluster's collection.
    pub(crate) async fn collection(
        &self,
        location: LocationId,
        cluster: ClusterId,
        create: bool,
    ) -> Result<Collection> {
        let secrets = self.catalog().location_secrets(location).await?;
        let store = Store::open_within(secrets.url.expose(), &cluster.to_string(), create)?;
        let key = secrets.encryption.map(|key| Secret::from_file(key.expose().as_bytes()));
        let secret = key.transpose().map_err(|error| {
            let name = store.shown();
            Error::precondition(format!("the key of the storage location of {name}: {error}"))
                .hint("give the storage location the key that its backups were taken with")
        })?;
        Ok(Collection { store, secret })
    }

    /// Opens a cluster's collection for what comes into it, and makes its folder for the first backup.
    pub(crate) async fn collection_to_fill(
        &self,
        location: LocationId,
        cluster: &Cluster,
    ) -> Result<Collection> {
        match self.collection(location, cluster.id, false).await {
            Err(error) if error.kind() == Kind::NotFound => {
                self.never_backed_up(cluster, location, error).await?;
                self.collection(location, cluster.id, true).await
            }
            opened => opened,
        }
    }

    /// That a collection's folder is `missing` means that it was never made, if nothing was ever
    /// backed up there; else, that it is not where it was. A disk that is not mounted looks like one
    /// on which there never was a backup, and what is written then is hidden by the next mount.
    pub(crate) async fn never_backed_up(
        &self,
        cluster: &Cluster,
        location: LocationId,
        missing: Error,
    ) -> Result<()> {
        let known = self.known_backups(cluster.id, location).await?.len();
        if known == 0 {
            return Ok(());
        }
        let message =
            format!("{missing}, and {known} backups of cluster {} lie there", cluster.name);
        Err(Error::precondition(message).caused_by(missing).hint(
            "mount the disk or bring the folder back; if the backups were removed on purpose, make an \
             empty folder in its place and run strongroom catalog rebuild",
        ))
    }

    /// A backup of this cluster that the caller may do this with.
    pub(crate) async fn backup_for(
        &self,
        caller: &Caller,
        permission: Permission,
        cluster: ClusterId,
        backup: BackupId,
    ) -> Result<Backup> {
        caller.require_with(permission, cluster)?;
        let found = self.catalog().backup(backup).await?;
        if found.cluster != cluster {
            return Err(Error::not_found("backup", backup));
        }
        if found.retired_at.is_some() {
            return Err(
                Error::not_found("backup", backup).hint("its time was over; it was removed")
            );
        }
        Ok(found)
    }

    /// Opens a backup in its collection.
    pub(crate) async fn open_backup(&self, backup: &Backup) -> Result<collection::Backup> {
        let Collection { store, secret } =
            self.collection(backup.location, backup.cluster, false).await?;
        let folder = Folder { id: backup.engine_id, full: backup.full };
        Ok(collection::Backup::open_at(&store, folder, secret.as_ref()).await?)
    }
}

/// What the catalog keeps of a backup that was found in the storage.
pub(crate) fn as_found(manifest: &Manifest, cluster: ClusterId, location: LocationId) -> NewBackup {
    let day = manifest.data_from.to_zoned(TimeZone::UTC);
    let kept = day.saturating_add(DEFAULT_RETENTION.days()).timestamp();
    as_recorded(manifest, cluster, location, Some(kept))
}

/// What the catalog keeps of a backup with this manifest.
pub(crate) fn as_recorded(
    manifest: &Manifest,
    cluster: ClusterId,
    location: LocationId,
    expires_at: Option<Timestamp>,
) -> NewBackup {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let managed = manifest.managed.as_ref();
    // As exact as the catalog is, so that what it gives back is the same.
    let exact =
        |time: Timestamp| Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time);
    NewBackup {
        cluster,
        location,
        engine_id: manifest.id,
        kind: manifest.kind,
        parent: manifest.parent,
        full: manifest.folder().full,
        data_from: exact(manifest.data_from),
        finished_at: exact(manifest.finished_at),
        expires_at: managed.and_then(|managed| managed.expires_at).or(expires_at).map(exact),
        size_bytes: bytes(manifest.size_bytes),
        stored_bytes: bytes(manifest.stored_bytes),
        rows: bytes(manifest.rows),
        databases: manifest.databases.clone(),
        key_id: manifest.key_id.clone(),
        job: managed.and_then(|managed| managed.job_id.parse().ok()),
    }
}
