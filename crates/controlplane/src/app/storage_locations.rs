//! Storage locations: where managed backups go, one or more in each region.
//!
//! A location is a URL that the engine opens; each cluster has a collection of its own in it. Secrets
//! come in and never go out: what opens a location is sealed in the catalog, and shown is the URL
//! without its parameters, but for who is asked.
//!
//! Once backups lie in a location, it stays where it is, and so does its passphrase: else they would
//! be lost to those who look for them there. Keys of the bucket can be changed at any time. A bucket of
//! the same name at another endpoint is another place; it is taken for the same one only if the newest
//! backup is found in it, as when a store got another address, or all of it was moved.

use std::time::Duration;

use serde_json::json;
use strongroom_catalog::backups::Backup;
use strongroom_catalog::storage_locations::{LocationSecrets, NewLocation, StorageLocation};
use strongroom_catalog::{BackupId, Listed, LocationId, Page, Secret};
use strongroom_dataplane::store::{Place, Store};
use strongroom_format::key;
use strongroom_format::layout::{Folder, ObjectKey};
use strongroom_format::manifest::{Found, Manifest};
use url::Url;

use super::collection::as_recorded;
use super::organization::checked_name;
use super::{App, done};
use crate::{Caller, Error, Kind, Permission, Result};

/// The location that the first start makes, and its region.
const FIRST: (&str, &str) = ("default", "local");
/// How long a check waits for a store.
const CHECK: Duration = Duration::from_secs(20);

/// A location to be made.
#[derive(Clone, Debug)]
pub struct LocationRequest {
    /// Its name.
    pub name: String,
    /// The region that it lies in.
    pub region: String,
    /// The URL, with what opens it.
    pub url: Secret,
    /// What backups are encrypted with.
    pub passphrase: Option<Secret>,
}

/// What is to be changed of a location. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct LocationChange {
    /// Another name.
    pub name: Option<String>,
    /// The URL, with other keys.
    pub url: Option<Secret>,
    /// What backups are encrypted with from now on.
    pub passphrase: Option<Secret>,
}

impl App {
    /// Makes a first location in the data directory, so that backups can begin at once. Only where
    /// there is none, and nobody has ever removed one.
    pub(super) async fn prepare_locations(&self) -> Result<()> {
        if !self.catalog().locations(None, &Page::first(1)).await?.items.is_empty() {
            return Ok(());
        }
        let removed = strongroom_catalog::audit::EventFilter {
            actions: vec!["STORAGE_LOCATION_DELETED".to_owned()],
            ..Default::default()
        };
        if !self.catalog().audit_events(&removed, &Page::first(1)).await?.items.is_empty() {
            return Ok(());
        }
        let unusable = |reason: String| {
            Error::new(Kind::Internal, format!("the data directory can not be used: {reason}"))
        };
        let folder = std::path::absolute(self.config().data_dir.join("backups"))
            .map_err(|error| unusable(error.to_string()))?;
        let url = Url::from_file_path(&folder)
            .map_err(|()| unusable("its path can not be written as a URL".to_owned()))?;
        let shown = Store::open(url.as_str(), true)?.shown().to_owned();
        let new = NewLocation {
            name: FIRST.0.to_owned(),
            region: FIRST.1.to_owned(),
            url: Secret::new(url.as_str()),
            url_shown: shown.clone(),
            encryption: None,
        };
        let mut write = self.catalog().begin().await?;
        if let Some(made) = write.create_first_location(&new).await? {
            let caller = Caller::system("first start");
            let details = json!({ "region": made.region, "url": shown });
            write.record(&event(&caller, "STORAGE_LOCATION_CREATED", &made, details)).await?;
            write.commit().await?;
        }
        Ok(())
    }

    /// All locations, by name.
    pub async fn storage_locations(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<Listed<StorageLocation>> {
        see(caller)?;
        Ok(self.catalog().locations(None, page).await?)
    }

    /// A location.
    pub async fn storage_location(
        &self,
        caller: &Caller,
        id: LocationId,
    ) -> Result<StorageLocation> {
        see(caller)?;
        Ok(self.catalog().location(id).await?)
    }

    /// Makes a location. A folder is made where there is none; a bucket is not asked anything yet
    /// ([`App::check_storage_location`] does that).
    pub async fn create_storage_location(
        &self,
        caller: &Caller,
        request: LocationRequest,
    ) -> Result<StorageLocation> {
        caller.require(Permission::ManageOrganization)?;
        let LocationRequest { name, region, url, passphrase } = request;
        let new = NewLocation {
            name: checked_name("storage location", &name)?.to_owned(),
            region: checked_region(&region)?,
            url_shown: opened_elsewhere(&url, true).await?.shown().to_owned(),
            url,
            encryption: passphrase.map(checked_passphrase).transpose()?,
        };
        let mut write = self.catalog().begin().await?;
        let made = write.create_location(&new).await?;
        let details =
            json!({ "region": made.region, "url": made.url_shown, "encrypted": made.encrypted });
        write.record(&event(caller, "STORAGE_LOCATION_CREATED", &made, details)).await?;
        write.commit().await?;
        Ok(made)
    }

    /// Changes a location's name, or what opens it.
    pub async fn change_storage_location(
        &self,
        caller: &Caller,
        id: LocationId,
        change: LocationChange,
    ) -> Result<StorageLocation> {
        caller.require(Permission::ManageOrganization)?;
        let name = change
            .name
            .as_deref()
            .map(|name| checked_name("storage location", name))
            .transpose()?;
        let passphrase = change.passphrase.map(checked_passphrase).transpose()?;
        // A store is asked before the transaction, which holds up others.
        let url = match change.url {
            Some(url) => Some(self.checked_place(id, url).await?),
            None => None,
        };

        let mut write = self.catalog().begin().await?;
        let (old, secrets) = write.lock_location(id).await?;
        let mut changed = Vec::new();
        let mut new = old.clone();
        if let Some(name) = name
            && name != old.name
        {
            new = write.rename_location(id, name).await?;
            changed.push("name");
        }
        let other_url = url.as_ref().filter(|given| given.url != secrets.url);
        let mut moved = None;
        if let Some(given) = other_url
            && given.place != Place::of(secrets.url.expose())?
        {
            moved = Some(given);
        }
        let other_passphrase =
            passphrase.as_ref().filter(|it| Some(*it) != secrets.encryption.as_ref());
        if moved.is_some() || other_passphrase.is_some() {
            let used = write.use_of_location(id).await?;
            let newest = write.newest_backup_in(id).await?.map(|backup| backup.id);
            let found = moved.is_some_and(|given| given.holds == newest);
            let what = if other_passphrase.is_some() { "the passphrase" } else { "the place" };
            // Clusters that were never backed up into it lose nothing. A job goes on where it began.
            if used.jobs > 0 || newest.is_some() && (other_passphrase.is_some() || !found) {
                let reason = used.reason().unwrap_or_default();
                let message =
                    format!("{what} of storage location {} can not be changed: {reason}", old.name);
                return Err(Error::precondition(message).hint(match found && other_passphrase.is_none() {
                    true => "wait for the jobs to end, or cancel them",
                    false => {
                        "make another location; new keys of the same bucket are no change of place"
                    }
                }));
            }
            changed.push(if other_passphrase.is_some() { "passphrase" } else { "place" });
        }
        if other_url.is_some() {
            changed.push("url");
        }
        if other_url.is_some() || other_passphrase.is_some() {
            let shown = other_url.map_or(old.url_shown.clone(), |given| given.place.to_string());
            let secrets = LocationSecrets {
                url: other_url.map_or(&secrets.url, |given| &given.url).clone(),
                encryption: other_passphrase.or(secrets.encryption.as_ref()).cloned(),
            };
            new = write.set_location_secrets(id, &secrets, &shown).await?;
        }
        if !changed.is_empty() {
            let details = json!({ "changed": changed, "old_name": old.name, "url": new.url_shown });
            write.record(&event(caller, "STORAGE_LOCATION_CHANGED", &new, details)).await?;
            write.commit().await?;
        }
        Ok(new)
    }

    /// Tries a URL that a location is to have. Where it names another place, backups that lie in the
    /// location must be there.
    async fn checked_place(&self, id: LocationId, url: Secret) -> Result<Given> {
        let place = Place::of(url.expose())?;
        let old = self.catalog().location_secrets(id).await?;
        let newest = match place == Place::of(old.url.expose())? {
            true => None,
            false => self.catalog().newest_backup_in(id).await?,
        };
        let Some(newest) = newest else {
            opened_elsewhere(&url, true).await?;
            return Ok(Given { url, place, holds: None });
        };
        let name = self.catalog().location(id).await?.name;
        let found = match tokio::time::timeout(CHECK, holds(&url, &newest)).await {
            Ok(found) => {
                found.map_err(|error| error.context(format!("looking for backups in {place}")))?
            }
            Err(_) => return Err(no_answer(&place.to_string())),
        };
        if !found {
            let Backup { backup, .. } = &newest;
            let message = format!(
                "the place of storage location {name} can not be changed: its newest backup, {} of \
                 cluster {}, is not in {place}",
                backup.engine_id, backup.cluster
            );
            return Err(Error::precondition(message).hint(
                "make another location, or copy everything to the new place first; new keys of the \
                 same bucket are no change of place",
            ));
        }
        Ok(Given { url, place, holds: Some(newest.id) })
    }

    /// Forgets a location that nothing refers to. What lies in it is not touched.
    pub async fn delete_storage_location(&self, caller: &Caller, id: LocationId) -> Result<()> {
        caller.require(Permission::ManageOrganization)?;
        let old = self.catalog().location(id).await?;
        let mut write = self.catalog().begin().await?;
        if let Some(reason) = write.use_of_location(id).await?.reason() {
            let message = format!("storage location {} is in use: {reason}", old.name);
            return Err(Error::precondition(message).hint(
                "a location can be deleted when its clusters are gone and their backups have expired",
            ));
        }
        write.delete_location(id).await?;
        let details = json!({ "region": old.region, "url": old.url_shown });
        write.record(&event(caller, "STORAGE_LOCATION_DELETED", &old, details)).await?;
        Ok(write.commit().await?)
    }

    /// Writes, reads, lists and deletes a small object in a location. How long that took.
    pub async fn check_storage_location(
        &self,
        caller: &Caller,
        id: LocationId,
    ) -> Result<Duration> {
        caller.require(Permission::ManageOrganization)?;
        let location = self.catalog().location(id).await?;
        let secrets = self.catalog().location_secrets(id).await?;
        let begun = std::time::Instant::now();
        let checked = async {
            let store = Store::open(secrets.url.expose(), true)?;
            store.check().await
        };
        match tokio::time::timeout(CHECK, checked).await {
            Ok(checked) => checked.map_err(|error| {
                Error::from(error).context(format!("storage location {}", location.name))
            })?,
            Err(_) => return Err(no_answer(&format!("storage location {}", location.name))),
        }
        Ok(begun.elapsed())
    }
}

/// Locations are seen by those who manage them, and by those who choose one for a cluster.
fn see(caller: &Caller) -> Result<()> {
    caller
        .require(Permission::ManageOrganization)
        .or_else(|refused| caller.require(Permission::CreateClusters).map_err(|_| refused))
}

fn event(
    caller: &Caller,
    action: &str,
    location: &StorageLocation,
    details: serde_json::Value,
) -> strongroom_catalog::audit::NewEvent {
    strongroom_catalog::audit::NewEvent {
        object_name: Some(location.name.clone()),
        ..done(caller, action, "storage location", location.id, details)
    }
}

/// A URL that a location is to have.
struct Given {
    url: Secret,
    place: Place,
    /// The location's newest backup, if it was looked for there and found.
    holds: Option<BackupId>,
}

fn no_answer(what: &str) -> Error {
    let message = format!("{what} did not answer within {} s", CHECK.as_secs());
    Error::new(Kind::Unavailable, message)
        .hint("check endpoint and region of its URL, and that it can be reached from here")
}

/// Opens a URL as the engine would, beside this thread's work: making a folder on a network's disk may
/// take long.
async fn opened_elsewhere(url: &Secret, create: bool) -> Result<Store> {
    let url = url.clone();
    let opening = tokio::task::spawn_blocking(move || Store::open(url.expose(), create));
    let ended = |error| Error::new(Kind::Internal, "the service is stopping").caused_by(error);
    Ok(opening.await.map_err(ended)??)
}

/// Whether a backup lies in the location that has this URL.
async fn holds(url: &Secret, backup: &Backup) -> Result<bool> {
    let Backup { backup: known, retired_at, .. } = backup;
    let inner = strongroom_dataplane::store::within(url.expose(), &known.cluster.to_string())?;
    let store = match opened_elsewhere(&Secret::new(inner), false).await {
        Ok(store) => store,
        Err(error) if error.kind() == Kind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let folder = Folder { id: known.engine_id, full: known.full };
    let Some(bytes) = store.find(&ObjectKey::Manifest(folder).path()).await? else {
        return Ok(false);
    };
    Ok(match Manifest::find(&bytes, folder) {
        Ok(Found::Complete(stored)) => {
            let there = as_recorded(&stored.manifest, known.cluster, known.location, None);
            there.data_from == known.data_from && there.finished_at == known.finished_at
        }
        Ok(Found::Pruned(_)) => retired_at.is_some(),
        Err(_) => false,
    })
}

/// A region's name, as clouds spell theirs: `us-east1`, `europe-west3`, `local`.
pub(crate) fn checked_region(region: &str) -> Result<String> {
    let region = region.trim();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || region.len() > 63 || !region.chars().all(good) {
        let message = format!("'{region}' can not be the name of a region");
        return Err(Error::invalid(message)
            .hint("small letters, digits and hyphens, such as us-east1; at most 63 of them"));
    }
    Ok(region.to_owned())
}

fn checked_passphrase(passphrase: Secret) -> Result<Secret> {
    match key::Secret::from_file(passphrase.expose().as_bytes()) {
        Ok(_) => Ok(passphrase),
        Err(error) => Err(Error::invalid(format!("the passphrase can not be used: {error}"))),
    }
}
