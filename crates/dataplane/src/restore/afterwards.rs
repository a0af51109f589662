//! What a restore can not bring back, since no backup holds it: told from what the backup does hold.
//!
//! What a restore leaves out or finds different, it notes itself while it runs.

use std::collections::BTreeSet;

use strongroom_format::contents::Database;

use super::RestoreTarget;
use crate::Result;
use crate::collection::Backup;
use crate::postgres::archive::Archive;
use crate::postgres::sql::ident;

/// What a person has to set again after such a restore. `elsewhere`: into another cluster than the one
/// that the backup was taken of.
pub async fn afterwards(
    backup: &Backup,
    target: &RestoreTarget,
    elsewhere: bool,
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    match target {
        RestoreTarget::Cluster => {
            for database in &backup.contents.databases {
                found.extend(of_database(backup, database, &database.name).await?);
            }
            found.extend(of_cluster(backup, elsewhere));
        }
        RestoreTarget::Databases { names, restore_to } => {
            for name in names {
                let shown = restore_to.as_ref().unwrap_or(name);
                found.extend(of_database(backup, backup.database(name)?, shown).await?);
            }
        }
        RestoreTarget::Tables { new_table_name, into_schema, .. } => {
            if new_table_name.is_some() || into_schema.is_some() {
                found.push(
                    "views, functions and foreign keys that name the living table still do: point \
                     those that shall use the restored one at it"
                        .to_owned(),
                );
            }
            found.push(
                "a restored table is in no publication: ALTER PUBLICATION ... ADD TABLE ... where it \
                 shall be replicated"
                    .to_owned(),
            );
        }
    }
    Ok(found)
}

async fn of_database(backup: &Backup, database: &Database, shown: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let archive = Archive::parse(&backup.schema(database).await?)?;
    let publications: BTreeSet<&str> = archive
        .entries
        .iter()
        .filter(|entry| entry.kind == "PUBLICATION")
        .map(|entry| entry.tag.as_str())
        .collect();
    if !publications.is_empty() {
        let names: Vec<&str> = publications.into_iter().collect();
        found.push(format!(
            "replication slots are in no backup: subscribers of publication {} in database \
             \"{shown}\" must be subscribed again (ALTER SUBSCRIPTION ... SET PUBLICATION, with a new \
             slot, and a new copy of the rows)",
            names.join(", ")
        ));
    }
    if database.extensions.iter().any(|extension| extension.name == "pg_cron") {
        found.push(format!(
            "scheduled jobs of pg_cron came back with database \"{shown}\": look through cron.job; they \
             run only where cron.database_name names this database"
        ));
    }
    Ok(found)
}

fn of_cluster(backup: &Backup, elsewhere: bool) -> Vec<String> {
    let mut found = Vec::new();
    let unknown: Vec<String> = backup
        .contents
        .roles
        .iter()
        .filter(|role| role.password_unknown)
        .map(|role| ident(&role.name))
        .collect();
    if !unknown.is_empty() {
        found.push(format!(
            "passwords of roles are not in this backup (it was taken by a role that may not read \
             them): ALTER ROLE ... PASSWORD ... for {}",
            unknown.join(", ")
        ));
    }
    if elsewhere {
        found.push(
            "settings of the server are in no backup: postgresql.conf, ALTER SYSTEM, pg_hba.conf, \
             tablespaces, and physical replication slots are those of this server"
                .to_owned(),
        );
    }
    found
}
