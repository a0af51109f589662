//! The master key of the service's catalog is changed without losing what it seals.

use std::fs;

use tempfile::TempDir;

use crate::support::strongroom;

#[test]
fn the_master_key_is_rotated_in_two_steps() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let catalog =
        |verb: &str| strongroom(&["catalog", verb, "--data-dir", data]).expect_ok().stdout;
    let keys = || {
        let text = fs::read_to_string(folder.path().join("master.key")).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    // The first start makes catalog, key, and a storage location whose URL is sealed.
    catalog("rebuild");
    let first = keys();
    assert_eq!(first.len(), 1);

    let said = catalog("add-key");
    assert!(said.contains("restart all of them, then strongroom catalog retire-key"), "{said}");
    let both = keys();
    assert_eq!((both.len(), &both[1]), (2, &first[0]));
    catalog("rebuild");

    let said = catalog("retire-key");
    assert!(said.starts_with("2 secrets are sealed with the newest key"), "{said}");
    assert_eq!(keys(), both[..1]);
    assert!(catalog("rebuild").contains("storage location default"), "it opens with the new key");
    catalog("retire-key");

    // Another catalog's key is refused, and not made older.
    let before = keys();
    fs::write(folder.path().join("master.key"), format!("{}\n", "ab".repeat(32))).unwrap();
    let refused = strongroom(&["catalog", "add-key", "--data-dir", data]).expect_fail(1);
    assert!(
        refused.stderr.contains("is not the one that the catalog was made with"),
        "{refused:?}"
    );
    assert_ne!(keys(), before);
    assert_eq!(keys().len(), 1);
}
