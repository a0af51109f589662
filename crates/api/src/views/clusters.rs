//! Clusters, as the API shows them.
//!
//! Outside of `strongroom` stand the original's fields, which its clients insist on. A server of
//! somebody's own has no machine type and no subnet; those fields say nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_controlplane::app::attach::ConnectionCheck;
use strongroom_controlplane::app::clusters::{self, ClusterDetail};
use strongroom_controlplane::model;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Action;
use crate::paging::Pagination;

/// A plan, by the name that it was chosen by.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Plan {
    /// A full backup every hour; restored as a whole.
    Serverless,
    /// A full backup every day, incrementals every hour; databases and tables, too.
    Dedicated,
    /// A full backup every day; restored as a whole.
    Basic,
    /// Today's name of Serverless.
    Standard,
    /// Today's name of Dedicated.
    Advanced,
}

impl From<Plan> for model::Plan {
    fn from(plan: Plan) -> Self {
        match plan {
            Plan::Serverless => model::Plan::Serverless,
            Plan::Dedicated => model::Plan::Dedicated,
            Plan::Basic => model::Plan::Basic,
            Plan::Standard => model::Plan::Standard,
            Plan::Advanced => model::Plan::Advanced,
        }
    }
}

impl From<model::Plan> for Plan {
    fn from(plan: model::Plan) -> Self {
        match plan {
            model::Plan::Serverless => Plan::Serverless,
            model::Plan::Dedicated => Plan::Dedicated,
            model::Plan::Basic => Plan::Basic,
            model::Plan::Standard => Plan::Standard,
            model::Plan::Advanced => Plan::Advanced,
        }
    }
}

/// Who runs the machines.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Provider {
    /// Google Cloud.
    Gcp,
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// The people themselves. The original does not know it; its `cloud_provider` then says GCP.
    SelfHosted,
}

impl From<Provider> for model::Provider {
    fn from(provider: Provider) -> Self {
        match provider {
            Provider::Gcp => model::Provider::Gcp,
            Provider::Aws => model::Provider::Aws,
            Provider::Azure => model::Provider::Azure,
            Provider::SelfHosted => model::Provider::SelfHosted,
        }
    }
}

impl From<model::Provider> for Provider {
    fn from(provider: model::Provider) -> Self {
        match provider {
            model::Provider::Gcp => Provider::Gcp,
            model::Provider::Aws => Provider::Aws,
            model::Provider::Azure => Provider::Azure,
            model::Provider::SelfHosted => Provider::SelfHosted,
        }
    }
}

impl Provider {
    /// As the original's clients know it.
    fn known(self) -> Self {
        if matches!(self, Provider::SelfHosted) { Provider::Gcp } else { self }
    }
}

/// Whether deleting is refused.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeleteProtection {
    /// It is.
    Enabled,
    /// It is not.
    Disabled,
}

impl DeleteProtection {
    /// Whether it is.
    pub fn is_enabled(self) -> bool {
        matches!(self, DeleteProtection::Enabled)
    }
}

/// A region of a cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// The host to connect to.
    pub sql_dns: String,
    /// Empty here.
    pub ui_dns: String,
    /// Empty here.
    pub internal_dns: String,
    /// Empty here.
    pub private_endpoint_dns: String,
    /// How many servers are in it, as it was given. 0 of a serverless cluster, as in the original.
    pub node_count: i32,
    /// Whether it is the primary one of a serverless cluster in several regions, as in the original. Of
    /// any cluster, `strongroom.primary_region` names it.
    pub primary: bool,
}

/// The machines of a cluster: one of these, by its plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct Config {
    /// Of a dedicated one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedicated: Option<DedicatedConfig>,
    /// Of a serverless one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serverless: Option<ServerlessConfig>,
}

/// Machines of a dedicated cluster. They are not known here: what was given comes back.
#[derive(Debug, Serialize, ToSchema)]
pub struct DedicatedConfig {
    /// Empty if it was not given.
    pub machine_type: String,
    /// 0 if it was not given.
    pub num_virtual_cpus: i32,
    /// 0 if it was not given.
    pub storage_gib: i32,
    /// 0 here.
    pub memory_gib: f32,
    /// 0 if it was not given.
    pub disk_iops: i32,
}

/// Limits of a serverless cluster. Nothing is limited here: what was given comes back.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageLimits {
    /// Request units in a month.
    #[serde(with = "super::some_int64", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Int64)]
    pub request_unit_limit: Option<i64>,
    /// Storage, in MiB.
    #[serde(with = "super::some_int64", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Int64)]
    pub storage_mib_limit: Option<i64>,
    /// Processors.
    #[serde(with = "super::some_int64", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Int64)]
    pub provisioned_virtual_cpus: Option<i64>,
}

impl From<model::UsageLimits> for UsageLimits {
    fn from(limits: model::UsageLimits) -> Self {
        UsageLimits {
            request_unit_limit: limits.request_unit_limit,
            storage_mib_limit: limits.storage_mib_limit,
            provisioned_virtual_cpus: limits.provisioned_virtual_cpus,
        }
    }
}

/// Who updates a cluster. Here it is always its people, whatever was given.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UpgradeType {
    /// Its people.
    Manual,
    /// Whoever runs it.
    Automatic,
}

impl From<UpgradeType> for model::UpgradeType {
    fn from(upgrade: UpgradeType) -> Self {
        match upgrade {
            UpgradeType::Manual => model::UpgradeType::Manual,
            UpgradeType::Automatic => model::UpgradeType::Automatic,
        }
    }
}

impl From<model::UpgradeType> for UpgradeType {
    fn from(upgrade: model::UpgradeType) -> Self {
        match upgrade {
            model::UpgradeType::Manual => UpgradeType::Manual,
            model::UpgradeType::Automatic => UpgradeType::Automatic,
        }
    }
}

/// How a serverless cluster is reached.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerlessConfig {
    /// Its name.
    pub routing_id: String,
    /// As it was given. Left out: AUTOMATIC of BASIC, MANUAL of others, as in the original.
    pub upgrade_type: UpgradeType,
    /// As they were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_limits: Option<UsageLimits>,
}

/// Whether the service takes backups of a cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct ManagedBackups {
    /// Whether it does, if they are enabled.
    pub available: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// What is ours of a cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClusterExtras {
    /// What kind of server it is.
    pub engine: String,
    /// Its plan, as it was chosen.
    pub plan: Plan,
    /// Who runs the machines.
    pub provider: Provider,
    /// Its regions.
    pub regions: Vec<String>,
    /// The one in which backups are stored.
    pub primary_region: String,
    /// Where its backups go.
    pub storage_location_id: Option<Uuid>,
    /// How it is connected to, without the password.
    pub connection_url: Option<String>,
    /// The version of the server when it was last asked.
    pub server_version: Option<String>,
    /// Whether the service takes backups of it.
    pub managed_backups: ManagedBackups,
    /// When its newest backup was taken.
    pub last_backup_at: Option<Timestamp>,
    /// When the next one is due.
    pub next_backup_at: Option<Timestamp>,
    /// Whether a backup that was due is missing.
    pub missed: bool,
    /// Whether the last attempt failed.
    pub last_backup_failed: bool,
    /// Why nobody can use the cluster now.
    pub unavailable: Option<String>,
    /// What the caller may do with it.
    pub actions: Vec<Action>,
}

/// A cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cluster {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The version of its server, after a v.
    pub cockroach_version: String,
    /// Always FINALIZED here.
    pub upgrade_status: String,
    /// Its plan, by today's names: BASIC, STANDARD or ADVANCED.
    pub plan: Plan,
    /// Who runs the machines.
    pub cloud_provider: Provider,
    /// CREATING, CREATED, CREATION_FAILED, DELETED or LOCKED.
    pub state: String,
    /// The id of who attached it.
    pub creator_id: String,
    /// What is being done to it.
    pub operation_status: String,
    /// Its machines.
    pub config: Config,
    /// Its regions.
    pub regions: Vec<Region>,
    /// As it was given; empty if it was not.
    pub cidr_range: String,
    /// As it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_visibility: Option<String>,
    /// Names and values that people gave it.
    pub labels: BTreeMap<String, String>,
    /// Always false here.
    pub is_customer_cloud_account: bool,
    /// Whether deleting it is refused.
    pub delete_protection: DeleteProtection,
    /// The folder that it lies in, or `root`.
    pub parent_id: String,
    /// The host to connect to.
    pub sql_dns: String,
    /// When it was attached.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// What is ours of it.
    pub strongroom: ClusterExtras,
}

impl From<ClusterDetail> for Cluster {
    fn from(detail: ClusterDetail) -> Self {
        let cluster = detail.cluster;
        let host = cluster.connection_shown.as_deref().map(host_of).unwrap_or_default();
        let serverless = cluster.plan.is_serverless();
        let given = cluster.as_given;
        let several = serverless && cluster.regions.len() > 1;
        let node_count = |name: &String| match given.node_counts.get(name) {
            _ if serverless => 0,
            Some(count) => *count,
            None => i32::from(*name == cluster.primary_region),
        };
        let region = |name: &String| Region {
            sql_dns: host.clone(),
            ui_dns: String::new(),
            internal_dns: String::new(),
            private_endpoint_dns: String::new(),
            primary: several && *name == cluster.primary_region,
            node_count: node_count(name),
            name: name.clone(),
        };
        let regions = cluster.regions.iter().map(region).collect();
        let habit = match cluster.plan {
            model::Plan::Basic => UpgradeType::Automatic,
            _ => UpgradeType::Manual,
        };
        let config = Config {
            dedicated: (!serverless).then(|| DedicatedConfig {
                machine_type: given.machine_type.unwrap_or_default(),
                num_virtual_cpus: given.num_virtual_cpus.unwrap_or_default(),
                storage_gib: given.storage_gib.unwrap_or_default(),
                memory_gib: 0.0,
                disk_iops: given.disk_iops.unwrap_or_default(),
            }),
            serverless: serverless.then(|| ServerlessConfig {
                routing_id: cluster.name.clone(),
                upgrade_type: given.upgrade_type.map_or(habit, Into::into),
                usage_limits: given.usage_limits.map(Into::into),
            }),
        };
        let provider = Provider::from(cluster.provider);
        let version = cluster.server_version.as_deref().unwrap_or_default();
        let api_plan = match cluster.plan {
            model::Plan::Serverless => Plan::Standard,
            model::Plan::Dedicated => Plan::Advanced,
            other => other.into(),
        };
        Cluster {
            id: cluster.id.uuid(),
            cockroach_version: format!("v{version}"),
            upgrade_status: "FINALIZED".to_owned(),
            plan: api_plan,
            cloud_provider: provider.known(),
            state: cluster.state.to_string(),
            creator_id: cluster.creator.unwrap_or_default(),
            operation_status: cluster.operation_status,
            config,
            regions,
            cidr_range: given.cidr_range.unwrap_or_default(),
            network_visibility: given.network_visibility,
            labels: cluster.labels,
            is_customer_cloud_account: false,
            delete_protection: match cluster.delete_protection {
                true => DeleteProtection::Enabled,
                false => DeleteProtection::Disabled,
            },
            parent_id: cluster.folder.map_or("root".to_owned(), |folder| folder.to_string()),
            sql_dns: host,
            created_at: cluster.created_at,
            updated_at: cluster.updated_at,
            deleted_at: cluster.deleted_at,
            strongroom: ClusterExtras {
                engine: cluster.engine.to_string(),
                plan: cluster.plan.into(),
                provider,
                regions: cluster.regions,
                primary_region: cluster.primary_region,
                storage_location_id: cluster.location.map(|location| location.uuid()),
                connection_url: cluster.connection_shown,
                server_version: cluster.server_version,
                managed_backups: ManagedBackups {
                    available: detail.not_managed.is_none(),
                    reason: detail.not_managed.map(str::to_owned),
                },
                last_backup_at: detail.last_backup_at,
                next_backup_at: detail.next_backup_at,
                missed: detail.missed,
                last_backup_failed: detail.last_backup_failed,
                unavailable: detail.unavailable,
                actions: detail.actions.into_iter().map(Into::into).collect(),
            },
            name: cluster.name,
        }
    }
}

/// The host of a connection URL; nothing where it is a folder of this machine.
fn host_of(url: &str) -> String {
    let place = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = place.split(['/', '?']).next().unwrap_or_default();
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    place.rsplit_once(':').map_or(place, |(host, _)| host).to_owned()
}

/// A page of clusters.
#[derive(Debug, Serialize, ToSchema)]
pub struct Clusters {
    /// The clusters.
    pub clusters: Vec<Cluster>,
    /// Where to go on.
    pub pagination: Pagination,
}

impl From<model::Listed<ClusterDetail>> for Clusters {
    fn from(listed: model::Listed<ClusterDetail>) -> Self {
        Clusters {
            pagination: Pagination::from(&listed),
            clusters: listed.items.into_iter().map(Into::into).collect(),
        }
    }
}

/// A server of a cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct Node {
    /// Host and port.
    pub name: String,
    /// The region that it is in.
    pub region_name: String,
    /// LIVE or NOT_READY.
    pub status: String,
}

/// The servers of a cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct Nodes {
    /// The servers.
    pub nodes: Vec<Node>,
    /// There is one page.
    pub pagination: Pagination,
}

impl From<Vec<clusters::Node>> for Nodes {
    fn from(nodes: Vec<clusters::Node>) -> Self {
        let node = |node: clusters::Node| Node {
            name: node.name,
            region_name: node.region,
            status: if node.live { "LIVE" } else { "NOT_READY" }.to_owned(),
        };
        Nodes { nodes: nodes.into_iter().map(node).collect(), pagination: Pagination::only() }
    }
}

/// How to connect to a cluster, but for the password.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionString {
    /// As a URL.
    pub connection_string: String,
    /// Host, Port, Username and Database.
    pub params: BTreeMap<String, String>,
}

impl From<clusters::ConnectionString> for ConnectionString {
    fn from(string: clusters::ConnectionString) -> Self {
        let own = |(name, value): (&str, String)| (name.to_owned(), value);
        ConnectionString {
            connection_string: string.url,
            params: string.parameters.into_iter().map(own).collect(),
        }
    }
}

/// A region that clusters can be in.
#[derive(Debug, Serialize, ToSchema)]
pub struct AvailableRegion {
    /// Its name.
    pub name: String,
    /// Its name here, too.
    pub location: String,
    /// Who runs it; not known here, and GCP for the sake of clients.
    pub provider: Provider,
    /// Whether serverless clusters can be in it.
    pub serverless: bool,
    /// 0 here.
    pub distance: f32,
    /// What is ours of it.
    pub strongroom: AvailableRegionExtras,
}

/// What is ours of a region.
#[derive(Debug, Serialize, ToSchema)]
pub struct AvailableRegionExtras {
    /// How many storage locations are in it.
    pub storage_locations: i32,
}

/// The regions that clusters can be in: those with a storage location.
#[derive(Debug, Serialize, ToSchema)]
pub struct AvailableRegions {
    /// The regions.
    pub regions: Vec<AvailableRegion>,
    /// There is one page.
    pub pagination: Pagination,
}

impl From<Vec<(String, usize)>> for AvailableRegions {
    fn from(regions: Vec<(String, usize)>) -> Self {
        let region = |(name, locations): (String, usize)| AvailableRegion {
            location: name.clone(),
            name,
            provider: Provider::Gcp,
            serverless: true,
            distance: 0.0,
            strongroom: AvailableRegionExtras {
                storage_locations: i32::try_from(locations).unwrap_or(i32::MAX),
            },
        };
        AvailableRegions {
            regions: regions.into_iter().map(region).collect(),
            pagination: Pagination::only(),
        }
    }
}

/// A major version of servers.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClusterVersion {
    /// Its number after a v, as `cockroach_version` of a cluster begins.
    pub version: String,
    /// SUPPORTED.
    pub support_status: String,
    /// When PostgreSQL's project ends its support.
    pub support_end: Timestamp,
    /// REGULAR.
    pub release_type: String,
    /// Later versions. Backups can be restored into them.
    pub allowed_upgrades: Vec<String>,
}

/// The major versions that can be attached.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClusterVersions {
    /// The versions, newest first.
    pub versions: Vec<ClusterVersion>,
    /// There is one page.
    pub pagination: Pagination,
}

impl From<Vec<u32>> for ClusterVersions {
    fn from(versions: Vec<u32>) -> Self {
        let version = |version: &u32| {
            let later = versions.iter().filter(|other| *other > version);
            ClusterVersion {
                version: format!("v{version}"),
                support_status: "SUPPORTED".to_owned(),
                release_type: "REGULAR".to_owned(),
                support_end: support_end(*version),
                allowed_upgrades: later.map(|version| format!("v{version}")).collect(),
            }
        };
        ClusterVersions {
            versions: versions.iter().map(version).collect(),
            pagination: Pagination::only(),
        }
    }
}

/// When PostgreSQL's project ends the support of a major version, as published: five years after its
/// first release, on a day in November.
fn support_end(major: u32) -> Timestamp {
    let day = match major {
        13 => 13,
        14 => 12,
        15 => 11,
        16 => 9,
        17 => 8,
        _ => 14,
    };
    let year = i16::try_from(major + 2012).unwrap_or(i16::MAX);
    let day = jiff::civil::date(year.min(9000), 11, day);
    day.to_zoned(jiff::tz::TimeZone::UTC).map(|day| day.timestamp()).unwrap_or(Timestamp::MAX)
}

/// What was found out about a server.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckedConnection {
    /// Its version.
    pub server_version: String,
    /// What it calls itself.
    pub system_identifier: Option<String>,
    /// What the role of the URL may do there.
    pub privileges: Vec<String>,
    /// What will not work, the worst first.
    pub problems: Vec<ConnectionProblem>,
}

/// Something that will not work.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionProblem {
    /// What, and why.
    pub message: String,
    /// What mends it: a statement for a superuser, or something else to do.
    pub remedy: Option<String>,
    /// Whether the cluster can not be attached as long as it is so.
    pub blocking: bool,
}

impl From<ConnectionCheck> for CheckedConnection {
    fn from(check: ConnectionCheck) -> Self {
        let mut problems: Vec<_> = check
            .problems
            .into_iter()
            .map(|problem| ConnectionProblem {
                message: problem.message,
                remedy: problem.remedy,
                blocking: problem.blocking,
            })
            .collect();
        problems.sort_by_key(|problem| !problem.blocking);
        CheckedConnection {
            server_version: check.server_version,
            system_identifier: check.system_identifier,
            privileges: check.privileges.into_iter().map(str::to_owned).collect(),
            problems,
        }
    }
}
