//! Clusters under management: seeing and deleting them. Attaching and changing is in [`super::attach`].
//!
//! A deleted cluster is no longer backed up, and how to connect to it is forgotten. Its row stays, and
//! so do its backups, for the time that they were promised for: whoever could see the cluster sees
//! them, and restores them into another one.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use strongroom_catalog::audit::NewEvent;
use strongroom_catalog::clusters::{Cluster, ClusterFilter, ClusterSort, ClusterState};
use strongroom_catalog::jobs::JobState;
use strongroom_catalog::{CatalogError, ClusterId, Listed, Page};
use strongroom_dataplane::postgres::inspect;
use strongroom_dataplane::postgres::server::{Host, Server};

use super::{App, done};
use crate::cadence;
use crate::{Action, Caller, Error, Kind, Permission, Result};

/// How long a node is given to answer.
const NODE: Duration = Duration::from_secs(5);

/// A cluster, how it is doing, and what the caller may do with it.
#[derive(Clone, Debug)]
pub struct ClusterDetail {
    /// The cluster.
    pub cluster: Cluster,
    /// Why the service takes no backups of it, whatever its settings. `None`: it does.
    pub not_managed: Option<&'static str>,
    /// When its newest backup was taken.
    pub last_backup_at: Option<Timestamp>,
    /// When the next one is due. A moment that has passed: as soon as possible.
    pub next_backup_at: Option<Timestamp>,
    /// Whether a whole period has passed without a backup that was due.
    pub missed: bool,
    /// Whether the last attempt of a backup failed.
    pub last_backup_failed: bool,
    /// Why nobody can use it now.
    pub unavailable: Option<String>,
    /// What the caller may do.
    pub actions: Vec<Action>,
}

/// A server of a cluster.
#[derive(Clone, Debug)]
pub struct Node {
    /// Host and port.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// Whether it answers.
    pub live: bool,
}

/// How somebody connects to a cluster, but for the password.
#[derive(Clone, Debug)]
pub struct ConnectionString {
    /// As a URL.
    pub url: String,
    /// The parts of it, by the names that the original gives them.
    pub parameters: BTreeMap<&'static str, String>,
}

/// Refuses to work on a cluster that is deleted, or that is being restored.
pub(crate) fn usable(cluster: &Cluster) -> Result<()> {
    if cluster.deleted_at.is_some() {
        return Err(deleted(cluster));
    }
    match unavailable(cluster) {
        None => Ok(()),
        Some(reason) => Err(Error::new(Kind::Conflict, reason)
            .hint("wait until the restore has ended, or cancel it")),
    }
}

/// There is nothing left that could be asked of a deleted cluster but itself and its backups.
pub(crate) fn deleted(cluster: &Cluster) -> Error {
    Error::new(Kind::NotFound, format!("cluster {} was deleted", cluster.name))
        .hint("its backups can be restored into another cluster")
}

/// Why nobody can use a cluster now.
pub(crate) fn unavailable(cluster: &Cluster) -> Option<String> {
    cluster
        .operation_status
        .ends_with("RESTORE_RUNNING")
        .then(|| format!("cluster {} is unavailable while it is being restored", cluster.name))
}

/// The audit event of something that was done to a cluster.
pub(crate) fn cluster_event(
    caller: &Caller,
    action: &str,
    cluster: &Cluster,
    details: Value,
) -> NewEvent {
    NewEvent {
        object_name: Some(cluster.name.clone()),
        cluster: Some(cluster.id),
        ..done(caller, action, "cluster", cluster.id, details)
    }
}

impl App {
    /// The clusters that the caller may see.
    pub async fn clusters(
        &self,
        caller: &Caller,
        inactive: bool,
        sort: Option<ClusterSort>,
        page: &Page,
    ) -> Result<Listed<ClusterDetail>> {
        let filter = ClusterFilter { inactive, sort, only: caller.visible() };
        let Listed { items, next, previous, as_of } =
            self.catalog().clusters(&filter, page).await?;
        Ok(Listed { items: self.details(caller, items).await?, next, previous, as_of })
    }

    /// A cluster, deleted or not.
    pub async fn cluster(&self, caller: &Caller, id: ClusterId) -> Result<ClusterDetail> {
        let cluster = self.cluster_for(caller, Permission::SeeCluster, id).await?;
        self.detail(caller, cluster).await
    }

    /// Deletes a cluster. The server is not touched, and its backups stay for their time.
    pub async fn delete_cluster(&self, caller: &Caller, id: ClusterId) -> Result<ClusterDetail> {
        let cluster = self.cluster_for(caller, Permission::ManageCluster, id).await?;
        usable(&cluster)?;
        if cluster.delete_protection {
            return Err(Error::precondition(format!(
                "cluster {} is protected against deletion",
                cluster.name
            ))
            .hint("switch delete_protection off first"));
        }
        let mut write = self.catalog().begin().await?;
        let gone = write.delete_cluster(id).await?;
        let details = json!({ "plan": gone.plan, "connection": cluster.connection_shown });
        write.record(&cluster_event(caller, "CLUSTER_DELETED", &gone, details)).await?;
        write.commit().await?;
        self.detail(caller, gone).await
    }

    /// The servers of a cluster: the one that it was attached by.
    pub async fn cluster_nodes(&self, caller: &Caller, id: ClusterId) -> Result<Vec<Node>> {
        let cluster = self.cluster_for(caller, Permission::SeeCluster, id).await?;
        if cluster.deleted_at.is_some() {
            return Ok(Vec::new());
        }
        let server = self.server_of(id).await?;
        let _turn = self.0.turns.to_ask(id).await?;
        let live = inspect::answers(&server, NODE).await.is_ok();
        Ok(vec![Node { name: server.to_string(), region: cluster.primary_region, live }])
    }

    /// How to connect to a cluster, as this user and to this database if they are given.
    pub async fn connection_string(
        &self,
        caller: &Caller,
        id: ClusterId,
        user: Option<&str>,
        database: Option<&str>,
    ) -> Result<ConnectionString> {
        let cluster = self.cluster_for(caller, Permission::SeeCluster, id).await?;
        if cluster.deleted_at.is_some() {
            return Err(deleted(&cluster));
        }
        let server = self.server_of(id).await?;
        let host = match &server.host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        };
        let parameters = BTreeMap::from([
            ("Database", database.unwrap_or(&server.database).to_owned()),
            ("Host", host),
            ("Port", server.port.to_string()),
            ("Username", user.unwrap_or(&server.user).to_owned()),
        ]);
        Ok(ConnectionString { url: server.url_without_password(user, database), parameters })
    }

    /// The regions that clusters can be in: those with a storage location. By name, with the number of
    /// locations.
    pub async fn available_regions(&self) -> Result<Vec<(String, usize)>> {
        let mut regions = BTreeMap::new();
        for location in self.all_locations().await? {
            *regions.entry(location.region).or_insert(0) += 1;
        }
        Ok(regions.into_iter().collect())
    }

    /// The major versions of servers that can be attached, newest first.
    pub fn cluster_versions(&self) -> Vec<u32> {
        inspect::supported_majors().rev().collect()
    }

    /// The server of a cluster, ready to connect to. Nothing of this process's environment is used.
    pub(crate) async fn server_of(&self, id: ClusterId) -> Result<Server> {
        let url = match self.catalog().connection(id).await {
            Err(CatalogError::NotFound { what, .. }) if what != "cluster" => {
                let message = format!("it is not known how to connect to cluster {id}");
                return Err(Error::precondition(message).hint(
                    "PATCH the cluster with strongroom.url; the catalog was rebuilt without it",
                ));
            }
            found => found?,
        };
        Ok(Server::of_url(url.expose())?)
    }

    /// What is shown of a cluster.
    pub(super) async fn detail(&self, caller: &Caller, cluster: Cluster) -> Result<ClusterDetail> {
        let mut details = self.details(caller, vec![cluster]).await?;
        details.pop().ok_or_else(|| Error::new(Kind::Internal, "a cluster was lost"))
    }

    /// What is shown of clusters: one question for all of them.
    async fn details(&self, caller: &Caller, clusters: Vec<Cluster>) -> Result<Vec<ClusterDetail>> {
        let ids: Vec<ClusterId> = clusters.iter().map(|cluster| cluster.id).collect();
        let overviews = self.catalog().overviews(&ids).await?;
        let overviews: HashMap<_, _> =
            overviews.into_iter().map(|overview| (overview.cluster, overview)).collect();
        let now = self.now();
        let detail = |cluster: Cluster| {
            let overview = overviews.get(&cluster.id);
            let live = overview.filter(|_| cluster.state == ClusterState::Created);
            let schedule = live.map(|overview| &overview.schedule);
            let not_managed = cadence::unavailable(cluster.plan, cluster.provider);
            ClusterDetail {
                last_backup_at: overview.and_then(|overview| overview.schedule.last_backup),
                last_backup_failed: overview
                    .is_some_and(|overview| overview.last_ending == Some(JobState::Failed)),
                next_backup_at: schedule.and_then(|schedule| cadence::next(schedule, now)),
                missed: schedule.is_some_and(|schedule| cadence::is_missed(schedule, now)),
                unavailable: unavailable(&cluster),
                actions: actions(caller, &cluster, not_managed),
                not_managed,
                cluster,
            }
        };
        Ok(clusters.into_iter().map(detail).collect())
    }
}

/// What the caller may do with a cluster now.
fn actions(caller: &Caller, cluster: &Cluster, not_managed: Option<&str>) -> Vec<Action> {
    let gone = cluster.deleted_at.is_some();
    let busy = unavailable(cluster);
    let unmanaged = || not_managed.unwrap_or_default().to_owned();
    let action = |name, permission| {
        caller
            .action_with(name, permission, cluster.id)
            .unless(gone, || "the cluster was deleted".to_owned())
            .unless(busy.is_some(), || busy.clone().unwrap_or_default())
    };
    let backups =
        |name| action(name, Permission::ManageBackups).unless(not_managed.is_some(), unmanaged);
    vec![
        // Backups of a deleted cluster are restored into another one.
        caller.action_with("restore_from", Permission::Restore, cluster.id),
        action("restore", Permission::Restore),
        backups("take_backup"),
        backups("change_backup_settings"),
        backups("run_drill"),
        action("edit", Permission::ManageCluster),
        action("manage_databases", Permission::ManageCluster),
        action("delete", Permission::ManageCluster)
            .unless(cluster.delete_protection, || "it is protected against deletion".to_owned()),
    ]
}
