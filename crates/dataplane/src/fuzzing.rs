//! Ways in for `fuzz/`, to parsers that are private. Each takes bytes that somebody else may have
//! written, and panics where a promise is broken.

use crate::postgres::archive::Archive;
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
