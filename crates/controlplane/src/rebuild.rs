//! Making the catalog agree with the storage, which is the truth.
//!
//! After a catalog was lost, put back from an old copy, or moved to another database: every manifest
//! says which cluster it is of, on which plan that was, which job took it and until when it is kept. So
//! from a storage location alone come back the clusters by their ids and names, and their backups by
//! the same ids, with which links and Terraform states go on working. What can not come back is what no
//! backup holds: how to connect to the clusters, users, keys, the audit log. A cluster that comes back is
//! locked until somebody says how to connect to it.
//!
//! A backup that was taken off the lists, and that a prune would keep, is listed again.
//!
//! It may run beside everything else. Rows are read first, then the storage: so what is recorded or
//! pruned meanwhile is either seen in both or left alone, and found by the next rebuild.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::json;
use strongroom_catalog::backups::{Backup, BackupFilter, NewBackup};
use strongroom_catalog::clusters::{Cluster, ClusterState, Engine, NewCluster, Plan, Provider};
use strongroom_catalog::page::MAX_LIMIT;
use strongroom_catalog::storage_locations::{NewLocation, StorageLocation};
use strongroom_catalog::{BackupId, CatalogError, ClusterId, LocationId, Page, Secret};
use strongroom_dataplane::collection::{self, Entry};
use strongroom_dataplane::progress::Progress;
use strongroom_dataplane::prune::{Action, PruneOptions, prepare};
use strongroom_dataplane::store::{Place, Store};
use strongroom_format::BackupId as EngineId;
use strongroom_format::manifest::Manifest;

use crate::app::collection::{Collection, as_found};
use crate::app::done;
use crate::app::storage_locations::LocationChange;
use crate::cadence::DEFAULT_RETENTION;
use crate::jobs::prune;
use crate::{App, Caller, Permission, Result};

/// What a rebuild did in a storage location.
#[derive(Clone, Debug, Serialize)]
pub struct Rebuilt {
    /// The location's name.
    pub location: String,
    /// The location's URL without secrets.
    pub url: String,
    /// What was found of each cluster, in the order of their ids.
    pub clusters: Vec<RebuiltCluster>,
}

/// What a rebuild did with a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct RebuiltCluster {
    /// Its id.
    pub id: ClusterId,
    /// Its name.
    pub name: String,
    /// Whether the catalog did not know it.
    pub came_back: bool,
    /// Complete backups in the storage.
    pub backups: usize,
    /// Backups that the catalog did not know, or knew otherwise, or had taken off the lists too early.
    pub recorded: usize,
    /// Backups that the catalog knew, and that are not in the storage.
    pub forgotten: usize,
    /// What could not be read, and was left as it was.
    pub problems: Vec<String>,
}

impl App {
    /// The storage location at the place that this URL names, made if there is none. One that is known
    /// is opened with this URL and key from now on.
    pub async fn adopt_location(
        &self,
        caller: &Caller,
        name: &str,
        region: &str,
        url: Secret,
        encryption: Option<Secret>,
    ) -> Result<StorageLocation> {
        caller.require(Permission::ManageOrganization)?;
        let shown = Store::open(url.expose(), false)?.shown().to_owned();
        let place = Place::of(url.expose())?;
        for known in self.all_locations().await? {
            let secrets = self.catalog().location_secrets(known.id).await?;
            if Place::of(secrets.url.expose()).is_ok_and(|other| other == place) {
                let change = LocationChange { name: None, url: Some(url), passphrase: encryption };
                return self.change_storage_location(caller, known.id, change).await;
            }
        }
        let new = NewLocation {
            name: name.to_owned(),
            region: region.to_owned(),
            url,
            url_shown: shown,
            encryption,
        };
        let mut write = self.catalog().begin().await?;
        let location = write.create_location(&new).await?;
        let details = json!({ "name": name, "region": region, "url": location.url_shown });
        let event =
            done(caller, "STORAGE_LOCATION_CREATED", "storage location", location.id, details);
        write.record(&event).await?;
        write.commit().await?;
        Ok(location)
    }

    /// Makes the catalog agree with every storage location.
    pub async fn rebuild(&self, caller: &Caller) -> Result<Vec<Rebuilt>> {
        caller.require(Permission::ManageOrganization)?;
        let mut rebuilt = Vec::new();
        for location in self.all_locations().await? {
            let clusters = self.rebuild_location(caller, &location).await?;
            rebuilt.push(Rebuilt { location: location.name, url: location.url_shown, clusters });
        }
        Ok(rebuilt)
    }

    async fn rebuild_location(
        &self,
        caller: &Caller,
        location: &StorageLocation,
    ) -> Result<Vec<RebuiltCluster>> {
        let secrets = self.catalog().location_secrets(location.id).await?;
        let mut clusters = Vec::new();
        let store = match Store::open(secrets.url.expose(), false) {
            Ok(store) => store,
            // Nothing was ever written there.
            Err(error) if error.kind() == strongroom_dataplane::Kind::NotFound => {
                return Ok(clusters);
            }
            Err(error) => return Err(error.into()),
        };
        for name in store.inner_collections().await? {
            let Ok(id) = name.parse::<ClusterId>() else { continue };
            clusters.push(self.rebuild_cluster(caller, location, id).await?);
        }
        Ok(clusters)
    }

    async fn rebuild_cluster(
        &self,
        caller: &Caller,
        location: &StorageLocation,
        id: ClusterId,
    ) -> Result<RebuiltCluster> {
        let known = self.known_backups(id, location.id).await?;
        let collection = self.collection(location.id, id, false).await?;
        let mut manifests: BTreeMap<BackupId, Manifest> = BTreeMap::new();
        let mut problems = Vec::new();
        let mut unreadable = Vec::new();
        for entry in collection::list(&collection.store).await? {
            match entry {
                Entry::Complete(manifest) => {
                    manifests.insert(BackupId::of(id, &manifest.id.to_string()), *manifest);
                }
                Entry::Damaged(folder, error) => {
                    unreadable.push(BackupId::of(id, &folder.id.to_string()));
                    problems.push(format!("backup {}: {error}", folder.id));
                }
                Entry::Incomplete(_) | Entry::Pruned(_) => {}
            }
        }
        let (cluster, came_back) = match self.catalog().cluster(id).await {
            Ok(cluster) => (cluster, false),
            Err(CatalogError::NotFound { .. }) => {
                (self.bring_back(caller, location, id, manifests.values().next_back()).await?, true)
            }
            Err(error) => return Err(error.into()),
        };

        let wanted: BTreeMap<BackupId, NewBackup> = manifests
            .iter()
            .map(|(backup, manifest)| (*backup, as_found(manifest, id, location.id)))
            .collect();
        // Taken off the lists and complete: a prune is about to remove it, or was wrong about it.
        let hidden: Vec<&Backup> = known
            .iter()
            .filter(|old| old.retired_at.is_some() && wanted.get(&old.id) == Some(&old.backup))
            .collect();
        let stay = match hidden.is_empty() {
            true => BTreeSet::new(),
            false => self.kept(&cluster, location.id, &collection).await?,
        };

        let mut write = self.catalog().begin().await?;
        let (mut recorded, mut forgotten) = (0, 0);
        for old in &known {
            let same = wanted.get(&old.id).is_some_and(|new| *new == old.backup);
            if same || unreadable.contains(&old.id) {
                continue;
            }
            match write.retire_backup(old.id).await {
                Ok(_) => {}
                // It is needed now; whoever needs it will say what is wrong with it.
                Err(error @ CatalogError::Conflict { .. }) => {
                    problems.push(error.to_string());
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            write.forget_backup(old.id).await?;
            forgotten += usize::from(!wanted.contains_key(&old.id));
        }
        for (backup, new) in &wanted {
            if known.iter().any(|old| old.id == *backup && old.backup == *new) {
                continue;
            }
            write.record_backup(new, None).await?;
            recorded += 1;
        }
        for old in hidden.into_iter().filter(|old| stay.contains(&old.engine_id)) {
            write.relist_backup(old.id).await?;
            recorded += 1;
        }
        if recorded + forgotten > 0 {
            let details = json!({ "recorded": recorded, "forgotten": forgotten });
            let event = done(caller, "CATALOG_REBUILT", "cluster", id, details);
            write.record(&event).await?;
        }
        write.commit().await?;
        let (name, backups) = (cluster.name, wanted.len());
        Ok(RebuiltCluster { id, name, came_back, backups, recorded, forgotten, problems })
    }

    /// The backups in a cluster's collection that a prune would keep. (It writes nothing, and so does
    /// not ask the store what time it is: where this machine's clock is ahead, there are fewer.)
    async fn kept(
        &self,
        cluster: &Cluster,
        location: LocationId,
        collection: &Collection,
    ) -> Result<BTreeSet<EngineId>> {
        let (options, _) = prune::options(self, cluster, location, collection).await?;
        let options = PruneOptions { dry_run: true, ..options };
        let prepared = prepare(&collection.store, &options, &Progress::silent()).await?;
        let stays = prepared.backups().filter(|it| it.complete && it.action == Action::Keep);
        Ok(stays.map(|it| it.id).collect())
    }

    /// All that the catalog knows of a cluster's backups in a location.
    pub(crate) async fn known_backups(
        &self,
        cluster: ClusterId,
        location: LocationId,
    ) -> Result<Vec<Backup>> {
        let filter = BackupFilter {
            cluster: Some(cluster),
            location: Some(location),
            retired: true,
            ..BackupFilter::default()
        };
        let (mut known, mut page) = (Vec::new(), Some(Page::first(MAX_LIMIT)));
        while let Some(at) = page {
            let listed = self.catalog().backups(&filter, &at).await?;
            page = listed.next_page();
            known.extend(listed.items);
        }
        Ok(known)
    }

    /// Makes a cluster that the catalog does not know, as its newest backup describes it.
    async fn bring_back(
        &self,
        caller: &Caller,
        location: &StorageLocation,
        id: ClusterId,
        newest: Option<&Manifest>,
    ) -> Result<Cluster> {
        let managed = newest.and_then(|manifest| manifest.managed.as_ref());
        let short = id.to_string()[..8].to_owned();
        let mut name = managed
            .map_or_else(|| format!("cluster-{short}"), |managed| managed.cluster_name.clone());
        if self.catalog().cluster_by_name(&name).await?.is_some() {
            name = format!("{name}-{short}");
        }
        let plan = managed.and_then(|managed| managed.plan.parse().ok()).unwrap_or(Plan::Dedicated);
        let new = NewCluster {
            name: name.clone(),
            engine: Engine::Postgres,
            plan,
            provider: Provider::SelfHosted,
            regions: vec![location.region.clone()],
            primary_region: location.region.clone(),
            state: ClusterState::Locked,
            connection: None,
            folder: None,
            location: Some(location.id),
            labels: BTreeMap::new(),
            delete_protection: false,
            creator: None,
        };
        let mut write = self.catalog().begin().await?;
        let cluster = write.create_cluster_as(id, &new).await?;
        let frequency = if plan == Plan::Basic { 1440 } else { 60 };
        write.create_backup_settings(id, true, frequency, DEFAULT_RETENTION, false).await?;
        let details = json!({ "name": name, "plan": plan.name() });
        write.record(&done(caller, "CLUSTER_BROUGHT_BACK", "cluster", id, details)).await?;
        write.commit().await?;
        Ok(cluster)
    }
}
