//! Clusters: attaching, seeing, changing and deleting them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};
use strongroom_controlplane::app::attach::{ClusterPatch, ClusterRequest, PlaceRequest};
use strongroom_controlplane::model::{self, AsGiven, ClusterId, FolderId, LocationId, Secret};
use strongroom_controlplane::{App, Error};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Body, Path, Query};
use crate::auth::Signed;
use crate::error::Reply;
use crate::paging::Paging;
use crate::views::clusters::{
    AvailableRegions, CheckedConnection, Cluster, ClusterVersions, Clusters, ConnectionString,
    DeleteProtection, Nodes, Plan, Provider, UpgradeType,
};
use crate::views::some_int64;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_clusters, create_cluster))
        .routes(routes!(check_connection))
        .routes(routes!(list_available_regions))
        .routes(routes!(list_cluster_versions))
        .routes(routes!(get_cluster, update_cluster, delete_cluster))
        .routes(routes!(list_cluster_nodes))
        .routes(routes!(get_connection_string))
}

/// What sorts a list of clusters.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum SortBy {
    /// The name.
    Name,
    /// When it was attached.
    CreatedAt,
    /// When it was deleted; those that are not come last.
    DeletedAt,
}

/// Which clusters are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListClusters {
    /// Deleted ones, too.
    #[serde(default)]
    #[param(required = false)]
    show_inactive: bool,
    /// What sorts them.
    #[serde(rename = "pagination.sort_by")]
    #[param(inline)]
    sort_by: Option<SortBy>,
}

/// The clusters that the caller may see.
#[utoipa::path(get, path = "/clusters", tag = "Clusters", params(ListClusters, Paging),
    responses((status = 200, body = Clusters)))]
async fn list_clusters(
    State(app): State<App>,
    signed: Signed,
    Query(list): Query<ListClusters>,
    Query(paging): Query<Paging>,
) -> Reply<Clusters> {
    let sort = list.sort_by.map(|sort| match sort {
        SortBy::Name => model::ClusterSort::Name,
        SortBy::CreatedAt => model::ClusterSort::CreatedAt,
        SortBy::DeletedAt => model::ClusterSort::DeletedAt,
    });
    let page = paging.page()?;
    Ok(Json(app.clusters(&signed.caller, list.show_inactive, sort, &page).await?.into()))
}

/// A cluster to be attached.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateCluster {
    /// Its name.
    name: String,
    /// Who runs the machines. Left out: the people themselves.
    provider: Option<Provider>,
    /// What it is to be.
    #[serde(default)]
    spec: CreateSpec,
    /// How to connect to it; and what is ours beside `spec`, and wins over it.
    strongroom: Option<CreateExtras>,
}

/// An object of the original's that means nothing here: any, but an object.
type Unused = Map<String, Value>;

/// What a cluster is to be, in the original's words. Sizes of machines mean nothing here.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(
    dead_code,
    reason = "what the original's clients send is taken, and some of it means nothing here"
)]
struct CreateSpec {
    /// Its plan.
    plan: Option<Plan>,
    /// Whether deleting it is refused.
    delete_protection: Option<DeleteProtection>,
    /// Names and values for people.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// The folder that it lies in, or `root`.
    parent_id: Option<String>,
    /// Of a serverless cluster.
    serverless: Option<ServerlessSpec>,
    /// Of a dedicated cluster.
    dedicated: Option<DedicatedSpec>,
    /// Not used here: the machines are the people's own.
    #[schema(value_type = Option<Object>)]
    customer_cloud_account: Option<Unused>,
    /// Not used here.
    customer_cloud_account_id: Option<String>,
    /// Not used here: the server is what it is.
    edition: Option<String>,
    /// Not used here: how to connect is said by `strongroom.url`.
    host: Option<String>,
}

/// A serverless cluster, in the original's words.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(
    dead_code,
    reason = "what the original's clients send is taken, and some of it means nothing here"
)]
struct ServerlessSpec {
    /// Its regions.
    #[serde(default)]
    regions: Vec<String>,
    /// The primary one.
    primary_region: Option<String>,
    /// Not used here; comes back.
    usage_limits: Option<LimitsSpec>,
    /// Not used here; comes back.
    upgrade_type: Option<UpgradeType>,
    /// Not used here: nothing is billed. US cents.
    spend_limit: Option<i32>,
    /// Not used here: who may connect, the server's own settings say.
    with_empty_ip_allowlist: Option<bool>,
}

/// Limits of a serverless cluster, in the original's words.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LimitsSpec {
    /// Request units in a month.
    #[serde(default, with = "some_int64")]
    #[schema(value_type = Option<String>, format = Int64)]
    request_unit_limit: Option<i64>,
    /// Storage, in MiB.
    #[serde(default, with = "some_int64")]
    #[schema(value_type = Option<String>, format = Int64)]
    storage_mib_limit: Option<i64>,
    /// Processors.
    #[serde(default, with = "some_int64")]
    #[schema(value_type = Option<String>, format = Int64)]
    provisioned_virtual_cpus: Option<i64>,
}

/// Machines of a dedicated cluster, in the original's words.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HardwareSpec {
    /// Which machine.
    machine_spec: Option<MachineSpec>,
    /// The disk of each, in GiB.
    storage_gib: Option<i32>,
    /// Reads and writes of that disk, per second.
    disk_iops: Option<i32>,
}

/// A machine, in the original's words.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MachineSpec {
    /// Its provider's name of it.
    machine_type: Option<String>,
    /// How many processors it has.
    num_virtual_cpus: Option<i32>,
}

/// A dedicated cluster, in the original's words.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(
    dead_code,
    reason = "what the original's clients send is taken, and some of it means nothing here"
)]
struct DedicatedSpec {
    /// Its regions; the numbers of servers in them are not used here, and come back.
    #[serde(default)]
    region_nodes: BTreeMap<String, i32>,
    /// Not used here; comes back.
    hardware: Option<HardwareSpec>,
    /// Not used here.
    cockroach_version: Option<String>,
    /// Not used here; comes back.
    network_visibility: Option<String>,
    /// Not used here; comes back.
    cidr_range: Option<String>,
    /// Not used here.
    restrict_egress_traffic: Option<bool>,
    /// Not used here.
    supports_cluster_virtualization: Option<bool>,
    /// Not used here: the machines that are wanted in each region, in whatever form.
    #[schema(value_type = Value, required = false)]
    region_machine_specs: Option<Value>,
    /// Not used here: keys for backups belong to the storage location.
    #[schema(value_type = Option<Vec<Object>>)]
    cmek_region_specs: Option<Vec<Unused>>,
}

/// What is ours of a cluster to be attached.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateExtras {
    /// How to connect to it, with the password: `postgresql://user:password@host:5432/database`.
    #[schema(write_only)]
    url: Option<String>,
    /// Its plan.
    plan: Option<Plan>,
    /// Its regions. Left out: that of its storage location.
    #[serde(default)]
    regions: Vec<String>,
    /// The one in which its backups are stored. Needed if there are several.
    primary_region: Option<String>,
    /// Where its backups go: a location in the primary region. Left out: the first one there.
    storage_location_id: Option<Uuid>,
    /// Who runs the machines.
    provider: Option<Provider>,
}

/// Attach a cluster. Its server is asked first, and nothing is written if it can not be backed up.
#[utoipa::path(post, path = "/clusters", tag = "Clusters", request_body = CreateCluster,
    responses((status = 200, body = Cluster)))]
async fn create_cluster(
    State(app): State<App>,
    signed: Signed,
    Body(body): Body<CreateCluster>,
) -> Reply<Cluster> {
    let ours = body.strongroom.unwrap_or_default();
    let spec = body.spec;
    let plan = ours.plan.or(spec.plan).or(match (&spec.serverless, &spec.dedicated) {
        (Some(_), None) => Some(Plan::Standard),
        (None, Some(_)) => Some(Plan::Advanced),
        _ => None,
    });
    let provider = ours.provider.or(body.provider).unwrap_or(Provider::SelfHosted);
    let (regions, primary, as_given) = original(spec.serverless, spec.dedicated);
    let place = PlaceRequest {
        regions: if ours.regions.is_empty() { regions } else { ours.regions },
        primary: ours.primary_region.or(primary),
        location: ours.storage_location_id.map(LocationId::from),
    };
    let request = ClusterRequest {
        name: body.name,
        url: ours.url.map(Secret::new),
        plan: plan.map(Into::into),
        provider: provider.into(),
        place,
        labels: spec.labels,
        delete_protection: spec.delete_protection.is_some_and(DeleteProtection::is_enabled),
        folder: spec.parent_id.as_deref().map(folder).transpose()?.flatten(),
        as_given,
    };
    Ok(Json(app.attach_cluster(&signed.caller, request).await?.into()))
}

/// The regions that the original's spec names, the primary one, and what is kept to come back.
fn original(
    serverless: Option<ServerlessSpec>,
    dedicated: Option<DedicatedSpec>,
) -> (Vec<String>, Option<String>, AsGiven) {
    let serverless = serverless.unwrap_or_default();
    let dedicated = dedicated.unwrap_or_default();
    let hardware = dedicated.hardware.unwrap_or_default();
    let machine = hardware.machine_spec.unwrap_or_default();
    let mut regions = serverless.regions;
    regions.extend(dedicated.region_nodes.keys().cloned());
    let given = AsGiven {
        usage_limits: serverless.usage_limits.map(|limits| model::UsageLimits {
            request_unit_limit: limits.request_unit_limit,
            storage_mib_limit: limits.storage_mib_limit,
            provisioned_virtual_cpus: limits.provisioned_virtual_cpus,
        }),
        upgrade_type: serverless.upgrade_type.map(Into::into),
        storage_gib: hardware.storage_gib,
        num_virtual_cpus: machine.num_virtual_cpus,
        machine_type: machine.machine_type,
        disk_iops: hardware.disk_iops,
        cidr_range: dedicated.cidr_range,
        network_visibility: dedicated.network_visibility,
        node_counts: dedicated.region_nodes,
    };
    (regions, serverless.primary_region.filter(|region| !region.is_empty()), given)
}

fn folder(parent: &str) -> Result<Option<FolderId>, Error> {
    if parent.is_empty() || parent == "root" {
        return Ok(None);
    }
    Ok(Some(parent.parse::<FolderId>()?))
}

/// A server to be looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckConnection {
    /// How to connect to it, with the password.
    #[schema(write_only)]
    url: String,
}

/// Look at a server as attaching would, and tell what will not work.
#[utoipa::path(post, path = "/clusters/check-connection", tag = "Clusters",
    request_body = CheckConnection, responses((status = 200, body = CheckedConnection)))]
async fn check_connection(
    State(app): State<App>,
    signed: Signed,
    Body(body): Body<CheckConnection>,
) -> Reply<CheckedConnection> {
    Ok(Json(app.check_connection(&signed.caller, &Secret::new(body.url)).await?.into()))
}

/// The regions that clusters can be in: those with a storage location.
#[utoipa::path(get, path = "/clusters/available-regions", tag = "Clusters", params(RegionQuery, Paging),
    responses((status = 200, body = AvailableRegions)))]
async fn list_available_regions(
    State(app): State<App>,
    _: Signed,
    Query(unused): Query<RegionQuery>,
    Query(paging): Query<Paging>,
) -> Reply<AvailableRegions> {
    let RegionQuery { .. } = unused;
    paging.page()?;
    Ok(Json(app.available_regions().await?.into()))
}

/// What the original asks of a list of regions. It makes no difference here.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "taken, and without effect")]
struct RegionQuery {
    /// Not used here.
    provider: Option<String>,
    /// Not used here.
    serverless: Option<bool>,
}

/// The major versions of servers that can be attached.
#[utoipa::path(get, path = "/cluster-versions", tag = "Clusters", params(Paging),
    responses((status = 200, body = ClusterVersions)))]
async fn list_cluster_versions(
    State(app): State<App>,
    _: Signed,
    Query(paging): Query<Paging>,
) -> Reply<ClusterVersions> {
    paging.page()?;
    Ok(Json(app.cluster_versions().into()))
}

/// A cluster, deleted or not.
#[utoipa::path(get, path = "/clusters/{cluster_id}", tag = "Clusters",
    params(("cluster_id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, body = Cluster)))]
async fn get_cluster(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
) -> Reply<Cluster> {
    Ok(Json(app.cluster(&signed.caller, ClusterId::from(id)).await?.into()))
}

/// What can be changed of a cluster. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(
    dead_code,
    reason = "what the original's clients send is taken, and some of it means nothing here"
)]
struct UpdateCluster {
    /// Another plan.
    plan: Option<Plan>,
    /// Whether deleting it is refused.
    delete_protection: Option<DeleteProtection>,
    /// Other labels, in place of all.
    labels: Option<BTreeMap<String, String>>,
    /// Another folder, or `root`.
    parent_id: Option<String>,
    /// Other regions of a serverless cluster.
    serverless: Option<ServerlessSpec>,
    /// Other regions of a dedicated cluster.
    dedicated: Option<DedicatedSpec>,
    /// Not used here.
    upgrade_status: Option<String>,
    /// The version that the server has: a check, and no change. Another major version is refused, as
    /// servers are upgraded by their owners.
    cockroach_version: Option<String>,
    /// What is ours, and wins over the rest.
    strongroom: Option<UpdateExtras>,
}

/// What is ours to be changed of a cluster.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateExtras {
    /// Another name.
    name: Option<String>,
    /// Another way to connect; the server is asked first, as when attaching.
    #[schema(write_only)]
    url: Option<String>,
    /// Another plan.
    plan: Option<Plan>,
    /// Other regions.
    #[serde(default)]
    regions: Vec<String>,
    /// Another primary region; refused once backups lie in the old one.
    primary_region: Option<String>,
    /// Another place for backups; refused once backups lie in the old one.
    storage_location_id: Option<Uuid>,
}

/// Change a cluster.
#[utoipa::path(patch, path = "/clusters/{cluster_id}", tag = "Clusters",
    params(("cluster_id" = Uuid, Path, description = "Its id.")),
    request_body = UpdateCluster, responses((status = 200, body = Cluster)))]
async fn update_cluster(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Body(body): Body<UpdateCluster>,
) -> Reply<Cluster> {
    let ours = body.strongroom.unwrap_or_default();
    let (regions, primary, as_given) = original(body.serverless, body.dedicated);
    let patch = ClusterPatch {
        name: ours.name,
        url: ours.url.map(Secret::new),
        plan: ours.plan.map(Into::into),
        api_plan: body.plan.map(Into::into),
        place: PlaceRequest {
            regions: if ours.regions.is_empty() { regions } else { ours.regions },
            primary: ours.primary_region.or(primary),
            location: ours.storage_location_id.map(LocationId::from),
        },
        labels: body.labels,
        delete_protection: body.delete_protection.map(DeleteProtection::is_enabled),
        folder: body.parent_id.as_deref().map(folder).transpose()?,
        as_given,
        version: body.cockroach_version,
    };
    let id = ClusterId::from(id);
    Ok(Json(app.change_cluster(&signed.caller, id, patch).await?.into()))
}

/// Delete a cluster. Its server is not touched, and its backups stay for their time.
#[utoipa::path(delete, path = "/clusters/{cluster_id}", tag = "Clusters",
    params(("cluster_id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, body = Cluster)))]
async fn delete_cluster(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
) -> Reply<Cluster> {
    Ok(Json(app.delete_cluster(&signed.caller, ClusterId::from(id)).await?.into()))
}

/// The servers of a cluster.
#[utoipa::path(get, path = "/clusters/{cluster_id}/nodes", tag = "Clusters",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id."), NodeQuery, Paging),
    responses((status = 200, body = Nodes)))]
async fn list_cluster_nodes(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Query(query): Query<NodeQuery>,
    Query(paging): Query<Paging>,
) -> Reply<Nodes> {
    paging.page()?;
    let mut nodes = app.cluster_nodes(&signed.caller, ClusterId::from(id)).await?;
    if let Some(region) = query.region_name.filter(|region| !region.is_empty()) {
        nodes.retain(|node| node.region == region);
    }
    Ok(Json(nodes.into()))
}

/// Which servers are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NodeQuery {
    /// Only those in this region.
    region_name: Option<String>,
}

/// For whom the connection string is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "os is taken, and without effect")]
struct ConnectionQuery {
    /// The database to connect to.
    database: Option<String>,
    /// The user to connect as.
    sql_user: Option<String>,
    /// Not used here.
    os: Option<String>,
}

/// How to connect to a cluster, but for the password.
#[utoipa::path(get, path = "/clusters/{cluster_id}/connection-string", tag = "Clusters",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id."), ConnectionQuery),
    responses((status = 200, body = ConnectionString)))]
async fn get_connection_string(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Query(query): Query<ConnectionQuery>,
) -> Reply<ConnectionString> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (user, database) = (given(query.sql_user), given(query.database));
    let id = ClusterId::from(id);
    let string =
        app.connection_string(&signed.caller, id, user.as_deref(), database.as_deref()).await?;
    Ok(Json(string.into()))
}
