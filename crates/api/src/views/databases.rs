//! Databases and SQL users of a cluster, as the API shows them.

use serde::Serialize;
use strongroom_controlplane::app::databases;
use strongroom_controlplane::model;
use utoipa::ToSchema;

use crate::paging::Pagination;

/// A database of a cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// How many tables it has, as text; nothing where nobody may look into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Int64)]
    pub table_count: Option<String>,
    /// What is ours of it.
    pub strongroom: DatabaseExtras,
}

/// What is ours of a database.
#[derive(Debug, Serialize, ToSchema)]
pub struct DatabaseExtras {
    /// The primary one of its regions, if they were declared.
    pub primary_region: Option<String>,
    /// Its regions, if they were declared.
    pub regions: Vec<String>,
    /// Who owns it.
    pub owner: String,
}

impl From<databases::Database> for Database {
    fn from(database: databases::Database) -> Self {
        Database {
            name: database.name,
            table_count: database.table_count.map(|count| count.to_string()),
            strongroom: DatabaseExtras {
                primary_region: database.primary_region,
                regions: database.regions,
                owner: database.owner,
            },
        }
    }
}

/// A page of databases.
#[derive(Debug, Serialize, ToSchema)]
pub struct Databases {
    /// The databases, by name.
    pub databases: Vec<Database>,
    /// Where to go on.
    pub pagination: Pagination,
}

impl From<model::Listed<databases::Database>> for Databases {
    fn from(listed: model::Listed<databases::Database>) -> Self {
        Databases {
            pagination: Pagination::from(&listed),
            databases: listed.items.into_iter().map(Into::into).collect(),
        }
    }
}

/// A role that can log in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SqlUser {
    /// Its name.
    pub name: String,
}

/// A page of SQL users.
#[derive(Debug, Serialize, ToSchema)]
pub struct SqlUsers {
    /// The users, by name.
    pub users: Vec<SqlUser>,
    /// Where to go on.
    pub pagination: Pagination,
}

impl From<model::Listed<String>> for SqlUsers {
    fn from(listed: model::Listed<String>) -> Self {
        SqlUsers {
            pagination: Pagination::from(&listed),
            users: listed.items.into_iter().map(|name| SqlUser { name }).collect(),
        }
    }
}
