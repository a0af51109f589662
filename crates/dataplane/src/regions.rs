//! The regions that databases were declared to live in.
//!
//! PostgreSQL has no regions of its own. Ours stand in the database itself, as two of its settings:
//!
//! ```sql
//! ALTER DATABASE shop SET strongroom.primary_region = 'eu-west-1';
//! ALTER DATABASE shop SET strongroom.regions = 'eu-west-1,us-east-1';
//! ```
//!
//! So they go wherever the database goes: `pg_dump` writes them among its properties, every backup
//! has them without a word in its contents, and a restore of the database sets them again.

use crate::Result;
use crate::collection::Backup;
use crate::postgres::archive::{Archive, Entry};
use crate::postgres::connect::Client;
use crate::postgres::server::Server;
use crate::postgres::sql::{Token, ident, literal, literal_text, tokens, unquoted};

/// The setting with the primary region.
pub const PRIMARY: &str = "strongroom.primary_region";
/// The setting with all regions, separated by commas.
pub const ALL: &str = "strongroom.regions";

/// A database, and where it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseRegions {
    /// Its name.
    pub database: String,
    /// Its primary region, if it was declared.
    pub primary: Option<String>,
    /// All its regions in the order in which they were declared, the primary one among them.
    pub regions: Vec<String>,
}

impl DatabaseRegions {
    fn new(database: &str, primary: Option<String>, all: Option<String>) -> Self {
        let primary = primary.filter(|name| !name.trim().is_empty());
        let primary = primary.map(|name| name.trim().to_owned());
        let mut regions: Vec<String> = primary.clone().into_iter().collect();
        for name in all.as_deref().unwrap_or_default().split(',').map(str::trim) {
            if !name.is_empty() && !regions.iter().any(|known| known == name) {
                regions.push(name.to_owned());
            }
        }
        DatabaseRegions { database: database.to_owned(), primary, regions }
    }

    /// Whether it lives in several regions.
    pub fn is_multi_region(&self) -> bool {
        self.regions.len() > 1
    }
}

/// The regions of every database of a backup. Asks no server.
pub async fn of_backup(backup: &Backup) -> Result<Vec<DatabaseRegions>> {
    let mut found = Vec::new();
    for database in &backup.contents.databases {
        let archive = Archive::parse(&backup.schema(database).await?)?;
        found.push(DatabaseRegions::new(
            &database.name,
            declared(&archive.entries, PRIMARY),
            declared(&archive.entries, ALL),
        ));
    }
    Ok(found)
}

/// The value that a database's properties give a setting.
fn declared(entries: &[Entry], setting: &str) -> Option<String> {
    let properties = entries.iter().filter(|entry| entry.kind == "DATABASE PROPERTIES");
    properties.filter_map(|entry| value_of(&entry.definition, setting)).next_back()
}

fn value_of(definition: &str, setting: &str) -> Option<String> {
    let mut rest = tokens(definition).into_iter();
    rest.find(|token| matches!(token, Token::Quoted(name) if unquoted(name) == setting))?;
    let of_statement = rest.take_while(|token| !matches!(token, Token::Semicolon));
    let mut literals = of_statement.filter_map(|token| match token {
        Token::Literal(text) => Some(literal_text(text)),
        _ => None,
    });
    literals.next()
}

/// Whether a statement sets one of the two.
pub(crate) fn is_declaration(statement: &str) -> bool {
    let names = [PRIMARY, ALL];
    tokens(statement).iter().any(
        |token| matches!(token, Token::Quoted(name) if names.contains(&unquoted(name).as_str())),
    )
}

/// The regions of every database of a server, templates left out.
pub async fn of_server(server: &Server) -> Result<Vec<DatabaseRegions>> {
    let client = Client::connect(server, &server.database, "strongroom").await?;
    let rows = client
        .query(
            "SELECT d.datname::text, s.setconfig FROM pg_catalog.pg_database d \
             LEFT JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = d.oid AND s.setrole = 0 \
             WHERE NOT d.datistemplate AND d.datallowconn ORDER BY 1",
            &[],
        )
        .await?;
    let regions = rows.iter().map(|row| {
        let (name, settings): (String, Option<Vec<String>>) = (row.get(0), row.get(1));
        let value = |wanted: &str| {
            settings.iter().flatten().find_map(|setting| {
                let (name, value) = setting.split_once('=')?;
                (name == wanted).then(|| value.to_owned())
            })
        };
        DatabaseRegions::new(&name, value(PRIMARY), value(ALL))
    });
    Ok(regions.collect())
}

/// Declares where a database of the server lives; with no regions, that it was not declared.
pub async fn declare(server: &Server, regions: &DatabaseRegions) -> Result<()> {
    let client = Client::connect(server, &server.database, "strongroom").await?;
    let name = ident(&regions.database);
    let set = |setting: &str, value: Option<String>| match value {
        Some(value) => format!("ALTER DATABASE {name} SET {setting} = {};\n", literal(&value)),
        None => format!("ALTER DATABASE {name} RESET {setting};\n"),
    };
    let all = (!regions.regions.is_empty()).then(|| regions.regions.join(","));
    let statements = [set(PRIMARY, regions.primary.clone()), set(ALL, all)].concat();
    client.batch_execute(&format!("BEGIN;\n{statements}COMMIT;\n")).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_read_from_what_pg_dump_writes() {
        let definition = "ALTER DATABASE \"shop\" SET \"TimeZone\" TO 'UTC';\n\
            ALTER DATABASE \"shop\" SET \"strongroom.primary_region\" TO 'us-east-1';\n\
            ALTER DATABASE \"shop\" SET \"strongroom.regions\" TO 'eu-west-1, us-east-1,eu-west-1';\n";
        let (primary, all) = (value_of(definition, PRIMARY), value_of(definition, ALL));
        let regions = DatabaseRegions::new("shop", primary, all);
        assert_eq!(regions.primary.as_deref(), Some("us-east-1"));
        assert_eq!(regions.regions, ["us-east-1", "eu-west-1"]);
        assert!(regions.is_multi_region());
        assert_eq!(value_of(definition, "strongroom.other"), None);
        let plain = DatabaseRegions::new("shop", None, Some(" ,".to_owned()));
        assert!(plain.regions.is_empty() && !plain.is_multi_region());
    }
}
