//! Text in the encodings that a database can have, made readable.
//!
//! Rows are stored in their database's encoding. A restore leaves it to the server what they mean;
//! who looks at them without one needs this. What can not be decoded is shown as `\x` and two
//! hexadecimal digits, byte by byte, and told.

use encoding_rs::{DecoderResult, Encoding};

/// How to read the text of a database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextEncoding {
    /// Absent for those that nobody here can read beyond ASCII.
    table: Option<&'static Encoding>,
    /// Bytes 80 to 9F are control characters, where the table has taken them for something else.
    c1: bool,
    /// Characters that PostgreSQL has in the place of others.
    instead: &'static [(char, char)],
}

/// A text that was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) text: String,
    /// Whether all bytes meant something.
    pub(crate) whole: bool,
}

impl TextEncoding {
    /// The encoding by PostgreSQL's name for it.
    pub(crate) fn named(name: &str) -> Self {
        let table = match name {
            // Nothing says what bytes beyond ASCII are there; most often they are UTF-8.
            "UTF8" | "SQL_ASCII" => Some(encoding_rs::UTF_8),
            "LATIN1" => Some(encoding_rs::WINDOWS_1252),
            "LATIN2" => Some(encoding_rs::ISO_8859_2),
            "LATIN3" => Some(encoding_rs::ISO_8859_3),
            "LATIN4" => Some(encoding_rs::ISO_8859_4),
            "LATIN5" => Some(encoding_rs::WINDOWS_1254),
            "LATIN6" => Some(encoding_rs::ISO_8859_10),
            "LATIN7" => Some(encoding_rs::ISO_8859_13),
            "LATIN8" => Some(encoding_rs::ISO_8859_14),
            "LATIN9" => Some(encoding_rs::ISO_8859_15),
            "LATIN10" => Some(encoding_rs::ISO_8859_16),
            "ISO_8859_5" => Some(encoding_rs::ISO_8859_5),
            "ISO_8859_6" => Some(encoding_rs::ISO_8859_6),
            "ISO_8859_7" => Some(encoding_rs::ISO_8859_7),
            "ISO_8859_8" => Some(encoding_rs::ISO_8859_8),
            "KOI8R" => Some(encoding_rs::KOI8_R),
            "KOI8U" => Some(encoding_rs::KOI8_U),
            "WIN866" => Some(encoding_rs::IBM866),
            "WIN874" => Some(encoding_rs::WINDOWS_874),
            "WIN1250" => Some(encoding_rs::WINDOWS_1250),
            "WIN1251" => Some(encoding_rs::WINDOWS_1251),
            "WIN1252" => Some(encoding_rs::WINDOWS_1252),
            "WIN1253" => Some(encoding_rs::WINDOWS_1253),
            "WIN1254" => Some(encoding_rs::WINDOWS_1254),
            "WIN1255" => Some(encoding_rs::WINDOWS_1255),
            "WIN1256" => Some(encoding_rs::WINDOWS_1256),
            "WIN1257" => Some(encoding_rs::WINDOWS_1257),
            "WIN1258" => Some(encoding_rs::WINDOWS_1258),
            "EUC_JP" => Some(encoding_rs::EUC_JP),
            "EUC_KR" => Some(encoding_rs::EUC_KR),
            "EUC_CN" => Some(encoding_rs::GBK),
            _ => None,
        };
        let instead: &[(char, char)] = match name {
            "KOI8U" => &[('ў', '╝'), ('Ў', '╬')],
            "EUC_CN" => &[('·', '・'), ('—', '―')],
            _ => &[],
        };
        TextEncoding { table, c1: matches!(name, "LATIN1" | "LATIN5"), instead }
    }

    /// Whether bytes beyond ASCII can be read at all.
    pub(crate) fn is_known(self) -> bool {
        self.table.is_some()
    }

    /// The bytes as text. Where they were `cut`, a character that lost its end is left out.
    pub(crate) fn decode(self, bytes: &[u8], cut: bool) -> Decoded {
        if bytes.is_ascii() {
            return Decoded { text: bytes.iter().copied().map(char::from).collect(), whole: true };
        }
        let Some(table) = self.table else {
            let mut text = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                match byte.is_ascii() {
                    true => text.push(char::from(*byte)),
                    false => escape(*byte, &mut text),
                }
            }
            return Decoded { text, whole: false };
        };
        if self.c1 {
            let c1 = |byte: u8| (0x80..0xa0).contains(&byte);
            let character = |byte: u8| match c1(byte) {
                true => String::from(char::from(byte)),
                false => table.decode_without_bom_handling(&[byte]).0.into_owned(),
            };
            return Decoded { text: bytes.iter().copied().map(character).collect(), whole: true };
        }
        let mut decoder = table.new_decoder_without_bom_handling();
        let mut text = String::with_capacity(bytes.len() + bytes.len() / 2);
        let (mut at, mut whole) = (0, true);
        loop {
            let rest = &bytes[at..];
            let (result, read) =
                decoder.decode_to_string_without_replacement(rest, &mut text, !cut);
            at += read;
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => text.reserve(rest.len() * 3 + 16),
                DecoderResult::Malformed(length, after) => {
                    whole = false;
                    let end = at.saturating_sub(usize::from(after));
                    let from = end.saturating_sub(usize::from(length));
                    bytes[from..end].iter().for_each(|byte| escape(*byte, &mut text));
                }
            }
        }
        for (theirs, ours) in self.instead {
            if text.contains(*theirs) {
                text = text.replace(*theirs, &ours.to_string());
            }
        }
        Decoded { text, whole }
    }
}

fn escape(byte: u8, text: &mut String) {
    text.push_str(&format!("\\x{byte:02x}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: &str, bytes: &[u8]) -> (String, bool) {
        let Decoded { text, whole } = TextEncoding::named(encoding).decode(bytes, false);
        (text, whole)
    }

    #[test]
    fn texts_are_read_in_their_own_encoding() {
        for (encoding, bytes, text) in [
            ("UTF8", "Grüße €".as_bytes(), "Grüße €"),
            ("LATIN1", b"Gr\xfc\xdfe \x80", "Grüße \u{80}"),
            ("LATIN5", b"\xfe\x9f", "ş\u{9f}"),
            ("WIN1252", b"\x80", "€"),
            ("LATIN9", b"\xa4", "€"),
            ("KOI8R", b"\xf0", "П"),
            ("KOI8U", b"\xae\xbe\xf0", "╝╬П"),
            ("EUC_JP", b"\xc6\xfc\xcb\xdc", "日本"),
            ("EUC_KR", b"\xb0\xa1", "가"),
            ("EUC_CN", b"\xb0\xa1", "啊"),
            ("SQL_ASCII", "é".as_bytes(), "é"),
        ] {
            assert_eq!(decode(encoding, bytes), (text.to_owned(), true), "{encoding}");
        }
    }

    #[test]
    fn what_means_nothing_is_shown_byte_by_byte() {
        for (encoding, bytes, text) in [
            ("SQL_ASCII", &b"a\xff\xc3\xa9\xc3b"[..], r"a\xffé\xc3b"),
            ("SQL_ASCII", b"\xf0\x9f\x92", r"\xf0\x9f\x92"),
            ("EUC_JP", b"a\xc6", r"a\xc6"),
            ("EUC_TW", b"a\xc6\xfc", r"a\xc6\xfc"),
        ] {
            assert_eq!(decode(encoding, bytes), (text.to_owned(), false), "{encoding}");
        }
    }

    #[test]
    fn a_cut_character_is_left_out() {
        let utf8 = TextEncoding::named("UTF8");
        let cut = utf8.decode("aé".as_bytes().split_last().unwrap().1, true);
        assert_eq!(cut, Decoded { text: "a".to_owned(), whole: true });
    }
}
