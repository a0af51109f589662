//! A piece with any bytes in it, whose length and checksum are right: what is left is whether the frame and the
//! chunks are sound, and whether it matters how the bytes are cut on their way.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strongroom_format::key::{DataKey, EncryptionInfo, Secret};
use strongroom_format::piece::{self, PieceInfo, PieceReader, RAW_RUN};
use strongroom_format::{Checksum, FormatError};

/// Where the encrypted example of version 1 lay.
const PLACE: &str = "2026/11/22-130000.07/data/00112233aabbccdd.pack@4096";

/// The key that the encrypted example was made with.
static KEY: LazyLock<Option<DataKey>> = LazyLock::new(|| {
    let info = include_bytes!("../../crates/format/tests/v1/ENCRYPTION-INFO-key");
    EncryptionInfo::decode(info).ok()?.open(&Secret::Key([7; 32])).ok()
});

// The first bytes choose: whether it is encrypted, how it is cut, and how long it should be.
fuzz_target!(|bytes: &[u8]| {
    let Some(([encrypted, step, length @ ..], stored)) = bytes.split_first_chunk::<5>() else {
        return;
    };
    let key = KEY.as_ref().filter(|_| encrypted % 2 == 1);
    let raw_bytes = u64::from(length[0]) | u64::from(length[1]) << 8 | u64::from(length[2]) << 16;
    let info =
        PieceInfo { raw_bytes, stored_bytes: stored.len() as u64, checksum: Checksum::of(stored) };
    let in_steps = read_in_steps(stored, info, key, usize::from(*step) + 1);
    assert!(in_steps.as_ref().is_ok_and(|raw| raw.len() as u64 == raw_bytes) || in_steps.is_err());
    // Not the other way round: only where it gets all of a frame at once does zstd look at the
    // content's size that the frame tells.
    if let Ok(whole) = piece::decode(stored, info, PLACE, key) {
        assert!(in_steps.as_ref() == Ok(&whole), "{in_steps:?}");
    }
});

fn read_in_steps(
    stored: &[u8],
    info: PieceInfo,
    key: Option<&DataKey>,
    step: usize,
) -> Result<Vec<u8>, FormatError> {
    let mut reader = PieceReader::new(info, PLACE, key)?;
    let mut raw = Vec::new();
    for part in stored.chunks(step) {
        reader.push(part)?;
        while reader.next_run(&mut raw)? {
            assert!(raw.len() as u64 <= info.raw_bytes + RAW_RUN as u64);
        }
    }
    reader.finish()?;
    Ok(raw)
}
