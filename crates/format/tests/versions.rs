//! One stored example of every format version, and proof that this build still reads it.
//!
//! `v1/` holds objects as version 1 wrote them. Their bytes never change: a build that can not read
//! them, or reads other values from them, could not restore the backups that people have. A build
//! that writes version 1 otherwise than these examples must raise [`FORMAT_VERSION`] instead.
//!
//! A new version gets a folder of its own: write its examples with
//! `cargo test -p strongroom-format --test versions -- --ignored`, commit them, and keep the tests
//! of the folders before.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::path::Path;

use serde::{Deserialize, Serialize};
use strongroom_format::contents::{
    Column, Contents, Database, Extension, LargeObject, ListRef, Membership, Pack, ReadPoint, Role,
    Sample, Sequence, Table, TableData,
};
use strongroom_format::key::{DataKey, EncryptionInfo, Secret};
use strongroom_format::layout::Folder;
use strongroom_format::manifest::{
    BackupType, DatabaseSummary, Found, Managed, Manifest, Omission, Source, Targets, bury,
};
use strongroom_format::piece::{self, PieceInfo};
use strongroom_format::segment::{self, Segment, SegmentList};
use strongroom_format::{BackupId, Checksum, FORMAT_VERSION, FormatError};

const MANIFEST: &[u8] = include_bytes!("v1/MANIFEST");
const MANAGED_MANIFEST: &[u8] = include_bytes!("v1/MANIFEST-managed");
const INCREMENTAL_MANIFEST: &[u8] = include_bytes!("v1/MANIFEST-incremental");
const ENCRYPTED_MANIFEST: &[u8] = include_bytes!("v1/MANIFEST-encrypted");
const CONTENTS: &[u8] = include_bytes!("v1/CONTENTS.json");
const INCREMENTAL_CONTENTS: &[u8] = include_bytes!("v1/CONTENTS-incremental.json");
const INCREMENTAL_SEGMENT_LIST: &[u8] = include_bytes!("v1/SEGMENTS-incremental.json");
const SEGMENT_LIST: &[u8] = include_bytes!("v1/SEGMENTS.json");
const INFO_FOR_A_KEY: &[u8] = include_bytes!("v1/ENCRYPTION-INFO-key");
const INFO_FOR_A_PASSPHRASE: &[u8] = include_bytes!("v1/ENCRYPTION-INFO-passphrase");
const PLAIN_PIECE: &[u8] = include_bytes!("v1/piece-plain");
const ENCRYPTED_PIECE: &[u8] = include_bytes!("v1/piece-encrypted");
const PIECES: &[u8] = include_bytes!("v1/pieces.json");

/// The passphrase that opens `ENCRYPTION-INFO-passphrase`.
const PASSPHRASE: &str = "correct horse battery staple";
/// The rows of the plain piece.
const ROWS: &str = "1\tone\t\\N\n2\ttab \\t, line \\n, backslash \\\\\t2026-11-22 13:00:00+00\n";

/// Lengths and checksums of the two pieces, which a segment list would hold.
#[derive(Serialize, Deserialize)]
struct Pieces {
    plain: PieceInfo,
    encrypted: PieceInfo,
}

fn key() -> Secret {
    Secret::Key([7; 32])
}

fn passphrase() -> Secret {
    Secret::passphrase(PASSPHRASE).unwrap()
}

fn id() -> BackupId {
    "2026/11/22-130000.07".parse().unwrap()
}

/// Where the encrypted piece lies: in a pack, behind another segment.
fn place() -> String {
    segment::place("2026/11/22-130000.07/data/00112233aabbccdd.pack", 4096)
}

/// Bytes that do not shrink, long enough for more than one encrypted chunk.
fn noise() -> Vec<u8> {
    let mut state: u32 = 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..70_000).map(|_| next()).collect()
}

fn info(raw_bytes: u64, stored_bytes: u64, checksum: &str) -> PieceInfo {
    PieceInfo { raw_bytes, stored_bytes, checksum: checksum.parse().unwrap() }
}

/// What `v1/MANIFEST` says.
fn manifest() -> Manifest {
    Manifest {
        id: id(),
        kind: BackupType::Full,
        parent: None,
        full: None,
        detector: None,
        full_because: None,
        targets: Targets::Cluster,
        source: Source {
            engine: "postgres".to_owned(),
            version: "15.18".to_owned(),
            version_num: 150018,
            system_identifier: "7710934329218312630".to_owned(),
            timeline: 1,
        },
        data_from: "2026-11-22T13:00:00.07Z".parse().unwrap(),
        finished_at: "2026-11-22T13:04:05.123456789Z".parse().unwrap(),
        size_bytes: 15_001_024,
        stored_bytes: 4_000_321,
        rows: 150_003,
        databases: vec![DatabaseSummary {
            name: "shop \"é\"".to_owned(),
            tables: 2,
            rows: 150_003,
            size_bytes: 15_001_024,
        }],
        omissions: vec![Omission {
            object: "database \"closed\"".to_owned(),
            reason: "it does not accept connections".to_owned(),
        }],
        contents: info(2853, 1064, "053c3a51818f25426db69da7e93fce2e"),
        segment_lists_bytes: 571,
        key_id: None,
        written_by: "strongroom 0.1.0".to_owned(),
        managed: None,
    }
}

/// What `v1/MANIFEST-managed` says: a backup that the service took.
fn managed_manifest() -> Manifest {
    Manifest {
        managed: Some(Managed {
            cluster_id: "0192f0c1-2345-7abc-8def-0123456789ab".to_owned(),
            cluster_name: "shop".to_owned(),
            plan: "DEDICATED".to_owned(),
            job_id: "0192f0c1-2345-7abc-8def-0123456789ac".to_owned(),
            expires_at: Some("2026-12-22T13:00:00.07Z".parse().unwrap()),
        }),
        ..manifest()
    }
}

/// What `v1/MANIFEST-incremental` says.
fn incremental_manifest() -> Manifest {
    Manifest {
        id: "2026/11/22-140000.00".parse().unwrap(),
        kind: BackupType::Incremental,
        parent: Some("2026/11/22-133000.50".parse().unwrap()),
        full: Some(id()),
        detector: Some("page-lsn, version-digest".to_owned()),
        ..manifest()
    }
}

/// What `v1/CONTENTS-incremental.json` says: what only chains need.
fn incremental_contents() -> Contents {
    let mut contents = contents();
    let database = &mut contents.databases[0];
    database.read_point.floor = Some(Sample { lsn: "0/7D3C4A0".to_owned(), xid: 837 });
    database.tables[0].shape = Some("0011223344556677-8899aabbccddeef".to_owned());
    database.tables[0].data.added_bytes = 0;
    contents
}

/// What `v1/SEGMENTS-incremental.json` says.
fn incremental_segment_list() -> SegmentList {
    SegmentList { digests: vec![-1, i64::MAX], ..segment_list() }
}

/// What `v1/MANIFEST-encrypted` says.
fn encrypted_manifest(key_id: &str) -> Manifest {
    Manifest {
        targets: Targets::Tables(vec!["shop.public.orders".to_owned()]),
        omissions: Vec::new(),
        key_id: Some(key_id.to_owned()),
        ..manifest()
    }
}

/// What `v1/CONTENTS.json` says: everything that a version 1 can say.
fn contents() -> Contents {
    let column = |name: &str, type_name: &str| Column {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
    };
    let data = |rows: u64, offset: u64, checksum: &str| TableData {
        rows,
        size_bytes: rows * 100,
        stored_bytes: rows * 27,
        added_bytes: rows * 27,
        segments: 3,
        list: Some(ListRef { offset, piece: info(173, 140, checksum) }),
    };
    let orders = Table {
        oid: 16445,
        schema: "public".to_owned(),
        name: "orders".to_owned(),
        columns: vec![column("id", "bigint"), column("at", "timestamp with time zone")],
        extension: None,
        relfilenode: 16499,
        shape: None,
        pages: 1886,
        logged: true,
        data: data(150_000, 0, "548845df189143198bef7944d6f9cc43"),
    };
    let settings = Table {
        oid: 16470,
        schema: "Odd \"schema\"".to_owned(),
        name: "settings".to_owned(),
        columns: Vec::new(),
        extension: Some("postgis".to_owned()),
        relfilenode: 16470,
        shape: None,
        pages: 0,
        logged: false,
        data: TableData::default(),
    };
    let sequence = |oid: u32, owned_by: Option<u32>| Sequence {
        oid,
        schema: "public".to_owned(),
        name: format!("numbers_{oid}"),
        last_value: -7,
        is_called: owned_by.is_some(),
        owned_by,
    };
    let database = Database {
        name: "shop".to_owned(),
        oid: 16385,
        owner: "shop_owner".to_owned(),
        encoding: "LATIN1".to_owned(),
        collation: "C".to_owned(),
        read_point: ReadPoint {
            at: "2026-11-22T13:00:00.917965Z".parse().unwrap(),
            lsn: Some("0/7D3C528".to_owned()),
            snapshot: "837:840:838".to_owned(),
            floor: None,
        },
        schema: info(9536, 2414, "f3ed29635eae3d5540f80e9af0773216"),
        number: 0,
        extensions: vec![Extension { name: "postgis".to_owned(), version: "3.3.2".to_owned() }],
        tables: vec![orders, settings],
        sequences: vec![sequence(16444, Some(16445)), sequence(16460, None)],
        filled_views: vec![16543],
        large_objects: vec![
            LargeObject {
                oid: 4711,
                owner: "shop_owner".to_owned(),
                comment: Some("a scan".to_owned()),
                grants: vec![("reader".to_owned(), "SELECT".to_owned(), true)],
                has_grants: true,
            },
            LargeObject {
                oid: 4712,
                owner: "shop_owner".to_owned(),
                comment: None,
                grants: Vec::new(),
                has_grants: false,
            },
        ],
        large_object_data: Some(data(3, 140, "6b98bf271e2ee1bdf8e18f588ee82b5d")),
    };
    let role = |name: &str| Role {
        name: name.to_owned(),
        options: "NOSUPERUSER LOGIN".to_owned(),
        password: None,
        password_unknown: false,
        settings: Vec::new(),
        comment: None,
        member_of: Vec::new(),
    };
    let membership = |inherit: Option<bool>| Membership {
        role: "staff".to_owned(),
        admin: inherit.is_none(),
        inherit,
        set: inherit,
    };
    let ann = Role {
        password: Some("SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5".to_owned()),
        settings: vec!["SET work_mem TO '64MB'".to_owned()],
        comment: Some("Ann".to_owned()),
        member_of: vec![membership(None), membership(Some(false))],
        ..role("ann")
    };
    Contents {
        version: 1,
        databases: vec![database],
        roles: vec![ann, role("staff")],
        packs: vec![Pack {
            path: "2026/11/22-130000.07/data/00112233aabbccdd.pack".to_owned(),
            stored_bytes: 4_050_081,
        }],
    }
}

/// What `v1/SEGMENTS.json` says.
fn segment_list() -> SegmentList {
    let segment = |first_page: u32, offset: u64, checksum: &str| Segment {
        first_page,
        pack: 0,
        offset,
        rows: 13_569,
        piece: info(2_259_598, 920_374, checksum),
    };
    SegmentList {
        pages_per_segment: 256,
        segments: vec![
            segment(0, 0, "2738b94f59811e5e505dbb97bd5bc69f"),
            segment(256, 920_374, "5faed1102783fb5623048a8f577ae557"),
        ],
        digests: Vec::new(),
    }
}

/// Writes the examples of the version that this build writes, unless they are there.
#[test]
#[ignore = "makes new examples; run once for a new version"]
fn write_the_examples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/v{FORMAT_VERSION}"));
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.join(name);
        assert!(!path.exists(), "{} is there already", path.display());
        std::fs::write(path, bytes).unwrap();
    };
    std::fs::create_dir_all(&folder).unwrap();
    let data_key = DataKey::generate();
    let info = EncryptionInfo::seal(&data_key, &key()).unwrap();
    let rotated = info.rotate(&key(), &passphrase()).unwrap();
    let encrypted = encrypted_manifest(&info.key_id);
    let (plain_piece, plain) = piece::encode(ROWS.as_bytes(), "", 1, None).unwrap();
    let sealed = piece::encode(&noise(), &place(), 1, Some(&data_key));
    let (encrypted_piece, sealed) = sealed.unwrap();
    let pieces = Pieces { plain, encrypted: sealed };
    write("MANIFEST", manifest().encode(None));
    write("MANIFEST-managed", managed_manifest().encode(None));
    write("MANIFEST-incremental", incremental_manifest().encode(None));
    write("CONTENTS-incremental.json", incremental_contents().encode());
    write("SEGMENTS-incremental.json", incremental_segment_list().encode());
    write("MANIFEST-encrypted", encrypted.encode(Some(&data_key)));
    write("CONTENTS.json", contents().encode());
    write("SEGMENTS.json", segment_list().encode());
    write("ENCRYPTION-INFO-key", info.encode());
    write("ENCRYPTION-INFO-passphrase", rotated.encode());
    write("piece-plain", plain_piece);
    write("piece-encrypted", encrypted_piece);
    write("pieces.json", serde_json::to_vec_pretty(&pieces).unwrap());
}

#[test]
fn version_1_manifests_are_read() {
    let stored = Manifest::decode(MANIFEST, Folder::of_full(id())).unwrap();
    assert_eq!(stored.manifest, manifest());
    assert_eq!(stored.authenticate(None), Ok(()));
    let incremental = incremental_manifest();
    let stored = Manifest::decode(INCREMENTAL_MANIFEST, incremental.folder()).unwrap();
    assert_eq!(stored.manifest, incremental);
    let stored = Manifest::decode(MANAGED_MANIFEST, Folder::of_full(id())).unwrap();
    assert_eq!(stored.manifest, managed_manifest());
    // It can not be put into another chain.
    let other = Folder { full: incremental.id, ..incremental.folder() };
    assert!(Manifest::decode(INCREMENTAL_MANIFEST, other).is_err());
}

#[test]
fn version_1_manifests_of_encrypted_backups_are_read_and_authenticated() {
    let info = EncryptionInfo::decode(INFO_FOR_A_KEY).unwrap();
    let data_key = info.open(&key()).unwrap();
    let stored = Manifest::decode(ENCRYPTED_MANIFEST, Folder::of_full(id())).unwrap();
    assert_eq!(stored.manifest, encrypted_manifest(&info.key_id));
    assert_eq!(stored.authenticate(Some(&data_key)), Ok(()));
    assert_eq!(stored.authenticate(None), Err(FormatError::KeyNeeded));
    assert_eq!(stored.authenticate(Some(&DataKey::generate())), Err(FormatError::Decryption));
}

#[test]
fn version_1_contents_are_read() {
    assert_eq!(Contents::decode(CONTENTS).unwrap(), contents());
    assert_eq!(Contents::decode(INCREMENTAL_CONTENTS).unwrap(), incremental_contents());
}

#[test]
fn version_1_segment_lists_are_read() {
    assert_eq!(SegmentList::decode(SEGMENT_LIST).unwrap(), segment_list());
    let incremental = SegmentList::decode(INCREMENTAL_SEGMENT_LIST).unwrap();
    assert_eq!(incremental, incremental_segment_list());
}

#[test]
fn version_1_envelopes_are_opened_by_key_and_by_passphrase() {
    for (bytes, own, other) in
        [(INFO_FOR_A_KEY, key(), passphrase()), (INFO_FOR_A_PASSPHRASE, passphrase(), key())]
    {
        let info = EncryptionInfo::decode(bytes).unwrap();
        let data_key = info.open(&own).unwrap();
        // Both wrap the same data key, so what it sealed shows that the right one came out.
        let pieces: Pieces = serde_json::from_slice(PIECES).unwrap();
        let raw = piece::decode(ENCRYPTED_PIECE, pieces.encrypted, &place(), Some(&data_key));
        assert!(raw.is_ok(), "{raw:?}");
        assert_eq!(info.open(&other).unwrap_err(), FormatError::WrongKey);
    }
}

#[test]
fn version_1_pieces_are_read() {
    let pieces: Pieces = serde_json::from_slice(PIECES).unwrap();
    let raw = piece::decode(PLAIN_PIECE, pieces.plain, "anywhere", None).unwrap();
    assert_eq!(String::from_utf8(raw).unwrap(), ROWS);
    let data_key = EncryptionInfo::decode(INFO_FOR_A_KEY).unwrap().open(&key()).unwrap();
    let sealed =
        |bytes: &[u8], place: &str| piece::decode(bytes, pieces.encrypted, place, Some(&data_key));
    assert!(sealed(ENCRYPTED_PIECE, &place()).unwrap() == noise());
    assert_eq!(sealed(ENCRYPTED_PIECE, "another place"), Err(FormatError::Decryption));
    let mut altered = ENCRYPTED_PIECE.to_vec();
    altered[30_000] ^= 1;
    assert!(matches!(sealed(&altered, &place()), Err(FormatError::Checksum { .. })));
}

/// If this fails, the stored form has changed: raise [`FORMAT_VERSION`], and keep reading the old.
#[test]
fn what_is_written_today_is_what_the_examples_hold() {
    assert_eq!(FORMAT_VERSION, 1);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let stored = |bytes: &[u8]| text(bytes.to_vec());
    assert_eq!(text(manifest().encode(None)), stored(MANIFEST));
    assert_eq!(text(contents().encode()), stored(CONTENTS));
    assert_eq!(text(segment_list().encode()), stored(SEGMENT_LIST));
    assert_eq!(text(managed_manifest().encode(None)), stored(MANAGED_MANIFEST));
    assert_eq!(text(incremental_manifest().encode(None)), stored(INCREMENTAL_MANIFEST));
    assert_eq!(text(incremental_contents().encode()), stored(INCREMENTAL_CONTENTS));
    assert_eq!(text(incremental_segment_list().encode()), stored(INCREMENTAL_SEGMENT_LIST));
    let info = EncryptionInfo::decode(INFO_FOR_A_PASSPHRASE).unwrap();
    assert_eq!(text(info.encode()), stored(INFO_FOR_A_PASSPHRASE));
    let info = EncryptionInfo::decode(INFO_FOR_A_KEY).unwrap();
    assert_eq!(text(info.encode()), stored(INFO_FOR_A_KEY));
    let manifest = encrypted_manifest(&info.key_id);
    let data_key = info.open(&key()).unwrap();
    assert_eq!(text(manifest.encode(Some(&data_key))), stored(ENCRYPTED_MANIFEST));
    let pieces: Pieces = serde_json::from_slice(PIECES).unwrap();
    assert_eq!(Checksum::of(PLAIN_PIECE), pieces.plain.checksum);
    // A nonce and two tags beside the compressed bytes, and the second chunk is the last.
    let overhead = ENCRYPTED_PIECE.len() as u64 - noise().len() as u64;
    assert!((19 + 2 * 16..200).contains(&overhead), "{overhead}");
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let newer = FormatError::NewerVersion { found: FORMAT_VERSION + 1, supported: FORMAT_VERSION };
    let raised = |bytes: &[u8], from: &str, to: &str| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let raised = text.replacen(from, to, 1);
        assert_ne!(text, raised);
        raised.into_bytes()
    };
    // The version is looked at first: what follows it may have any form, its checksum too.
    let manifest = raised(MANIFEST, "manifest 1\n", "manifest 2\n");
    assert_eq!(Manifest::decode(&manifest, Folder::of_full(id())).unwrap_err(), newer);
    let manifest = b"strongroom manifest 2\nno JSON at all\n";
    assert_eq!(Manifest::decode(manifest, Folder::of_full(id())).unwrap_err(), newer);
    let contents = raised(CONTENTS, "\"version\":1", "\"version\":2");
    assert_eq!(Contents::decode(&contents).unwrap_err(), newer);
    let contents = br#"{"version": 2, "databases": "elsewhere"}"#;
    assert_eq!(Contents::decode(contents).unwrap_err(), newer);
    for info in [INFO_FOR_A_KEY, INFO_FOR_A_PASSPHRASE] {
        let info = raised(info, "\"version\": 1", "\"version\": 2");
        assert_eq!(EncryptionInfo::decode(&info).unwrap_err(), newer);
    }
    let info = br#"{"version": 2, "keys": []}"#;
    assert_eq!(EncryptionInfo::decode(info).unwrap_err(), newer);
}

/// Whoever adds a field that old readers may ignore need not raise the version.
#[test]
fn fields_that_are_not_known_are_ignored() {
    let text = String::from_utf8(CONTENTS.to_vec()).unwrap();
    let more = text.replacen("\"roles\"", "\"colour\":\"green\",\"roles\"", 1);
    assert_ne!(text, more);
    assert_eq!(Contents::decode(more.as_bytes()).unwrap(), contents());
}

#[test]
fn a_tombstone_of_version_1_holds_the_manifest_as_it_was() {
    let folder = Folder::of_full(id());
    for manifest in [MANIFEST, ENCRYPTED_MANIFEST] {
        let tombstone = [b"strongroom pruned 1\n", manifest].concat();
        assert_eq!(bury(manifest), tombstone, "what is written today");
        let Ok(Found::Pruned(Some(stored))) = Manifest::find(&tombstone, folder) else {
            panic!("it is not read as a tombstone");
        };
        assert_eq!(stored.manifest, Manifest::decode(manifest, folder).unwrap().manifest);
        assert!(matches!(Manifest::find(manifest, folder), Ok(Found::Complete(_))));
        let cut = &tombstone[..tombstone.len() - 5];
        assert!(Manifest::find(cut, folder).is_err());
    }
    assert!(matches!(Manifest::find(&bury(&[]), folder), Ok(Found::Pruned(None))));
    assert!(matches!(
        Manifest::find(b"strongroom pruned 99\n", folder),
        Err(FormatError::NewerVersion { found: 99, .. })
    ));
    assert!(Manifest::find(b"strongroom pruned 1", folder).is_err());
}
