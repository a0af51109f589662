//! The SQL statement that a job stands for, as lists of jobs show it.
//!
//! It is what a person would type to do the same by hand, but for secrets: those of a storage
//! location are parameters of its URL, and the URL that is shown has none.

use strongroom_catalog::ClusterId;
use strongroom_dataplane::store;
use strongroom_format::manifest::BackupType;

/// The statement of a backup of a cluster into a storage location, which is shown as `location`.
pub fn backup(kind: BackupType, location: &str, cluster: ClusterId) -> String {
    let into = match kind {
        BackupType::Full => "INTO",
        BackupType::Incremental => "INTO LATEST IN",
    };
    format!("BACKUP {into} {} WITH detached", literal(&within(location, cluster)))
}

/// The URL of a cluster's collection in a storage location, without secrets.
pub fn within(location: &str, cluster: ClusterId) -> String {
    // Its name is that of a folder.
    store::within(location, &cluster.to_string()).unwrap_or_else(|_| location.to_owned())
}

/// A name as a person would type it.
pub(crate) fn ident(name: &str) -> String {
    let plain = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A text as an SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_a_statement() {
        let cluster: ClusterId = "0192f0c1-2345-7abc-8def-0123456789ab".parse().unwrap();
        assert_eq!(
            backup(BackupType::Full, "s3://b/it's/", cluster),
            "BACKUP INTO 's3://b/it''s/0192f0c1-2345-7abc-8def-0123456789ab' WITH detached"
        );
        assert_eq!(
            backup(BackupType::Full, "s3://b/x?AWS_ENDPOINT=http://h:9000", cluster),
            "BACKUP INTO 's3://b/x/0192f0c1-2345-7abc-8def-0123456789ab?AWS_ENDPOINT=http://h:9000' \
             WITH detached"
        );
        assert_eq!(
            backup(BackupType::Incremental, "file:///var/b", cluster),
            "BACKUP INTO LATEST IN 'file:///var/b/0192f0c1-2345-7abc-8def-0123456789ab' \
             WITH detached"
        );
    }
}
