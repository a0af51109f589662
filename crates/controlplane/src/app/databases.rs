//! Databases and SQL users of a cluster, on its own server.
//!
//! Nothing of this is kept here: the server is asked, and told. Where a database lives, if it lives in
//! several regions, is one of its own settings ([`strongroom_dataplane::regions`]), so that backups
//! have it without further ado.
//!
//! A server's change and its audit event can not be one transaction. The event is recorded after the
//! change, and who gets an error then finds in the log that the change was made. Both run to their end
//! once they have begun, whether or not whoever asked still waits.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use strongroom_catalog::audit::NewEvent;
use strongroom_catalog::clusters::Cluster;
use strongroom_catalog::{ClusterId, Listed, Order, Page, Secret};
use strongroom_dataplane::Kind as EngineKind;
use strongroom_dataplane::postgres::administer;
use strongroom_dataplane::postgres::server::Server;
use strongroom_dataplane::regions::{self, DatabaseRegions};
use tracing::Instrument;

use super::App;
use super::clusters::{cluster_event, deleted, usable};
use super::storage_locations::checked_region;
use crate::{Caller, Error, Kind, Permission, Result};

/// The most names on a page.
const MOST: u32 = 1000;

/// A database of a cluster.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// How many tables it has, if we may look.
    pub table_count: Option<u64>,
    /// Who owns it.
    pub owner: String,
    /// Its primary region, if it was declared.
    pub primary_region: Option<String>,
    /// Its regions, if they were declared.
    pub regions: Vec<String>,
}

/// What is to be changed of a database. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct DatabaseChange {
    /// Another name.
    pub new_name: Option<String>,
    /// Its primary region. Empty: none.
    pub primary_region: Option<String>,
    /// All its regions.
    pub regions: Option<Vec<String>>,
}

impl App {
    /// The databases of a cluster, by name.
    pub async fn databases(
        &self,
        caller: &Caller,
        id: ClusterId,
        page: &Page,
    ) -> Result<Listed<Database>> {
        let (cluster, server) = self.reached(caller, Permission::SeeCluster, id).await?;
        let _turn = self.0.turns.to_ask(id).await?;
        let found = listed(&server).await.map_err(|error| told(&cluster, error))?;
        let mut found = by_name(found, page, self.now(), |database| &database.name)?;
        count_tables(&server, &mut found.items).await;
        Ok(found)
    }

    /// Makes a database.
    pub async fn create_database(
        &self,
        caller: &Caller,
        id: ClusterId,
        name: &str,
    ) -> Result<Database> {
        let (cluster, server) = self.reached(caller, Permission::ManageCluster, id).await?;
        let (app, caller, name) = (self.clone(), caller.clone(), name.to_owned());
        to_its_end(async move {
            let made = administer::create_database(&server, &name).await;
            made.map_err(|error| told(&cluster, error))?;
            app.noted(&caller, &cluster, "DATABASE_CREATED", "database", &name, json!({})).await?;
            app.database(&cluster, &server, &name).await
        })
        .await
    }

    /// Gives a database another name, or other regions.
    pub async fn change_database(
        &self,
        caller: &Caller,
        id: ClusterId,
        name: &str,
        change: DatabaseChange,
    ) -> Result<Database> {
        let (cluster, server) = self.reached(caller, Permission::ManageCluster, id).await?;
        let (app, caller, name) = (self.clone(), caller.clone(), name.to_owned());
        to_its_end(async move {
            let old = app.database(&cluster, &server, &name).await?;
            let DatabaseChange { new_name, primary_region, regions } = change;
            if primary_region.is_some() || regions.is_some() {
                let declared = declaration(&cluster, &old, primary_region, regions)?;
                regions::declare(&server, &declared)
                    .await
                    .map_err(|error| told(&cluster, error))?;
                let details = json!({
                    "primary_region": [old.primary_region, declared.primary],
                    "regions": [old.regions, declared.regions],
                });
                app.noted(
                    &caller,
                    &cluster,
                    "DATABASE_REGIONS_CHANGED",
                    "database",
                    &name,
                    details,
                )
                .await?;
            }
            let mut present = name.as_str();
            if let Some(new_name) = new_name.as_deref().filter(|new_name| *new_name != name) {
                administer::rename_database(&server, &name, new_name)
                    .await
                    .map_err(|error| told(&cluster, error))?;
                let details = json!({ "old_name": name });
                app.noted(&caller, &cluster, "DATABASE_RENAMED", "database", new_name, details)
                    .await?;
                present = new_name;
            }
            app.database(&cluster, &server, present).await
        })
        .await
    }

    /// Removes a database with all that is in it.
    pub async fn drop_database(
        &self,
        caller: &Caller,
        id: ClusterId,
        name: &str,
    ) -> Result<Database> {
        let (cluster, server) = self.reached(caller, Permission::ManageCluster, id).await?;
        let (app, caller, name) = (self.clone(), caller.clone(), name.to_owned());
        to_its_end(async move {
            let old = app.database(&cluster, &server, &name).await?;
            let dropped = administer::drop_database(&server, &name).await;
            dropped.map_err(|error| told(&cluster, error))?;
            let details = json!({ "owner": old.owner, "table_count": old.table_count });
            app.noted(&caller, &cluster, "DATABASE_DROPPED", "database", &name, details).await?;
            Ok(old)
        })
        .await
    }

    /// The roles of a cluster that can log in, by name.
    pub async fn sql_users(
        &self,
        caller: &Caller,
        id: ClusterId,
        page: &Page,
    ) -> Result<Listed<String>> {
        let (cluster, server) = self.reached(caller, Permission::SeeCluster, id).await?;
        let _turn = self.0.turns.to_ask(id).await?;
        let found = administer::users(&server).await.map_err(|error| told(&cluster, error))?;
        by_name(found, page, self.now(), |name| name)
    }

    /// Makes a role that can log in.
    pub async fn create_sql_user(
        &self,
        caller: &Caller,
        id: ClusterId,
        name: &str,
        password: &Secret,
    ) -> Result<()> {
        let (cluster, server) = self.reached(caller, Permission::ManageCluster, id).await?;
        let (app, caller, name) = (self.clone(), caller.clone(), name.to_owned());
        let password = password.clone();
        to_its_end(async move {
            let made = administer::create_user(&server, &name, password.expose()).await;
            made.map_err(|error| told(&cluster, error))?;
            app.noted(&caller, &cluster, "SQL_USER_CREATED", "sql user", &name, json!({})).await
        })
        .await
    }

    /// Removes a role that can log in.
    pub async fn delete_sql_user(&self, caller: &Caller, id: ClusterId, name: &str) -> Result<()> {
        let (cluster, server) = self.reached(caller, Permission::ManageCluster, id).await?;
        not_ours(&server, name)?;
        let (app, caller, name) = (self.clone(), caller.clone(), name.to_owned());
        to_its_end(async move {
            let dropped = administer::drop_user(&server, &name).await;
            dropped.map_err(|error| told(&cluster, error))?;
            app.noted(&caller, &cluster, "SQL_USER_DELETED", "sql user", &name, json!({})).await
        })
        .await
    }

    /// Gives a role another password.
    pub async fn set_sql_password(
        &self,
        caller: &Caller,
        id: ClusterId,
        name: &str,
        password: &Secret,
    ) -> Result<()> {
        let (cluster, server) = self.reached(caller, Permission::ManageCluster, id).await?;
        not_ours(&server, name)?;
        let (app, caller, name) = (self.clone(), caller.clone(), name.to_owned());
        let password = password.clone();
        to_its_end(async move {
            let set = administer::set_password(&server, &name, password.expose()).await;
            set.map_err(|error| told(&cluster, error))?;
            let action = "SQL_USER_PASSWORD_CHANGED";
            app.noted(&caller, &cluster, action, "sql user", &name, json!({})).await
        })
        .await
    }

    /// A cluster that the caller may do this with, and its server.
    async fn reached(
        &self,
        caller: &Caller,
        permission: Permission,
        id: ClusterId,
    ) -> Result<(Cluster, Server)> {
        let cluster = self.cluster_for(caller, permission, id).await?;
        if permission == Permission::SeeCluster && cluster.deleted_at.is_some() {
            return Err(deleted(&cluster));
        }
        if permission != Permission::SeeCluster {
            usable(&cluster)?;
        }
        Ok((cluster, self.server_of(id).await?))
    }

    async fn database(&self, cluster: &Cluster, server: &Server, name: &str) -> Result<Database> {
        let found = listed(server).await.map_err(|error| told(cluster, error))?;
        let found = found.into_iter().find(|database| database.name == name);
        let mut found = found.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("database \"{name}\" does not exist"))
        })?;
        count_tables(server, std::slice::from_mut(&mut found)).await;
        Ok(found)
    }

    /// Tells the audit log what was done to something in a cluster.
    async fn noted(
        &self,
        caller: &Caller,
        cluster: &Cluster,
        action: &str,
        kind: &str,
        name: &str,
        details: Value,
    ) -> Result<()> {
        let event = NewEvent {
            object_kind: kind.to_owned(),
            object_id: Some(name.to_owned()),
            object_name: Some(name.to_owned()),
            ..cluster_event(caller, action, cluster, details)
        };
        let recorded = async {
            let mut write = self.catalog().begin().await?;
            write.record(&event).await?;
            write.commit().await
        };
        recorded.await.map_err(|error| {
            tracing::error!(action, cluster = %cluster.id, name, "done, and not in the audit log");
            Error::from(error).context("it was done, and could not be written to the audit log")
        })
    }
}

/// Runs a change of a server and its audit event to their end, even if whoever asked for it hangs up:
/// what the server then does all the same would else be in no log.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(change.in_current_span()).await.unwrap_or_else(|error| {
        let message = "the service has failed; its log says how";
        Err(Error::new(Kind::Internal, message).caused_by(error))
    })
}

/// What the server said, with the name of the cluster; what clashes by name says so.
fn told(cluster: &Cluster, error: strongroom_dataplane::Error) -> Error {
    let clash = error.kind() == EngineKind::Conflict;
    if clash {
        let message = format!("cluster {}: {}", cluster.name, error.message());
        return Error::new(Kind::AlreadyExists, message).caused_by(error);
    }
    Error::from(error).context(format!("cluster {}", cluster.name))
}

/// The role that the service itself connects as is not changed behind its back.
fn not_ours(server: &Server, name: &str) -> Result<()> {
    if name != server.user {
        return Ok(());
    }
    Err(Error::precondition(format!("Strongroom itself connects as role \"{name}\""))
        .hint("change it on the server, and then the connection URL of the cluster"))
}

/// The databases of a server, by name, their tables not counted.
async fn listed(server: &Server) -> Result<Vec<Database>, strongroom_dataplane::Error> {
    let mut declared: HashMap<_, _> = regions::of_server(server)
        .await?
        .into_iter()
        .map(|declared| (declared.database.clone(), declared))
        .collect();
    let database = |info: administer::DatabaseInfo| {
        let declared = declared.remove(&info.name);
        let (primary_region, regions) =
            declared.map(|declared| (declared.primary, declared.regions)).unwrap_or_default();
        Database { name: info.name, owner: info.owner, table_count: None, primary_region, regions }
    };
    Ok(administer::databases(server).await?.into_iter().map(database).collect())
}

async fn count_tables(server: &Server, databases: &mut [Database]) {
    let names: Vec<String> = databases.iter().map(|database| database.name.clone()).collect();
    let counts = administer::table_counts(server, &names).await;
    for (database, count) in databases.iter_mut().zip(counts) {
        database.table_count = count;
    }
}

/// Where a database is to live, after a request that may name only a part of it.
fn declaration(
    cluster: &Cluster,
    old: &Database,
    primary: Option<String>,
    regions: Option<Vec<String>>,
) -> Result<DatabaseRegions> {
    let primary = match primary {
        Some(primary) if primary.is_empty() => None,
        Some(primary) => Some(checked_region(&primary)?),
        // Without regions there is no primary one.
        None if regions.as_ref().is_some_and(Vec::is_empty) => None,
        None => old.primary_region.clone(),
    };
    let wanted = match (regions, &primary) {
        (Some(regions), _) => regions,
        (None, Some(_)) => old.regions.clone(),
        (None, None) => Vec::new(),
    };
    let mut regions: Vec<String> = primary.clone().into_iter().collect();
    for region in wanted {
        let region = checked_region(&region)?;
        if !regions.contains(&region) {
            regions.push(region);
        }
    }
    if primary.is_none() && !regions.is_empty() {
        return Err(Error::invalid("it is not said which of the regions is primary")
            .hint("give strongroom.primary_region"));
    }
    if let Some(region) = regions.iter().find(|region| !cluster.regions.contains(region)) {
        return Err(Error::invalid(format!(
            "region {region} is none of cluster {}: {}",
            cluster.name,
            cluster.regions.join(", ")
        ))
        .hint("add it to the cluster's regions first"));
    }
    Ok(DatabaseRegions { database: old.name.clone(), primary, regions })
}

/// A page of what a server lists, by name. A token is the name that the page begins behind, or ends
/// before.
fn by_name<T>(
    mut items: Vec<T>,
    page: &Page,
    as_of: Timestamp,
    name: impl Fn(&T) -> &String,
) -> Result<Listed<T>> {
    let descending = page.order == Some(Order::Descending);
    items.sort_by(|one, other| name(one).cmp(name(other)));
    if descending {
        items.reverse();
    }
    let limit = page.limit.unwrap_or(500).clamp(1, MOST) as usize;
    let position = |wanted: &str| {
        items.partition_point(|item| match descending {
            true => name(item).as_str() > wanted,
            false => name(item).as_str() < wanted,
        })
    };
    let start = match page.token.as_deref().map(|token| token.split_once(':')) {
        None => 0,
        Some(Some(("after", last))) => {
            let at = position(last);
            at + usize::from(items.get(at).is_some_and(|item| name(item) == last))
        }
        Some(Some(("before", first))) => position(first).saturating_sub(limit),
        Some(_) => {
            return Err(Error::invalid("the page token is not one that was given out"));
        }
    };
    let end = (start + limit).min(items.len());
    let start = start.min(end);
    let more = end < items.len();
    items.truncate(end);
    let items = items.split_off(start);
    let token = |word: &str, item: Option<&T>| item.map(|item| format!("{word}:{}", name(item)));
    let next = if more { token("after", items.last()) } else { None };
    let previous = if start > 0 { token("before", items.first()) } else { None };
    Ok(Listed { next, previous, items, as_of })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_by_pages_both_ways() {
        let all: Vec<String> = ["d", "b", "a", "e", "c"].map(str::to_owned).into();
        for order in [Order::Ascending, Order::Descending] {
            let read = |token: Option<String>| {
                let page = Page { limit: Some(2), order: Some(order), token, as_of: None };
                by_name(all.clone(), &page, Timestamp::UNIX_EPOCH, |name| name).unwrap()
            };
            let first = read(None);
            let second = read(first.next.clone());
            let third = read(second.next.clone());
            let names = [first.items, second.items.clone(), third.items].concat().concat();
            assert_eq!(names, if order == Order::Ascending { "abcde" } else { "edcba" });
            assert_eq!((first.previous, third.next), (None, None));
            assert_eq!(read(third.previous).items, second.items);
        }
        let wrong = Page { token: Some("x".into()), ..Page::default() };
        assert!(by_name(all, &wrong, Timestamp::UNIX_EPOCH, |name| name).is_err());
    }
}
