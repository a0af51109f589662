//! The `MANIFEST` object: as it comes, and with the frame that a mutation would never get right.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_format::layout::Folder;
use strongroom_format::manifest::Manifest;
use strongroom_format::{BackupId, Checksum};

fuzz_target!(|bytes: &[u8]| {
    let Ok(id) = "2026/11/22-130000.07".parse() else { return };
    read(bytes, id);
    let mut framed = b"strongroom manifest 1\n".to_vec();
    framed.extend(bytes);
    framed.push(b'\n');
    let checksum = Checksum::of(&framed);
    framed.extend(format!("checksum {checksum}\n").bytes());
    read(&framed, id);
});

fn read(bytes: &[u8], id: BackupId) {
    if let Ok(stored) = Manifest::decode(bytes, Folder::of_full(id)) {
        let _ = stored.authenticate(None);
        let again = Manifest::decode(&stored.manifest.encode(None), id);
        assert_eq!(again.map(|again| again.manifest), Ok(stored.manifest));
    }
}
