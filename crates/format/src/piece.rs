//! A piece: a run of bytes as it is stored.
//!
//! Everything large goes through the same three steps, as a stream:
//!
//! ```text
//! raw bytes -> zstd frame -> [ XChaCha20-Poly1305, chunk by chunk ] -> checksum -> stored bytes
//! ```
//!
//! Encrypted, a piece is a 19-byte random nonce and then chunks of 64 KiB (the last one shorter),
//! each followed by its 16-byte tag: the STREAM construction (Hoang, Reyhanitabar, Rogaway,
//! Vizár 2015), in which the chunk's number and a last-chunk mark are part of the nonce, so that
//! chunks can not be cut off, reordered or repeated. Every tag also covers the piece's *place*
//! (object name and offset), so that a piece can not be moved to another place.
//!
//! Neither side holds more than a few hundred KiB, whatever the piece's length.

use std::io;

use aead_stream::aead::Payload;
use aead_stream::{DecryptorBE32, EncryptorBE32};
use chacha20poly1305::{Key, XChaCha20Poly1305};
use serde::{Deserialize, Serialize};
use zstd::bulk::Compressor;
use zstd::stream::raw::{CParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};

use crate::checksum::Hasher;
use crate::key::{DataKey, random};
use crate::{Checksum, FormatError};

const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const NONCE: usize = 19;

/// Raw bytes come out of a [`PieceReader`] in runs of at most about this many.
pub const RAW_RUN: usize = 128 * 1024;

/// How long a piece is, before and after, and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceInfo {
    /// Bytes before compression.
    pub raw_bytes: u64,
    /// Bytes in the store.
    pub stored_bytes: u64,
    /// Checksum of the bytes in the store.
    pub checksum: Checksum,
}

/// Makes pieces, one after the other; its buffers are used again.
pub struct PieceWriter {
    encoder: Encoder<'static>,
    /// Compresses a piece that comes in one run: a quarter faster than as a stream, which moves
    /// all bytes through a window of its own.
    compressor: Compressor<'static>,
    key: Option<DataKey>,
    sealer: Option<Sealer>,
    hasher: Hasher,
    raw_bytes: u64,
    stored_bytes: u64,
    compressed: Vec<u8>,
}

struct Sealer {
    stream: EncryptorBE32<XChaCha20Poly1305>,
    place: Vec<u8>,
    pending: Vec<u8>,
}

impl PieceWriter {
    /// A writer of pieces at a zstd `level`, encrypted if there is a `key`.
    pub fn new(level: i32, key: Option<DataKey>) -> Result<Self, FormatError> {
        let mut encoder = Encoder::new(level).map_err(compression)?;
        encoder.set_parameter(CParameter::ChecksumFlag(false)).map_err(compression)?;
        Ok(PieceWriter {
            encoder,
            compressor: Compressor::new(level).map_err(compression)?,
            key,
            sealer: None,
            hasher: Hasher::default(),
            raw_bytes: 0,
            stored_bytes: 0,
            compressed: Vec::with_capacity(zstd::zstd_safe::CCtx::out_size()),
        })
    }

    /// Starts a piece that will lie at `place`. What is to be stored is appended to `out`.
    pub fn start(&mut self, place: &str, out: &mut Vec<u8>) -> Result<(), FormatError> {
        self.encoder.reinit().map_err(compression)?;
        self.hasher = Hasher::default();
        self.raw_bytes = 0;
        self.stored_bytes = 0;
        self.sealer = None;
        if let Some(key) = &self.key {
            let nonce: [u8; NONCE] = random();
            self.sealer = Some(Sealer {
                stream: EncryptorBE32::new(&Key::from(*key.bytes()), &nonce.into()),
                place: place.as_bytes().to_vec(),
                pending: Vec::with_capacity(CHUNK),
            });
            self.emit(&nonce, out);
        }
        Ok(())
    }

    /// Takes in the next raw bytes.
    pub fn write(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
        self.raw_bytes += raw.len() as u64;
        let mut input = InBuffer::around(raw);
        while input.pos() < raw.len() {
            self.compressed.clear();
            let mut output = OutBuffer::around(&mut self.compressed);
            self.encoder.run(&mut input, &mut output).map_err(compression)?;
            self.seal(false, out)?;
        }
        Ok(())
    }

    /// Takes in the last raw bytes and ends the piece. A piece that comes in this one call is
    /// compressed fastest.
    pub fn finish(&mut self, last: &[u8], out: &mut Vec<u8>) -> Result<PieceInfo, FormatError> {
        if self.raw_bytes == 0 {
            self.raw_bytes = last.len() as u64;
            self.compressed.clear();
            self.compressed.reserve(zstd::zstd_safe::compress_bound(last.len()));
            self.compressor.compress_to_buffer(last, &mut self.compressed).map_err(compression)?;
            self.seal(true, out)?;
        } else {
            self.write(last, out)?;
            self.finish_stream(out)?;
        }
        Ok(PieceInfo {
            raw_bytes: self.raw_bytes,
            stored_bytes: self.stored_bytes,
            checksum: self.hasher.finish(),
        })
    }

    fn finish_stream(&mut self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        loop {
            self.compressed.clear();
            let mut output = OutBuffer::around(&mut self.compressed);
            let left = self.encoder.finish(&mut output, true).map_err(compression)?;
            self.seal(left == 0, out)?;
            if left == 0 {
                return Ok(());
            }
        }
    }

    /// Passes `compressed` on: sealed if there is a key, as it is otherwise.
    fn seal(&mut self, last: bool, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let compressed = std::mem::take(&mut self.compressed);
        match self.sealer.take() {
            None => self.emit(&compressed, out),
            Some(mut sealer) => {
                sealer.pending.extend_from_slice(&compressed);
                let mut from = 0;
                // A chunk is sealed once it is known not to be the last one.
                while sealer.pending.len() - from > CHUNK {
                    let msg = &sealer.pending[from..from + CHUNK];
                    let payload = Payload { msg, aad: &sealer.place };
                    let sealed =
                        sealer.stream.encrypt_next(payload).map_err(|_| FormatError::Decryption)?;
                    self.emit(&sealed, out);
                    from += CHUNK;
                }
                sealer.pending.drain(..from);
                if last {
                    let payload = Payload { msg: &sealer.pending[..], aad: &sealer.place };
                    let sealed =
                        sealer.stream.encrypt_last(payload).map_err(|_| FormatError::Decryption)?;
                    self.emit(&sealed, out);
                } else {
                    self.sealer = Some(sealer);
                }
            }
        }
        self.compressed = compressed;
        Ok(())
    }

    fn emit(&mut self, stored: &[u8], out: &mut Vec<u8>) {
        self.hasher.update(stored);
        self.stored_bytes += stored.len() as u64;
        out.extend_from_slice(stored);
    }
}

/// Reads one piece as its stored bytes arrive.
///
/// Give bytes with [`PieceReader::push`], take raw bytes with [`PieceReader::next_run`] until it
/// has none, and end with [`PieceReader::finish`], which alone says that the piece was whole: what
/// came out before that is to be used only where it can still be undone.
pub struct PieceReader {
    expected: PieceInfo,
    decoder: Decoder<'static>,
    opener: Option<Opener>,
    hasher: Hasher,
    stored_bytes: u64,
    raw_bytes: u64,
    frame_ended: bool,
    /// Compressed bytes that wait for the decoder, from `at` on.
    compressed: Vec<u8>,
    at: usize,
}

struct Opener {
    key: DataKey,
    stream: Option<DecryptorBE32<XChaCha20Poly1305>>,
    place: Vec<u8>,
    pending: Vec<u8>,
    /// Stored bytes of the piece not yet pushed.
    left: u64,
}

impl PieceReader {
    /// A reader of the piece that was written at `place` with these figures.
    pub fn new(
        expected: PieceInfo,
        place: &str,
        key: Option<&DataKey>,
    ) -> Result<Self, FormatError> {
        Ok(PieceReader {
            expected,
            decoder: Decoder::new().map_err(compression)?,
            opener: key.map(|key| Opener {
                key: key.clone(),
                stream: None,
                place: place.as_bytes().to_vec(),
                pending: Vec::new(),
                left: expected.stored_bytes,
            }),
            hasher: Hasher::default(),
            stored_bytes: 0,
            raw_bytes: 0,
            frame_ended: false,
            compressed: Vec::new(),
            at: 0,
        })
    }

    /// Gives the next stored bytes.
    pub fn push(&mut self, stored: &[u8]) -> Result<(), FormatError> {
        self.hasher.update(stored);
        self.stored_bytes += stored.len() as u64;
        if self.stored_bytes > self.expected.stored_bytes {
            return Err(self.length_error());
        }
        self.compressed.drain(..self.at);
        self.at = 0;
        match &mut self.opener {
            None => self.compressed.extend_from_slice(stored),
            Some(opener) => opener.open(stored, &mut self.compressed)?,
        }
        Ok(())
    }

    /// Appends the next raw bytes to `out`, about [`RAW_RUN`] at most. False: push more first.
    pub fn next_run(&mut self, out: &mut Vec<u8>) -> Result<bool, FormatError> {
        let before = out.len();
        out.reserve(RAW_RUN);
        while out.len() - before < RAW_RUN && !self.frame_ended {
            let start = out.len();
            let mut input = InBuffer::around(&self.compressed[self.at..]);
            let mut output = OutBuffer::around_pos(out, start);
            let hint = self.decoder.run(&mut input, &mut output).map_err(compression)?;
            let (taken, made) = (input.pos(), output.pos() - start);
            self.at += taken;
            self.frame_ended = hint == 0;
            if taken == 0 && made == 0 {
                break;
            }
        }
        let made = (out.len() - before) as u64;
        self.raw_bytes += made;
        if self.raw_bytes > self.expected.raw_bytes {
            return Err(FormatError::Length {
                unit: "raw bytes",
                expected: self.expected.raw_bytes,
                found: self.raw_bytes,
            });
        }
        Ok(made > 0)
    }

    /// Checks lengths and checksum, after all stored bytes were pushed and all raw bytes taken.
    pub fn finish(self) -> Result<(), FormatError> {
        if self.stored_bytes != self.expected.stored_bytes {
            return Err(self.length_error());
        }
        self.hasher.finish().check(self.expected.checksum)?;
        if self.raw_bytes != self.expected.raw_bytes || !self.frame_ended {
            return Err(FormatError::Length {
                unit: "raw bytes",
                expected: self.expected.raw_bytes,
                found: self.raw_bytes,
            });
        }
        Ok(())
    }

    fn length_error(&self) -> FormatError {
        FormatError::Length {
            unit: "stored bytes",
            expected: self.expected.stored_bytes,
            found: self.stored_bytes,
        }
    }
}

impl Opener {
    fn open(&mut self, stored: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
        self.left = self.left.saturating_sub(stored.len() as u64);
        self.pending.extend_from_slice(stored);
        let mut from = 0;
        if self.stream.is_none() {
            let Some(nonce) = self.pending.first_chunk::<NONCE>() else {
                return Ok(());
            };
            self.stream = Some(DecryptorBE32::new(&Key::from(*self.key.bytes()), &(*nonce).into()));
            from = NONCE;
        }
        while self.pending.len() - from > CHUNK + TAG {
            let Some(stream) = &mut self.stream else {
                return Err(FormatError::Decryption);
            };
            let msg = &self.pending[from..from + CHUNK + TAG];
            let payload = Payload { msg, aad: &self.place };
            out.extend(stream.decrypt_next(payload).map_err(|_| FormatError::Decryption)?);
            from += CHUNK + TAG;
        }
        self.pending.drain(..from);
        if self.left == 0 {
            let Some(stream) = self.stream.take() else {
                return Err(FormatError::Decryption);
            };
            let payload = Payload { msg: &self.pending[..], aad: &self.place };
            out.extend(stream.decrypt_last(payload).map_err(|_| FormatError::Decryption)?);
            self.pending.clear();
        }
        Ok(())
    }
}

/// Makes one piece of bytes that are already in memory.
pub fn encode(
    raw: &[u8],
    place: &str,
    level: i32,
    key: Option<&DataKey>,
) -> Result<(Vec<u8>, PieceInfo), FormatError> {
    let mut out = Vec::new();
    let mut writer = PieceWriter::new(level, key.cloned())?;
    writer.start(place, &mut out)?;
    let info = writer.finish(raw, &mut out)?;
    Ok((out, info))
}

/// Reads one piece that is wholly in memory, checking all that is recorded of it.
pub fn decode(
    stored: &[u8],
    info: PieceInfo,
    place: &str,
    key: Option<&DataKey>,
) -> Result<Vec<u8>, FormatError> {
    // Checked first, so that damage is told as damage and not as what it does to the decoder.
    if stored.len() as u64 != info.stored_bytes {
        return Err(FormatError::Length {
            unit: "stored bytes",
            expected: info.stored_bytes,
            found: stored.len() as u64,
        });
    }
    Checksum::of(stored).check(info.checksum)?;
    let mut reader = PieceReader::new(info, place, key)?;
    reader.push(stored)?;
    let mut raw = Vec::new();
    while reader.next_run(&mut raw)? {}
    reader.finish()?;
    Ok(raw)
}

fn compression(error: io::Error) -> FormatError {
    FormatError::Compression(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_in_steps(
        stored: &[u8],
        info: PieceInfo,
        key: Option<&DataKey>,
        step: usize,
    ) -> Result<Vec<u8>, FormatError> {
        let mut reader = PieceReader::new(info, "here", key)?;
        let mut raw = Vec::new();
        for part in stored.chunks(step.max(1)) {
            reader.push(part)?;
            while reader.next_run(&mut raw)? {}
        }
        reader.finish()?;
        Ok(raw)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_piece_comes_back_however_it_is_cut(
            seed in proptest::collection::vec(any::<u8>(), 0..3000),
            repeat in 1usize..120,
            step in 1usize..200_000,
            encrypted in any::<bool>(),
        ) {
            let raw = seed.repeat(repeat);
            let key = encrypted.then(DataKey::generate);
            let (stored, info) = encode(&raw, "here", 1, key.as_ref()).unwrap();
            prop_assert_eq!(info.stored_bytes, stored.len() as u64);
            let mut writer = PieceWriter::new(1, key.clone()).unwrap();
            let mut streamed = Vec::new();
            writer.start("here", &mut streamed).unwrap();
            raw.chunks(step).for_each(|run| writer.write(run, &mut streamed).unwrap());
            let of_stream = writer.finish(b"", &mut streamed).unwrap();
            prop_assert_eq!(&decode(&streamed, of_stream, "here", key.as_ref()).unwrap(), &raw);
            prop_assert_eq!(&decode(&stored, info, "here", key.as_ref()).unwrap(), &raw);
            prop_assert_eq!(&read_in_steps(&stored, info, key.as_ref(), step).unwrap(), &raw);
        }

        #[test]
        fn any_damage_is_noticed(
            raw in proptest::collection::vec(any::<u8>(), 1..200_000),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
            encrypted in any::<bool>(),
        ) {
            let key = encrypted.then(DataKey::generate);
            let (stored, info) = encode(&raw, "here", 1, key.as_ref()).unwrap();
            let at = at.index(stored.len());
            let mut flipped = stored.clone();
            flipped[at] ^= 1 << bit;
            prop_assert!(decode(&flipped, info, "here", key.as_ref()).is_err());
            prop_assert!(read_in_steps(&flipped, info, key.as_ref(), 4096).is_err());
            prop_assert!(decode(&stored[..at], info, "here", key.as_ref()).is_err());
            prop_assert!(read_in_steps(&stored[..at], info, key.as_ref(), 4096).is_err());
        }
    }

    #[test]
    fn a_piece_is_bound_to_its_place_and_key() {
        let key = DataKey::generate();
        let (stored, info) = encode(b"rows", "here", 1, Some(&key)).unwrap();
        assert_eq!(decode(&stored, info, "there", Some(&key)), Err(FormatError::Decryption));
        let other = DataKey::generate();
        assert_eq!(decode(&stored, info, "here", Some(&other)), Err(FormatError::Decryption));
        assert!(decode(&stored, info, "here", None).is_err());
    }
}
