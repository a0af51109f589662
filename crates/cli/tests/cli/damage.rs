//! Stored bytes that are no longer what was written: whoever reads them names the object and stops.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use strongroom_testkit::{Cluster, Output, Strongroom, assert_same_contents};
use tempfile::TempDir;

use crate::state::{
    Random, State, assert_nothing_left, bytes_below, complete, files, shop, state, told,
};
use crate::support::{collection, strongroom};

/// Two backups of a shop that changed in between, and a server to restore them to.
struct Vault {
    cluster: Cluster,
    before: State,
    folder: TempDir,
    place: String,
    key: Option<PathBuf>,
    _keys: TempDir,
    /// The object names of the newer backup, below its id.
    objects: Vec<String>,
    older: String,
    newer: String,
}

impl Vault {
    fn new(encrypted: bool) -> Self {
        let (cluster, folder, keys) =
            (Cluster::start(), TempDir::new().unwrap(), TempDir::new().unwrap());
        cluster.create_database("shop");
        cluster.psql("shop", &shop(6_000));
        let key = encrypted.then(|| keys.path().join("key"));
        if let Some(key) = &key {
            fs::write(key, "c0ffee00".repeat(8)).unwrap();
        }
        let place = collection(folder.path());
        let mut vault = Vault {
            before: State::new(),
            objects: Vec::new(),
            older: String::new(),
            newer: String::new(),
            _keys: keys,
            cluster,
            folder,
            place,
            key,
        };
        let url = vault.cluster.url("postgres");
        let backup = || {
            // One worker fills one pack, so that each of the two backups has one to be swapped.
            let args = ["backup", "--from", &url, "--database", "shop", "--workers", "1"];
            vault.run(&[&args[..], &["--into", &vault.place]].concat()).expect_ok();
        };
        backup();
        vault.cluster.psql(
            "shop",
            "UPDATE customers SET name = 'client ' || id; UPDATE orders SET progress = 'paid';
             ALTER TABLE archive.empty ADD note text; SELECT lo_put(4711, 10, 'new');",
        );
        backup();
        let ids = complete(&vault.place);
        (vault.older, vault.newer) = (ids[0].clone(), ids[1].clone());
        let root = vault.folder.path().join(&vault.newer);
        let name = |path: PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
        vault.objects = files(&root).into_iter().map(name).collect();
        vault.before = state(&vault.cluster);
        vault
    }

    /// A run with the key, where there is one.
    fn run(&self, args: &[&str]) -> Strongroom {
        let program = strongroom(args).arg("--json");
        match &self.key {
            Some(key) => program.arg("--key-file").arg(key),
            None => program,
        }
    }

    fn verify(&self, id: &str) -> Strongroom {
        self.run(&["verify", id, "--in", &self.place])
    }

    fn restore(&self, id: &str) -> Strongroom {
        let url = self.cluster.url("postgres");
        let what = ["restore", "database", "shop", "--restore-to", "regained", "--to", &url];
        self.run(&[&what[..], &["--from", id, "--in", &self.place]].concat())
    }

    fn path(&self, id: &str, object: &str) -> PathBuf {
        self.folder.path().join(id).join(object)
    }

    /// Asserts that a run has refused to go on, and names the object.
    #[track_caller]
    fn assert_named(&self, output: &Output, object: &str, damage: &str) {
        assert_eq!(output.code, Some(1), "{object} {damage}: {output:#?}");
        let (kind, message, hint) = told(output);
        let path = format!("{}/{object}", self.newer);
        assert!(message.contains(&path), "{object} {damage}: {output:#?}");
        // Without the right bytes of the envelope nobody can tell a wrong key from a wrong envelope.
        let expected = if object == "ENCRYPTION-INFO" { "damaged key" } else { "damaged" };
        assert!(expected.contains(&kind), "{object} {damage}: {output:#?}");
        assert!(!hint.is_empty(), "{object} {damage}: {output:#?}");
    }

    /// Asserts that the server is as it was before the restores.
    #[track_caller]
    fn assert_unchanged(&self) {
        assert_nothing_left(&self.cluster);
        assert_same_contents(&self.before, &state(&self.cluster));
    }

    /// Asserts that both backups are whole again, so that no damage hid behind an earlier one.
    #[track_caller]
    fn assert_whole(&self) {
        for id in [&self.older, &self.newer] {
            self.verify(id).expect_ok();
        }
    }
}

/// The ways in which an object of the newer backup is damaged. `other` is that of the older one.
fn damages(whole: &[u8], other: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let middle = whole.len() / 2;
    let mut flipped = whole.to_vec();
    flipped[middle] ^= 1;
    vec![
        ("is cut to 40 %", Some(whole[..whole.len() * 4 / 10].to_vec())),
        ("is one byte short", Some(whole[..whole.len() - 1].to_vec())),
        ("is empty", Some(Vec::new())),
        ("has one bit flipped", Some(flipped)),
        ("is zeroed from the middle on", Some([&whole[..middle], &vec![0; middle + 1]].concat())),
        ("is that of another backup", Some(other.to_vec())),
        ("is missing", None),
    ]
}

/// The kind of an object: its name without what differs between backups.
fn kind_of(object: &str) -> &str {
    if object.ends_with(".pack") { "data/*.pack" } else { object }
}

fn every_damage_of_every_object_is_named(vault: &Vault) {
    let mut kinds: Vec<&str> = vault.objects.iter().map(|object| kind_of(object)).collect();
    kinds.dedup();
    let mut expected = vec!["CONTENTS", "MANIFEST", "SEGMENTS", "data/*.pack", "schema/0.dump"];
    if vault.key.is_some() {
        expected.insert(1, "ENCRYPTION-INFO");
    }
    assert_eq!(kinds, expected);
    let others: BTreeMap<String, Vec<u8>> = bytes_below(&vault.folder.path().join(&vault.older))
        .into_iter()
        .map(|(path, bytes)| {
            let root = vault.folder.path().join(&vault.older);
            let name = path.strip_prefix(root).unwrap().display().to_string();
            (kind_of(&name).to_owned(), bytes)
        })
        .collect();
    for object in &vault.objects {
        let path = vault.path(&vault.newer, object);
        let whole = fs::read(&path).unwrap();
        for (damage, bytes) in damages(&whole, &others[kind_of(object)]) {
            println!("{object} {damage}");
            match bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            for id in [&vault.newer, "latest"] {
                vault.assert_named(&vault.verify(id).run(), object, damage);
            }
            vault.assert_named(&vault.restore(&vault.newer).run(), object, damage);
            fs::write(&path, &whole).unwrap();
        }
        vault.assert_unchanged();
    }
    vault.assert_whole();
}

#[test]
fn every_damage_of_every_object_is_named_and_nothing_is_restored() {
    every_damage_of_every_object_is_named(&Vault::new(false));
}

#[test]
fn every_damage_of_every_encrypted_object_is_named_and_nothing_is_restored() {
    every_damage_of_every_object_is_named(&Vault::new(true));
}

#[test]
fn a_flipped_bit_is_found_wherever_it_lies() {
    for encrypted in [false, true] {
        let vault = Vault::new(encrypted);
        let mut random = Random::seeded(11);
        for object in &vault.objects {
            // An envelope has no checksum of its own; what a flip in it may do is tested above.
            if object == "ENCRYPTION-INFO" {
                continue;
            }
            let path = vault.path(&vault.newer, object);
            let whole = fs::read(&path).unwrap();
            let is_pack = object.ends_with(".pack");
            let mut places: Vec<u64> = vec![0, whole.len() as u64 - 1];
            let more = if is_pack { 16 } else { 4 };
            places.extend((0..more).map(|_| random.below(whole.len() as u64)));
            for (number, at) in places.into_iter().enumerate() {
                // In letters, the sixth bit makes them capitals, which mean the same in a checksum.
                let bit = [0, 1, 2, 3, 4, 6, 7][random.below(7) as usize];
                let damage = format!("has bit {bit} of byte {at} flipped");
                let mut bytes = whole.clone();
                bytes[at as usize] ^= 1 << bit;
                fs::write(&path, bytes).unwrap();
                vault.assert_named(&vault.verify("latest").run(), object, &damage);
                if is_pack && number % 4 == 0 {
                    vault.assert_named(&vault.restore("latest").run(), object, &damage);
                }
            }
            fs::write(&path, &whole).unwrap();
        }
        vault.assert_unchanged();
        vault.assert_whole();
    }
}

#[test]
fn a_backup_beside_a_damaged_one_is_restored() {
    let vault = Vault::new(false);
    for object in &vault.objects {
        fs::write(vault.path(&vault.newer, object), "damaged").unwrap();
    }
    vault.verify(&vault.older).expect_ok();
    vault.restore(&vault.older).expect_ok();
    let names = vault.cluster.psql("regained", "SELECT min(name) FROM customers");
    assert_eq!(names, "customer 1");
}

/// A copy of a backup under another id is not taken for it.
#[test]
fn a_backup_that_was_moved_is_not_taken_for_another() {
    let vault = Vault::new(false);
    let moved = "2001/01/01-000000.00";
    let to = vault.folder.path().join(moved);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    copy(&vault.folder.path().join(&vault.newer), &to);
    let output = vault.verify(moved).expect_fail(1);
    let (kind, message, _) = told(&output);
    assert_eq!(kind, "damaged");
    assert!(message.contains(&format!("{moved}/MANIFEST")), "{message}");
    assert!(message.contains(&vault.newer), "{message}");
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}
