//! What is shown of the control plane's types: a file per noun.
//!
//! Field names are those of the original's API where it has them; what is ours beside it stands in
//! an object named `strongroom`, so that it can not clash with what the original adds later.

pub mod accounts;
pub mod audit;
pub mod backup_settings;
pub mod backups;
pub mod clusters;
pub mod contents;
pub mod databases;
pub mod drills;
pub mod jobs;
pub mod organization;
pub mod restores;
pub mod roles;
pub mod session;
pub mod storage_locations;
pub mod users;

use serde::Serialize;
use strongroom_controlplane::Action as Allowed;
use utoipa::ToSchema;

/// Something that can be done with an object, and whether this caller can do it now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Action {
    /// What.
    pub name: String,
    /// Whether it would be let through.
    pub allowed: bool,
    /// Why not.
    pub reason: Option<String>,
}

impl From<Allowed> for Action {
    fn from(action: Allowed) -> Self {
        Action { name: action.name.to_owned(), allowed: action.allowed, reason: action.reason }
    }
}

/// Nothing: the reply of operations that have nothing to say but that they were done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Empty {}

/// Integers of 64 bits travel as text: `#[serde(with = "crate::views::int64")]`, and
/// `#[schema(value_type = String, format = Int64)]`.
pub mod int64 {
    use serde::Serializer;

    /// Writes it as text.
    pub fn serialize<S: Serializer>(
        value: &impl std::fmt::Display,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }
}

/// The same where there may be none: `#[serde(with = "crate::views::some_int64")]`. Read from a number,
/// too, which some clients send.
pub mod some_int64 {
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Number(i64),
    }

    /// Writes it as text.
    pub fn serialize<S: Serializer>(value: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<i64>, D::Error> {
        match Option::<Written>::deserialize(reader)? {
            None => Ok(None),
            Some(Written::Number(number)) => Ok(Some(number)),
            Some(Written::Text(text)) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(de::Error::invalid_value(
                    de::Unexpected::Str(&text),
                    &"an integer of 64 bits, as text",
                )),
            },
        }
    }
}
