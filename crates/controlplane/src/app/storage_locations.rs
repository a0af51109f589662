//! Storage locations: where managed backups go, one or more in each region.
//!
//! A location is a URL that the engine opens; each cluster has a collection of its own in it. Secrets
//! come in and never go out: what opens a location is sealed in the catalog, and shown is the URL
//! without its parameters.
//!
//! Once backups lie in a location, it stays where it is, and so does its passphrase: else they would
//! be lost to those who look for them there. Keys of the bucket can be changed at any time.

use std::time::Duration;

use serde_json::json;
use strongroom_catalog::storage_locations::{LocationSecrets, NewLocation, StorageLocation};
use strongroom_catalog::{Listed, LocationId, Page, Secret};
use strongroom_dataplane::store::Store;
use strongroom_format::key;
use url::Url;

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
        let shown = opened(url.as_str())?;
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
            url_shown: opened_elsewhere(&url).await?,
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
        let old = self.catalog().location(id).await?;
        let secrets = self.catalog().location_secrets(id).await?;
        let shown = match &change.url {
            Some(url) => opened_elsewhere(url).await?,
            None => old.url_shown.clone(),
        };
        let passphrase = change.passphrase.map(checked_passphrase).transpose()?;
        let other_passphrase = passphrase.is_some() && passphrase != secrets.encryption;
        let other_url = change.url.as_ref().is_some_and(|url| *url != secrets.url);

        let mut write = self.catalog().begin().await?;
        let mut changed = Vec::new();
        let mut new = old.clone();
        if let Some(name) = &change.name {
            let name = checked_name("storage location", name)?;
            if name != old.name {
                new = write.rename_location(id, name).await?;
                changed.push("name");
            }
        }
        if shown != old.url_shown || other_passphrase {
            let used = write.use_of_location(id).await?;
            let what = if other_passphrase { "the passphrase" } else { "the place" };
            // Clusters that were never backed up into it lose nothing.
            if used.backups > 0 || used.jobs > 0 {
                let reason = used.reason().unwrap_or_default();
                let message =
                    format!("{what} of storage location {} can not be changed: {reason}", old.name);
                return Err(Error::precondition(message).hint(
                    "make another location; new keys of the same bucket are no change of place",
                ));
            }
            changed.push(if other_passphrase { "passphrase" } else { "place" });
        }
        let secrets = LocationSecrets {
            url: change.url.unwrap_or_else(|| secrets.url.clone()),
            encryption: passphrase.or_else(|| secrets.encryption.clone()),
        };
        if other_url {
            changed.push("url");
        }
        if !changed.is_empty() {
            new = write.set_location_secrets(id, &secrets, &shown).await?;
            let details = json!({ "changed": changed, "old_name": old.name, "url": shown });
            write.record(&event(caller, "STORAGE_LOCATION_CHANGED", &new, details)).await?;
            write.commit().await?;
        }
        Ok(new)
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
            Err(_) => {
                let message = format!(
                    "storage location {} did not answer within {} s",
                    location.name,
                    CHECK.as_secs()
                );
                return Err(Error::new(Kind::Unavailable, message).hint(
                    "check endpoint and region of its URL, and that it can be reached from here",
                ));
            }
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

/// Opens a URL as the engine would. What may be shown of it.
fn opened(url: &str) -> Result<String> {
    Ok(Store::open(url, true)?.shown().to_owned())
}

/// The same beside this thread's work: making a folder on a network's disk may take long.
async fn opened_elsewhere(url: &Secret) -> Result<String> {
    let url = url.clone();
    let opening = tokio::task::spawn_blocking(move || opened(url.expose()));
    let ended = |error| Error::new(Kind::Internal, "the service is stopping").caused_by(error);
    opening.await.map_err(ended)?
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
