//! Attaching clusters, and changing how they are attached.
//!
//! Nothing is written before the server was asked what it is and what our role may do there: a cluster
//! that can not be backed up is refused with the statement that mends it, not taken and found wanting
//! at night. And before there is a place for its backups: in the cluster's region, or in its primary
//! region if it has several.
//!
//! **The same server twice.** Whatever was attached under the same address is refused. A server with
//! the same system identifier elsewhere may be a copy of its files (a clone for tests has the same
//! one), which is a cluster of its own; it is told as a problem that does not stand in the way.
//!
//! **A place is for good.** Where a cluster's backups lie can change until the first of them is taken.

use std::collections::BTreeMap;

use serde_json::json;
use strongroom_catalog::backup_settings::SettingsChange;
use strongroom_catalog::clusters::{
    AsGiven, Cluster, ClusterChange, ClusterState, Connection, Engine, NewCluster, Plan, Provider,
};
use strongroom_catalog::grants::{Grant, Resource, Role};
use strongroom_catalog::page::MAX_LIMIT;
use strongroom_catalog::storage_locations::StorageLocation;
use strongroom_catalog::{ClusterId, FolderId, LocationId, Page, Secret};
use strongroom_dataplane::postgres::inspect::{Inspection, Problem, inspect};
use strongroom_dataplane::postgres::server::{Host, Server};

use super::App;
use super::clusters::{ClusterDetail, cluster_event, usable};
use super::organization::checked_name;
use super::storage_locations::checked_region;
use crate::cadence;
use crate::caller::title;
use crate::{Caller, Error, Kind, Permission, Result};

/// The most labels of a cluster, and the most characters of a name or a value of one.
const LABELS: (usize, usize) = (50, 63);

/// A cluster to be attached.
#[derive(Clone, Debug)]
pub struct ClusterRequest {
    /// Its name.
    pub name: String,
    /// How to connect to it. It is needed.
    pub url: Option<Secret>,
    /// Its plan. It is needed.
    pub plan: Option<Plan>,
    /// Who runs the machines.
    pub provider: Provider,
    /// Where it is and where its backups go.
    pub place: PlaceRequest,
    /// Names and values for people.
    pub labels: BTreeMap<String, String>,
    /// Whether deleting it is refused.
    pub delete_protection: bool,
    /// The folder that it lies in.
    pub folder: Option<FolderId>,
    /// What clients of the original say of machines and limits.
    pub as_given: AsGiven,
}

/// Where a cluster is, and where its backups go. What is left out follows from the rest.
#[derive(Clone, Debug, Default)]
pub struct PlaceRequest {
    /// Its regions.
    pub regions: Vec<String>,
    /// The primary one.
    pub primary: Option<String>,
    /// Where its backups go.
    pub location: Option<LocationId>,
}

impl PlaceRequest {
    fn is_empty(&self) -> bool {
        self.regions.is_empty() && self.primary.is_none() && self.location.is_none()
    }
}

/// What is to be changed of a cluster. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct ClusterPatch {
    /// Another name.
    pub name: Option<String>,
    /// Another way to connect.
    pub url: Option<Secret>,
    /// Another plan.
    pub plan: Option<Plan>,
    /// Another plan by today's name: one that is called so already stays what it is.
    pub api_plan: Option<Plan>,
    /// Other regions, or another place for backups.
    pub place: PlaceRequest,
    /// Other labels, in place of all.
    pub labels: Option<BTreeMap<String, String>>,
    /// Whether deleting it is refused.
    pub delete_protection: Option<bool>,
    /// Another folder, or none.
    pub folder: Option<Option<FolderId>>,
    /// What clients of the original say of machines and limits, in place of what they said before.
    pub as_given: AsGiven,
    /// The version that the server is thought to have, such as `v16.4`. Another major version is
    /// refused.
    pub version: Option<String>,
}

/// What was found out about a server.
#[derive(Clone, Debug)]
pub struct ConnectionCheck {
    /// Its version.
    pub server_version: String,
    /// What it calls itself.
    pub system_identifier: Option<String>,
    /// What our role may do there.
    pub privileges: Vec<&'static str>,
    /// What will not work.
    pub problems: Vec<Problem>,
}

/// Regions, the primary one, and the location in it.
struct Place {
    regions: Vec<String>,
    primary: String,
    location: Option<LocationId>,
}

impl App {
    /// Looks at a server as attaching would, and tells all that it finds.
    pub async fn check_connection(&self, caller: &Caller, url: &Secret) -> Result<ConnectionCheck> {
        caller.require(Permission::CreateClusters)?;
        let server = led_to(caller, url)?;
        let found = inspect(&server).await?;
        let mut problems = found.problems.clone();
        problems.extend(self.attached_already(caller, &server, &found, None).await?);
        Ok(ConnectionCheck {
            privileges: found.privileges(),
            server_version: found.version,
            system_identifier: found.system_identifier,
            problems,
        })
    }

    /// Attaches a cluster. Its first backup follows at once.
    pub async fn attach_cluster(
        &self,
        caller: &Caller,
        request: ClusterRequest,
    ) -> Result<ClusterDetail> {
        caller.require(Permission::CreateClusters)?;
        let ClusterRequest {
            name,
            url,
            plan,
            provider,
            place,
            labels,
            delete_protection,
            folder,
            as_given,
        } = request;
        let name = checked_name("cluster", &name)?.to_owned();
        check_labels(&labels)?;
        check_given(&as_given)?;
        let url = url.filter(|url| !url.expose().is_empty()).ok_or_else(|| {
            Error::invalid("it is not said how to connect to the cluster").hint(
                "Strongroom attaches servers that there are, and makes none: send strongroom.url, such \
                 as postgresql://user:password@host:5432/postgres",
            )
        })?;
        let plan = plan.ok_or_else(|| {
            let names: Vec<_> = Plan::ALL.iter().map(|plan| plan.name()).collect();
            Error::invalid("it is not said which plan the cluster is on")
                .hint(format!("send spec.plan or strongroom.plan: one of {}", names.join(", ")))
        })?;
        let server = led_to(caller, &url)?;
        if self.catalog().cluster_by_name(&name).await?.is_some() {
            return Err(Error::new(Kind::AlreadyExists, format!("cluster {name} exists already")));
        }
        let managed = cadence::unavailable(plan, provider).is_none();
        let place = self.place(&place, managed).await?;
        let found = self.inspected(caller, &server, None).await?;

        let new = NewCluster {
            name,
            engine: Engine::Postgres,
            plan,
            provider,
            regions: place.regions,
            primary_region: place.primary,
            state: ClusterState::Created,
            connection: Some(connection(url, &server)),
            folder,
            location: place.location,
            labels,
            delete_protection,
            creator: caller.actor.id.map(|id| id.to_string()),
        };
        let mut write = self.catalog().begin().await?;
        let made = write.create_cluster(&new).await?;
        let known = ClusterChange {
            server: Some(server_of(&found)),
            as_given: Some(as_given),
            ..ClusterChange::default()
        };
        let made = write.change_cluster(made.id, &known).await?;
        let frequency = cadence::default_frequency(plan);
        let retention = cadence::DEFAULT_RETENTION;
        write.create_backup_settings(made.id, managed, frequency, retention, false).await?;
        let mut caller = caller.clone();
        if let Some(grantee) = caller.grantee {
            let on = Resource::Cluster(made.id);
            write.grant(grantee, Role::ClusterAdmin, on).await?;
            let created_at = self.now();
            caller.grants.push(Grant { grantee, role: Role::ClusterAdmin, on, created_at });
        }
        let details = json!({
            "plan": plan, "provider": provider, "regions": made.regions,
            "primary_region": made.primary_region, "storage_location_id": made.location,
            "connection": made.connection_shown, "server_version": made.server_version,
            "system_identifier": made.system_identifier,
        });
        write.record(&cluster_event(&caller, "CLUSTER_CREATED", &made, details)).await?;
        write.commit().await?;
        self.detail(&caller, made).await
    }

    /// Changes a cluster.
    pub async fn change_cluster(
        &self,
        caller: &Caller,
        id: ClusterId,
        patch: ClusterPatch,
    ) -> Result<ClusterDetail> {
        let old = self.cluster_for(caller, Permission::ManageCluster, id).await?;
        usable(&old)?;
        let mut change = ClusterChange {
            labels: patch.labels,
            delete_protection: patch.delete_protection,
            folder: patch.folder,
            ..ClusterChange::default()
        };
        if let Some(labels) = &change.labels {
            check_labels(labels)?;
        }
        if patch.as_given != AsGiven::default() {
            check_given(&patch.as_given)?;
            change.as_given = Some(patch.as_given.over(old.as_given.clone()));
        }
        if let Some(name) = &patch.name {
            change.name = Some(checked_name("cluster", name)?.to_owned());
        }
        let renamed = patch.api_plan.filter(|plan| plan.api_name() != old.plan.api_name());
        let plan = patch.plan.or(renamed).unwrap_or(old.plan);
        if plan != old.plan {
            if let (Some(reason), None) = (
                cadence::unavailable(plan, old.provider),
                cadence::unavailable(old.plan, old.provider),
            ) {
                return Err(Error::precondition(format!(
                    "cluster {} can not become {plan}: {reason}",
                    old.name
                )));
            }
            change.plan = Some(plan);
        }
        let managed = cadence::unavailable(plan, old.provider).is_none();
        if !patch.place.is_empty() || (managed && old.location.is_none()) {
            let mut wanted = patch.place;
            if wanted.regions.is_empty() {
                wanted.regions = old.regions.clone();
                let primary = wanted.primary.as_ref();
                if let Some(primary) = primary.filter(|primary| !old.regions.contains(primary)) {
                    wanted.regions = vec![primary.clone()];
                }
            }
            let stays = wanted.regions.contains(&old.primary_region);
            wanted.primary = wanted.primary.or(stays.then(|| old.primary_region.clone()));
            if wanted.primary.as_ref() == Some(&old.primary_region) {
                wanted.location = wanted.location.or(old.location);
            }
            let place = self.place(&wanted, managed).await?;
            change.location = place.location.filter(|location| Some(*location) != old.location);
            change.regions = Some((place.regions, place.primary));
        }
        if let Some(url) = patch.url {
            let server = led_to(caller, &url)?;
            let found = self.inspected(caller, &server, Some(id)).await?;
            change.connection = Some(connection(url, &server));
            change.server = Some(server_of(&found));
            // One that came back with a rebuilt catalog waits for this.
            change.state = (old.state == ClusterState::Locked).then_some(ClusterState::Created);
        }
        if let Some(version) = &patch.version {
            let found = change.server.as_ref().map(|(version, _)| version.as_str());
            check_version(&old.name, found.or(old.server_version.as_deref()), version)?;
        }

        let mut write = self.catalog().begin().await?;
        if change.location.is_some()
            && old.location.is_some()
            && write.cluster_has_backups(id).await?
        {
            return Err(Error::precondition(format!(
                "the backups of cluster {} lie in another region, and stay there",
                old.name
            ))
            .hint("attach it as another cluster to have its backups elsewhere"));
        }
        if change.connection.is_some() && !write.open_restores(id).await?.is_empty() {
            return Err(Error::new(
                Kind::Conflict,
                format!(
                    "a restore into cluster {} has not ended: its URL stays until then",
                    old.name
                ),
            )
            .hint("wait until the restore has ended, or cancel it"));
        }
        let new = write.change_cluster(id, &change).await?;
        if plan != old.plan {
            let only = (plan == Plan::Basic).then(|| cadence::default_frequency(plan));
            let begins = managed && cadence::unavailable(old.plan, old.provider).is_some();
            let settings = SettingsChange {
                enabled: begins.then_some(true),
                frequency_minutes: only,
                ..SettingsChange::default()
            };
            write.change_backup_settings(id, settings).await?;
        }
        let changed = differences(&old, &new, change.connection.is_some());
        if changed.is_empty() {
            return self.detail(caller, old).await;
        }
        let details = json!({ "changed": changed });
        write.record(&cluster_event(caller, "CLUSTER_CHANGED", &new, details)).await?;
        write.commit().await?;
        self.detail(caller, new).await
    }

    /// Looks at a server, and refuses one that could not be backed up or is attached already.
    async fn inspected(
        &self,
        caller: &Caller,
        server: &Server,
        own: Option<ClusterId>,
    ) -> Result<Inspection> {
        let found = inspect(server).await?;
        if let Some(problem) = found.blocking() {
            let error = Error::precondition(format!(
                "server {server} can not be backed up: {}",
                problem.message
            ));
            return Err(match &problem.remedy {
                Some(remedy) => error.hint(remedy),
                None => error,
            });
        }
        let known = self.attached_already(caller, server, &found, own).await?;
        match known.into_iter().find(|problem| problem.blocking) {
            None => Ok(found),
            Some(problem) => Err(Error::new(Kind::AlreadyExists, problem.message)
                .hint("use that cluster, or delete it first")),
        }
    }

    /// What is to be said of other clusters that this server, or a copy of it, is attached as.
    async fn attached_already(
        &self,
        caller: &Caller,
        server: &Server,
        found: &Inspection,
        own: Option<ClusterId>,
    ) -> Result<Vec<Problem>> {
        let Some(identifier) = &found.system_identifier else { return Ok(Vec::new()) };
        let others = self.catalog().clusters_of_server(identifier).await?;
        let problem = |other: Cluster| {
            let address =
                other.connection_shown.as_deref().and_then(|url| Server::of_url(url).ok());
            let same = address.is_some_and(|address| address.to_string() == server.to_string());
            let name = match caller.may_with(Permission::SeeCluster, other.id) {
                true => format!("cluster {}", other.name),
                false => "a cluster that you may not see".to_owned(),
            };
            let message = match same {
                true => format!("server {server} is attached already, as {name}"),
                false => format!("this server, or a copy of its files, is attached as {name}"),
            };
            Problem { message, remedy: None, blocking: same }
        };
        Ok(others.into_iter().filter(|other| Some(other.id) != own).map(problem).collect())
    }

    /// Every storage location.
    pub(crate) async fn all_locations(&self) -> Result<Vec<StorageLocation>> {
        let (mut all, mut page) = (Vec::new(), Some(Page::first(MAX_LIMIT)));
        while let Some(at) = page {
            let listed = self.catalog().locations(None, &at).await?;
            page = listed.next_page();
            all.extend(listed.items);
        }
        Ok(all)
    }

    /// Finds the place for a cluster's backups: a location in its only or its primary region.
    async fn place(&self, wanted: &PlaceRequest, needed: bool) -> Result<Place> {
        let locations = self.all_locations().await?;
        let chosen = match wanted.location {
            None => None,
            Some(id) => {
                let found = locations.iter().find(|location| location.id == id);
                let missing = || Error::invalid(format!("there is no storage location {id}"));
                Some(found.ok_or_else(missing)?)
            }
        };
        let mut known: Vec<&str> =
            locations.iter().map(|location| location.region.as_str()).collect();
        known.sort_unstable();
        known.dedup();

        let mut regions: Vec<String> = Vec::new();
        for region in &wanted.regions {
            let region = checked_region(region)?;
            if !regions.contains(&region) {
                regions.push(region);
            }
        }
        let given = wanted.primary.as_deref().map(checked_region).transpose()?;
        if regions.is_empty() {
            let only = || (known.len() == 1).then(|| known[0].to_owned());
            let region = given.clone().or_else(|| chosen.map(|c| c.region.clone())).or_else(only);
            regions.push(region.ok_or_else(|| {
                Error::invalid("it is not said in which region the cluster is")
                    .hint(format!("regions with a storage location: {}", known.join(", ")))
            })?);
        }
        let primary = match given {
            Some(primary) if regions.contains(&primary) => primary,
            Some(primary) => {
                return Err(Error::invalid(format!(
                    "the primary region '{primary}' is not among the cluster's regions"
                )));
            }
            None if regions.len() == 1 => regions[0].clone(),
            None => {
                return Err(Error::invalid("it is not said which of the regions is primary")
                    .hint("backups are stored in the primary region: give primary_region"));
            }
        };
        if let Some(chosen) = chosen.filter(|chosen| chosen.region != primary) {
            return Err(Error::invalid(format!(
                "storage location {} is in region {}, and the cluster's backups belong into {primary}",
                chosen.name, chosen.region
            ))
            .hint("backups are stored in the cluster's region, or in the primary one of several"));
        }
        let in_region = locations.iter().filter(|location| location.region == primary);
        let location = chosen.or_else(|| in_region.min_by_key(|l| (l.created_at, l.id)));
        if location.is_none() && needed {
            return Err(Error::precondition(format!(
                "there is no storage location in region {primary} for the cluster's backups"
            ))
            .hint(format!(
                "make one with region '{primary}' (POST /api/v1/storage-locations); there are some \
                 in: {}",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            )));
        }
        Ok(Place { location: location.map(|location| location.id), regions, primary })
    }
}

/// The way to connect, sealed and as it may be shown.
fn connection(url: Secret, server: &Server) -> Connection {
    Connection { url, shown: server.url_without_password(None, None) }
}

fn server_of(found: &Inspection) -> (String, Option<String>) {
    (found.version.clone(), found.system_identifier.clone())
}

/// Refuses what is too long to be kept, or less than nothing.
fn check_given(given: &AsGiven) -> Result<()> {
    let (most, longest) = LABELS;
    let texts = [&given.machine_type, &given.cidr_range, &given.network_visibility];
    let regions = given.node_counts.keys();
    if let Some(text) = (texts.into_iter().flatten().chain(regions))
        .find(|text| text.chars().count() > longest || text.chars().any(char::is_control))
    {
        return Err(Error::invalid(format!("'{text}' can not be kept with the cluster")).hint(
            format!("such words have at most {longest} characters, and no control characters"),
        ));
    }
    if given.node_counts.len() > most {
        return Err(Error::invalid(format!(
            "numbers of nodes are given for more than {most} regions"
        )));
    }
    let limits = given.usage_limits.unwrap_or_default();
    let sizes = [given.storage_gib, given.num_virtual_cpus, given.disk_iops].into_iter().flatten();
    let mut numbers =
        [limits.request_unit_limit, limits.storage_mib_limit, limits.provisioned_virtual_cpus]
            .into_iter()
            .flatten()
            .chain(sizes.chain(given.node_counts.values().copied()).map(i64::from));
    match numbers.find(|number| *number < 0) {
        None => Ok(()),
        Some(number) => Err(Error::invalid(format!(
            "{number} is no size of a machine, no number of nodes, and no limit"
        ))
        .hint("none of them is negative")),
    }
}

/// The server that a caller's URL leads to. One behind a unix socket may take whoever connects for the
/// user that this process runs as, and ask for no password: that identity is for those alone who
/// administer the organization.
fn led_to(caller: &Caller, url: &Secret) -> Result<Server> {
    let server = Server::of_url(url.expose())?;
    let permission = Permission::ManageOrganization;
    if matches!(server.host, Host::Tcp(_)) || caller.may(permission) {
        return Ok(server);
    }
    let message = format!(
        "the URL leads to {server}, a unix socket of the service's own machine; to connect there needs \
         the role {}",
        permission.roles().iter().map(|role| title(*role)).collect::<Vec<_>>().join(" or ")
    );
    Err(Error::new(Kind::Forbidden, message).hint(
        "name the server's host in the URL, such as postgresql://user:password@host:5432/postgres",
    ))
}

/// Refuses a version that is not the server's: upgrading is not ours to do.
fn check_version(cluster: &str, present: Option<&str>, wanted: &str) -> Result<()> {
    if major(wanted).is_some() && major(wanted) == present.and_then(major) {
        return Ok(());
    }
    let present = present.map_or("an unknown version".to_owned(), |present| format!("v{present}"));
    Err(Error::precondition(format!(
        "cluster {cluster} can not be made {wanted:?}: its server is {present}, and its version is not \
         ours to change"
    ))
    .hint(
        "upgrade PostgreSQL on the server: the next backup sees it, or at once a PATCH with \
         strongroom.url",
    ))
}

/// The major version in `v16.4`, `16.4 (Debian)` or `16`.
fn major(version: &str) -> Option<u32> {
    let version = version.trim_start_matches('v');
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<()> {
    let (most, longest) = LABELS;
    if labels.len() > most {
        return Err(Error::invalid(format!("there are more than {most} labels")));
    }
    let too_long =
        |text: &str| text.chars().count() > longest || text.chars().any(char::is_control);
    match labels
        .iter()
        .find(|(name, value)| name.trim().is_empty() || too_long(name) || too_long(value))
    {
        None => Ok(()),
        Some((name, _)) => Err(Error::invalid(format!("the label '{name}' can not be used")).hint(
            format!("names and values have at most {longest} characters, and names at least one"),
        )),
    }
}

/// What is different, with the old and the new value where they are no secrets.
fn differences(
    old: &Cluster,
    new: &Cluster,
    connection: bool,
) -> serde_json::Map<String, serde_json::Value> {
    let (before, after) = (json!(old), json!(new));
    let mut found = serde_json::Map::new();
    for field in [
        "name",
        "plan",
        "state",
        "regions",
        "primary_region",
        "folder",
        "location",
        "labels",
        "as_given",
        "delete_protection",
        "connection_shown",
        "server_version",
        "system_identifier",
    ] {
        if before[field] != after[field] {
            found.insert(field.to_owned(), json!([before[field], after[field]]));
        }
    }
    if connection {
        // The password may be all that is new.
        found.entry("connection_shown").or_insert_with(|| json!(new.connection_shown));
    }
    found
}
