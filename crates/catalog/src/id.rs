//! Typed ids: a cluster's id can not be passed where a job's is wanted.
//!
//! All of them are UUIDs in lower case, which the API's clients insist on. New ones are version 7:
//! they begin with the time, so that rows made together lie together in an index. A backup's id is
//! derived from where it lies, so that a rebuilt catalog gives it the same one again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::CatalogError;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident: $what:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub(crate) Uuid);

        impl $name {
            /// A new id, unlike all others.
            #[allow(clippy::new_without_default, reason = "a default would not be a new id")]
            pub fn new() -> Self {
                $name(Uuid::now_v7())
            }

            /// The UUID.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                $name(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = CatalogError;

            fn from_str(text: &str) -> Result<Self, CatalogError> {
                let bad = |_| CatalogError::invalid($what, format!("'{text}' is not a UUID"));
                text.parse().map($name).map_err(bad)
            }
        }

        impl crate::database::Bind for $name {
            fn bind(&self) -> crate::database::Arg {
                crate::database::Arg::Id(Some(self.0))
            }

            fn null() -> crate::database::Arg {
                crate::database::Arg::Id(None)
            }
        }

        impl crate::database::Column for $name {
            fn read(row: &crate::database::Row, name: &str) -> crate::Result<Option<Self>> {
                Ok(<Uuid as crate::database::Column>::read(row, name)?.map($name))
            }
        }
    )+};
}

ids! {
    /// Names the organization.
    OrganizationId: "organization id";
    /// Names a user.
    UserId: "user id";
    /// Names a service account.
    ServiceAccountId: "service account id";
    /// Names an API key. It is no secret.
    ApiKeyId: "API key id";
    /// Names an audit event.
    AuditEventId: "audit event id";
    /// Names a storage location.
    LocationId: "storage location id";
    /// Names a cluster.
    ClusterId: "cluster id";
    /// Names a folder of clusters.
    FolderId: "folder id";
    /// Names a backup in the catalog and the API. Its name in the storage is `engine_id`.
    BackupId: "backup id";
    /// Names a job; of a restore or a drill, too.
    JobId: "job id";
}

impl BackupId {
    /// The id of the backup that is called `engine_id` in the collection of `cluster`. Always the same,
    /// wherever that collection lies, so that links and Terraform states survive a rebuilt catalog.
    pub fn of(cluster: ClusterId, engine_id: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("strongroom 2026-11 catalog backup id");
        hasher.update(cluster.0.as_bytes());
        hasher.update(engine_id.as_bytes());
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        BackupId(Builder::from_custom_bytes(bytes).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_has_the_same_id_in_every_catalog() {
        let cluster: ClusterId = "0192f0c1-2345-7abc-8def-0123456789ab".parse().unwrap();
        let id = BackupId::of(cluster, "2026/11/22-130000.00");
        assert_eq!(id, BackupId::of(cluster, "2026/11/22-130000.00"));
        assert_ne!(id, BackupId::of(cluster, "2026/11/22-130000.01"));
        assert_ne!(id, BackupId::of(ClusterId::new(), "2026/11/22-130000.00"));
        // Stored in states and links: this may never change.
        assert_eq!(id.to_string(), "98c4cd17-1723-86d9-bd5d-65eea9c84cb8");
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "latest", "0192f0c1-2345-7abc-8def-0123456789a", "' OR 1=1"] {
            assert!(text.parse::<ClusterId>().is_err(), "{text}");
        }
    }
}
