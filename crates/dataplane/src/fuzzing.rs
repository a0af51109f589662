//! Ways in for `fuzz/`, to parsers that are private. Each takes bytes that somebody else may have
//! written, and panics where a promise is broken.

use crate::postgres::archive::Archive;
use crate::postgres::copy_text::Decoder;
use crate::postgres::encoding::TextEncoding;
use crate::postgres::sql::{self, Moves, Namespace};
use crate::restore;

/// Reads a `pg_dump` archive, and what a plan reads in its definitions.
pub fn archive(bytes: &[u8]) {
    let Ok(archive) = Archive::parse(bytes) else {
        return;
    };
    restore::roles_needed(&archive.entries);
    restore::read_definitions(&archive.entries);
    for entry in &archive.entries {
        entry.described();
        definition(&entry.definition);
    }
}

/// Reads and rewrites the SQL text of a definition.
pub fn definition(text: &str) {
    let tokens = sql::tokens(text);
    let again: String = tokens.iter().map(|token| token.text()).collect();
    assert_eq!(again, text, "the tokens are the text");
    sql::statements(text);
    assert_eq!(sql::rename_database(text, "shop", "shop"), text, "the same name changes nothing");
    let moves = |name: &str| -> Moves {
        let mut moves = Moves::default();
        let name = ("public".to_owned(), name.to_owned());
        moves.insert(Namespace::Relation, name, "hidden".to_owned());
        moves
    };
    sql::rename(text, &moves("orders"));
    // The literals before `::regclass` are names, and written anew.
    if !text.contains("regclass") {
        assert_eq!(sql::rename(text, &moves("\u{1}")), text, "what does not move stays");
    }
}

/// Reads rows in the text form of `COPY`, whole and cut into steps.
pub fn copy_text(bytes: &[u8], columns: usize, keep: usize, step: usize) {
    let read = |step: usize, keep: usize| {
        let mut decoder = Decoder::new(columns, keep);
        let mut rows = Vec::new();
        let ended =
            bytes.chunks(step).try_for_each(|part| decoder.push(part, |row| rows.push(row)));
        (rows, ended.map(|()| decoder.is_between_rows()))
    };
    let whole = read(bytes.len().max(1), usize::MAX);
    assert_eq!(read(step.max(1), usize::MAX), whole, "it does not matter how bytes are cut");
    let (cut, ended) = read(step.max(1), keep);
    assert_eq!(ended, whole.1);
    for (cut, whole) in cut.iter().flatten().zip(whole.0.iter().flatten()) {
        let (Some(cut), Some(whole)) = (cut, whole) else {
            assert_eq!(cut, whole, "a null is one however much is kept");
            continue;
        };
        assert_eq!(cut.length, whole.length);
        assert_eq!(cut.bytes, whole.bytes[..whole.bytes.len().min(keep)]);
    }
    for encoding in
        ["UTF8", "SQL_ASCII", "LATIN1", "LATIN5", "EUC_JP", "EUC_KR", "EUC_CN", "EUC_TW"]
    {
        TextEncoding::named(encoding).decode(bytes, false);
        TextEncoding::named(encoding).decode(bytes, true);
    }
}
