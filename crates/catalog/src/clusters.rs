//! Clusters under management.
//!
//! A deleted cluster keeps its row: its backups outlive it, and lists show it where inactive ones
//! are asked for. Its name is free again. Its connection is wiped.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::database::{Arg, Bind, FromRow, Row, args, named, to_json};
use crate::page::{Query, Sort};
use crate::sealed::{Place, Secret};
use crate::{
    Catalog, CatalogError, ClusterId, FolderId, Listed, LocationId, Order, Page, Result, Write,
};

named! {
    /// What kind of server it is.
    pub enum Engine: "engine" {
        /// PostgreSQL.
        Postgres = "postgres",
        /// CockroachDB.
        Cockroachdb = "cockroachdb",
    }
}

named! {
    /// The plan: how often it is backed up, and what can be restored. Stored as it was chosen, so
    /// that a client reads back what it wrote.
    pub enum Plan: "plan" {
        /// A full backup every hour; restored as a whole.
        Serverless = "SERVERLESS",
        /// A full backup every day, incrementals every hour; databases and tables, too.
        Dedicated = "DEDICATED",
        /// Today's name of a small Serverless.
        Basic = "BASIC",
        /// Today's name of Serverless.
        Standard = "STANDARD",
        /// Today's name of Dedicated.
        Advanced = "ADVANCED",
    }
}

impl Plan {
    /// Whether it is restored as a whole only.
    pub fn is_serverless(self) -> bool {
        matches!(self, Plan::Serverless | Plan::Basic | Plan::Standard)
    }

    /// The name that today's API has for it.
    pub fn api_name(self) -> &'static str {
        match self {
            Plan::Serverless => Plan::Standard.name(),
            Plan::Dedicated => Plan::Advanced.name(),
            other => other.name(),
        }
    }
}

named! {
    /// Who runs the machines.
    pub enum Provider: "provider" {
        /// Google Cloud.
        Gcp = "GCP",
        /// Amazon Web Services.
        Aws = "AWS",
        /// Microsoft Azure.
        Azure = "AZURE",
        /// The people themselves.
        SelfHosted = "SELF_HOSTED",
    }
}

named! {
    /// The life of a cluster.
    pub enum ClusterState: "cluster state" {
        /// It is being attached.
        Creating = "CREATING",
        /// It is under management.
        Created = "CREATED",
        /// It could not be attached.
        CreationFailed = "CREATION_FAILED",
        /// It is no longer under management.
        Deleted = "DELETED",
        /// It must not be used.
        Locked = "LOCKED",
    }
}

named! {
    /// Who updates a cluster, in the original's words.
    pub enum UpgradeType: "upgrade type" {
        /// Its people.
        Manual = "MANUAL",
        /// Whoever runs it.
        Automatic = "AUTOMATIC",
    }
}

/// What clients of the original say of a cluster's machines and limits. It means nothing to the
/// service, but they expect to read what they wrote. What is left out was never said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AsGiven {
    /// How much of a serverless cluster may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_limits: Option<UsageLimits>,
    /// Who updates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_type: Option<UpgradeType>,
    /// The disk of a machine, in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_gib: Option<i32>,
    /// How many processors a machine has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_virtual_cpus: Option<i32>,
    /// A machine, by its provider's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// Reads and writes of a machine's disk, per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_iops: Option<i32>,
    /// The addresses of its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr_range: Option<String>,
    /// Whether it can be reached from everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_visibility: Option<String>,
    /// How many machines are in a region.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_counts: BTreeMap<String, i32>,
}

impl AsGiven {
    /// This, and what `before` says besides.
    #[must_use]
    pub fn over(self, before: AsGiven) -> Self {
        AsGiven {
            usage_limits: self.usage_limits.or(before.usage_limits),
            upgrade_type: self.upgrade_type.or(before.upgrade_type),
            storage_gib: self.storage_gib.or(before.storage_gib),
            num_virtual_cpus: self.num_virtual_cpus.or(before.num_virtual_cpus),
            machine_type: self.machine_type.or(before.machine_type),
            disk_iops: self.disk_iops.or(before.disk_iops),
            cidr_range: self.cidr_range.or(before.cidr_range),
            network_visibility: self.network_visibility.or(before.network_visibility),
            node_counts: match self.node_counts.is_empty() {
                true => before.node_counts,
                false => self.node_counts,
            },
        }
    }
}

/// How much of a serverless cluster may be used, in the original's words. What is left out has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageLimits {
    /// Request units in a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_unit_limit: Option<i64>,
    /// Storage, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_mib_limit: Option<i64>,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioned_virtual_cpus: Option<i64>,
}

/// A cluster. Its connection is asked for apart ([`Catalog::connection`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// Its name, unique among those that are not deleted.
    pub name: String,
    /// What kind of server it is.
    pub engine: Engine,
    /// Its plan.
    pub plan: Plan,
    /// Who runs the machines.
    pub provider: Provider,
    /// Its regions.
    pub regions: Vec<String>,
    /// The one of them that is primary.
    pub primary_region: String,
    /// Where it is in its life.
    pub state: ClusterState,
    /// What is being done to it, by the API's name.
    pub operation_status: String,
    /// The connection URL without secrets.
    pub connection_shown: Option<String>,
    /// The version of the server when it was last asked.
    pub server_version: Option<String>,
    /// What the server calls itself; manifests name it, too.
    pub system_identifier: Option<String>,
    /// The folder that it lies in.
    pub folder: Option<FolderId>,
    /// Where its backups go.
    pub location: Option<LocationId>,
    /// Names and values that people gave it.
    pub labels: BTreeMap<String, String>,
    /// What clients of the original say of its machines.
    pub as_given: AsGiven,
    /// Whether deleting it is refused.
    pub delete_protection: bool,
    /// Who made it.
    pub creator: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// The status of a cluster to which nothing is being done.
pub const IDLE: &str = "UNSPECIFIED";

/// How to connect to a cluster.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The URL, with the password.
    pub url: Secret,
    /// The URL without secrets.
    pub shown: String,
}

/// What is known of a cluster when it is made.
#[derive(Clone, Debug)]
pub struct NewCluster {
    /// Its name.
    pub name: String,
    /// What kind of server it is.
    pub engine: Engine,
    /// Its plan.
    pub plan: Plan,
    /// Who runs the machines.
    pub provider: Provider,
    /// Its regions.
    pub regions: Vec<String>,
    /// The one of them that is primary.
    pub primary_region: String,
    /// Where it is in its life: being attached, or attached already.
    pub state: ClusterState,
    /// How to connect to it.
    pub connection: Option<Connection>,
    /// The folder that it lies in.
    pub folder: Option<FolderId>,
    /// Where its backups go.
    pub location: Option<LocationId>,
    /// Names and values that people gave it.
    pub labels: BTreeMap<String, String>,
    /// Whether deleting it is refused.
    pub delete_protection: bool,
    /// Who makes it.
    pub creator: Option<String>,
}

/// What is to be changed of a cluster. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct ClusterChange {
    /// Another name.
    pub name: Option<String>,
    /// Another plan.
    pub plan: Option<Plan>,
    /// Another point in its life, but for deleting it.
    pub state: Option<ClusterState>,
    /// What is being done to it, by the API's name.
    pub operation_status: Option<String>,
    /// Another way to connect.
    pub connection: Option<Connection>,
    /// What the server says of itself: version and identifier.
    pub server: Option<(String, Option<String>)>,
    /// Other regions, and which is primary.
    pub regions: Option<(Vec<String>, String)>,
    /// Another folder, or none.
    pub folder: Option<Option<FolderId>>,
    /// Another place for backups.
    pub location: Option<LocationId>,
    /// Other labels, in place of all.
    pub labels: Option<BTreeMap<String, String>>,
    /// What clients of the original say of its machines, in place of all.
    pub as_given: Option<AsGiven>,
    /// Whether deleting it is refused.
    pub delete_protection: Option<bool>,
}

const COLUMNS: &str = "id, name, engine, plan, provider, regions, primary_region, state, \
                       operation_status, connection_shown, server_version, system_identifier, \
                       folder_id, location_id, labels, as_given, delete_protection, creator, \
                       created_at, updated_at, deleted_at";

impl FromRow for Cluster {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Cluster {
            id: row.get("id")?,
            name: row.get("name")?,
            engine: row.get("engine")?,
            plan: row.get("plan")?,
            provider: row.get("provider")?,
            regions: row.json("regions")?,
            primary_region: row.get("primary_region")?,
            state: row.get("state")?,
            operation_status: row.get("operation_status")?,
            connection_shown: row.opt("connection_shown")?,
            server_version: row.opt("server_version")?,
            system_identifier: row.opt("system_identifier")?,
            folder: row.opt("folder_id")?,
            location: row.opt("location_id")?,
            labels: row.json("labels")?,
            as_given: row.json("as_given")?,
            delete_protection: row.get("delete_protection")?,
            creator: row.opt("creator")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            deleted_at: row.opt("deleted_at")?,
        })
    }
}

struct Sealed(Option<Vec<u8>>);

impl FromRow for Sealed {
    fn from_row(row: &Row) -> Result<Self> {
        row.opt("connection_sealed").map(Sealed)
    }
}

named! {
    /// What sorts a list of clusters.
    pub enum ClusterSort: "sort key" {
        /// The name.
        Name = "NAME",
        /// When it was made.
        CreatedAt = "CREATED_AT",
        /// When it was deleted; those that are not come last.
        DeletedAt = "DELETED_AT",
    }
}

/// Which clusters are wanted, and in which order.
#[derive(Clone, Debug, Default)]
pub struct ClusterFilter {
    /// Deleted ones and those that could not be attached, too.
    pub inactive: bool,
    /// What sorts them. By name, if nothing is said.
    pub sort: Option<ClusterSort>,
    /// Only these: what somebody may see, which may be none. `None`: all.
    pub only: Option<Vec<ClusterId>>,
}

fn place(row: &str) -> Place<'_> {
    Place { table: "clusters", row, column: "connection_sealed" }
}

fn check_regions(regions: &[String], primary: &str) -> Result<()> {
    if regions.iter().any(|region| region == primary) {
        return Ok(());
    }
    let reason = format!("the primary region '{primary}' is not among the cluster's regions");
    Err(CatalogError::invalid("the region", reason))
}

impl Catalog {
    /// A cluster by id, deleted or not.
    pub async fn cluster(&self, id: ClusterId) -> Result<Cluster> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM clusters WHERE id = $1"));
        let found = self.database.find("reading a cluster", sql, args![id]).await?;
        found.ok_or_else(|| CatalogError::not_found("cluster", id))
    }

    /// A cluster by name, unless it is deleted.
    pub async fn cluster_by_name(&self, name: &str) -> Result<Option<Cluster>> {
        let sql = format!("SELECT {COLUMNS} FROM clusters WHERE name = $1 AND deleted_at IS NULL");
        self.database.find("reading a cluster", sqlx::AssertSqlSafe(sql), args![name]).await
    }

    /// A page of clusters.
    pub async fn clusters(&self, filter: &ClusterFilter, page: &Page) -> Result<Listed<Cluster>> {
        let sort = match filter.sort.unwrap_or(ClusterSort::Name) {
            ClusterSort::Name => Sort::text("name"),
            ClusterSort::CreatedAt => Sort::time("created_at", Order::Ascending),
            ClusterSort::DeletedAt => Sort {
                name: "deleted_at",
                by: self.dialect().or_never("deleted_at"),
                is_time: true,
                habit: Order::Ascending,
            },
        };
        let select = format!("SELECT {COLUMNS} FROM clusters");
        let mut query = Query::new(select, "id", "created_at", sort);
        if !filter.inactive {
            query.only("deleted_at IS NULL");
            query.with("state <> {}", ClusterState::CreationFailed);
        }
        match filter.only.as_deref() {
            None => {}
            Some([]) => query.only("1 = 0"),
            Some(visible) => query.among("id", visible),
        }
        query.read(&self.database, "listing clusters", page, self.now()).await
    }

    /// The clusters that this server, or a copy of its files, was attached as, unless deleted.
    pub async fn clusters_of_server(&self, system_identifier: &str) -> Result<Vec<Cluster>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM clusters WHERE system_identifier = $1 AND deleted_at IS NULL \
             ORDER BY name"
        );
        let sql = sqlx::AssertSqlSafe(sql);
        self.database.all("looking for clusters of a server", sql, args![system_identifier]).await
    }

    /// How to connect to a cluster: for workers, never for a reply.
    pub async fn connection(&self, id: ClusterId) -> Result<Secret> {
        let sql = "SELECT connection_sealed FROM clusters WHERE id = $1";
        let found = self.database.find("reading a connection", sql, args![id]).await?;
        match found.ok_or_else(|| CatalogError::not_found("cluster", id))? {
            Sealed(Some(sealed)) => self.keys.open(place(&id.to_string()), &sealed),
            Sealed(None) => Err(CatalogError::not_found("connection of cluster", id)),
        }
    }
}

impl Write<'_> {
    /// Makes a cluster.
    pub async fn create_cluster(&mut self, new: &NewCluster) -> Result<Cluster> {
        self.create_cluster_as(ClusterId::new(), new).await
    }

    /// Makes a cluster that had this id in a catalog that was lost.
    pub async fn create_cluster_as(&mut self, id: ClusterId, new: &NewCluster) -> Result<Cluster> {
        check_regions(&new.regions, &new.primary_region)?;
        let now = self.now();
        let row = id.to_string();
        let connection = new.connection.as_ref();
        let seal = |connection: &Connection| self.keys().seal(place(&row), &connection.url);
        let sealed = connection.map(seal).transpose()?;
        let sql = format!(
            "INSERT INTO clusters (id, name, engine, plan, provider, regions, primary_region, \
             state, operation_status, connection_sealed, connection_shown, folder_id, location_id, \
             labels, as_given, delete_protection, creator, created_at, updated_at) VALUES ($1, $2, \
             $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18) \
             RETURNING {COLUMNS}"
        );
        let values = args![
            id,
            new.name,
            new.engine,
            new.plan,
            new.provider,
            to_json(&new.regions)?,
            new.primary_region,
            new.state,
            IDLE,
            sealed,
            connection.map(|connection| &connection.shown),
            new.folder,
            new.location,
            to_json(&new.labels)?,
            to_json(&AsGiven::default())?,
            new.delete_protection,
            new.creator,
            now,
        ];
        let made = self.tx.one("making a cluster", sqlx::AssertSqlSafe(sql), values).await;
        made.map_err(|error: CatalogError| {
            let location = new.location.map(|id| id.to_string()).unwrap_or_default();
            error.or_exists("cluster", &new.name).or_missing("storage location", location)
        })
    }

    /// Whether backups of a cluster lie anywhere, or a job works on it. The cluster stays as it is
    /// until the commit.
    pub async fn cluster_has_backups(&mut self, id: ClusterId) -> Result<bool> {
        let doing = "looking for backups of a cluster";
        self.lock_cluster(id).await?;
        let sql = "SELECT 1 FROM backups WHERE cluster_id = $1 UNION ALL SELECT 1 FROM jobs \
                   WHERE cluster_id = $1 AND state IN ('pending', 'running') LIMIT 1";
        Ok(!self.tx.rows(doing, sql, args![id]).await?.is_empty())
    }

    /// Lets nobody else change a cluster, or decide something by what belongs to it, until the commit.
    /// Not found: it was deleted.
    pub(crate) async fn lock_cluster(&mut self, id: ClusterId) -> Result<()> {
        let lock = self.tx.dialect().for_update();
        let sql = format!("SELECT id FROM clusters WHERE id = $1 AND deleted_at IS NULL{lock}");
        let sql = sqlx::AssertSqlSafe(sql);
        match self.tx.rows("locking a cluster", sql, args![id]).await?.is_empty() {
            true => Err(CatalogError::not_found("cluster", id)),
            false => Ok(()),
        }
    }

    /// Changes a cluster that is not deleted.
    pub async fn change_cluster(
        &mut self,
        id: ClusterId,
        change: &ClusterChange,
    ) -> Result<Cluster> {
        if let Some((regions, primary)) = &change.regions {
            check_regions(regions, primary)?;
        }
        if change.state == Some(ClusterState::Deleted) {
            let reason = "clusters are deleted by a call of its own";
            return Err(CatalogError::invalid("the state", reason));
        }
        let row = id.to_string();
        let mut changes = Changes { sets: Vec::new(), args: args![id, self.now()] };
        changes.set("name", change.name.as_ref());
        changes.set("plan", change.plan);
        changes.set("state", change.state);
        changes.set("operation_status", change.operation_status.as_ref());
        if let Some(connection) = &change.connection {
            let sealed = self.keys().seal(place(&row), &connection.url)?;
            changes.set("connection_sealed", Some(sealed));
            changes.set("connection_shown", Some(&connection.shown));
        }
        if let Some((version, identifier)) = &change.server {
            changes.set("server_version", Some(version));
            changes.set("system_identifier", identifier.as_ref());
        }
        if let Some((regions, primary)) = &change.regions {
            changes.set("regions", Some(to_json(regions)?));
            changes.set("primary_region", Some(primary));
        }
        changes.set("folder_id", change.folder);
        changes.set("location_id", change.location);
        changes.set("labels", change.labels.as_ref().map(to_json).transpose()?);
        changes.set("as_given", change.as_given.as_ref().map(to_json).transpose()?);
        changes.set("delete_protection", change.delete_protection);

        let sql = format!(
            "UPDATE clusters SET {}updated_at = $2 WHERE id = $1 AND deleted_at IS NULL \
             RETURNING {COLUMNS}",
            changes.sets.concat()
        );
        let sql = sqlx::AssertSqlSafe(sql);
        let changed = self.tx.find("changing a cluster", sql, changes.args).await;
        let changed = changed.map_err(|error| {
            let name = change.name.clone().unwrap_or_default();
            let location = change.location.map(|id| id.to_string()).unwrap_or_default();
            error.or_exists("cluster", name).or_missing("storage location", location)
        })?;
        changed.ok_or_else(|| CatalogError::not_found("cluster", id))
    }

    /// Deletes a cluster: no more backups, no connection. Its backups stay for their time. Jobs
    /// that have not begun are canceled, and running ones are asked to stop.
    pub async fn delete_cluster(&mut self, id: ClusterId) -> Result<Cluster> {
        let now = self.now();
        let sql = format!(
            "UPDATE clusters SET state = 'DELETED', deleted_at = $2, updated_at = $2, \
             connection_sealed = NULL WHERE id = $1 AND deleted_at IS NULL \
             AND delete_protection = $3 RETURNING {COLUMNS}"
        );
        let sql = sqlx::AssertSqlSafe(sql);
        let deleted = self.tx.find("deleting a cluster", sql, args![id, now, false]).await?;
        let Some(deleted) = deleted else {
            let sql = "SELECT 1 FROM clusters WHERE id = $1 AND deleted_at IS NULL";
            let found = self.tx.rows("deleting a cluster", sql, args![id]).await?;
            return Err(if found.is_empty() {
                CatalogError::not_found("cluster", id)
            } else {
                CatalogError::conflict("cluster", id, "it is protected against deletion")
            });
        };
        self.cancel_jobs_of(id).await?;
        Ok(deleted)
    }
}

/// The columns of an update.
struct Changes {
    sets: Vec<String>,
    args: Vec<Arg>,
}

impl Changes {
    fn set(&mut self, column: &str, value: Option<impl Bind>) {
        if let Some(value) = value {
            self.args.push(value.bind());
            self.sets.push(format!("{column} = ${}, ", self.args.len()));
        }
    }
}
