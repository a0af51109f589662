//! Names of tables, ids of backups and paths of objects, as people and listings spell them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_dataplane::names::TableName;
use strongroom_format::BackupId;
use strongroom_format::layout::{Folder, ObjectKey};

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<TableName>() {
        assert_eq!(name.to_string().parse::<TableName>().ok(), Some(name));
    }
    if let Ok(id) = text.parse::<BackupId>() {
        assert_eq!(id.to_string(), text.trim_matches('/'));
        let path = ObjectKey::Manifest(Folder::of_full(id)).path();
        assert_eq!(ObjectKey::folder_of(&path), Some(Folder::of_full(id)));
    }
    if let Ok(folder) = text.parse::<Folder>() {
        assert_eq!(folder.to_string(), text.trim_matches('/'));
    }
    let _ = ObjectKey::folder_of(text);
});
