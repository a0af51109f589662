//! The columns of tables and the attributes of composite types, as their definitions spell them.

use super::selection::{Name, qualified_names};
use crate::postgres::sql::{Token, tokens};

/// Words that end a column's type. Those inside of types (`with time zone`) are in small letters.
const AFTER_TYPE: &[&str] =
    &["NOT", "NULL", "DEFAULT", "GENERATED", "COLLATE", "CONSTRAINT", "CHECK", "OPTIONS", "WITH"];

/// A column or an attribute.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name, quoted.
    pub(super) name: String,
    /// Name, type and collation, with one space between them.
    pub(super) text: String,
    /// The qualified names in its type.
    pub(super) types: Vec<Name>,
    /// `GENERATED ALWAYS AS (...)`, if it is.
    pub(super) generated: Option<String>,
}

impl Column {
    /// With what it is generated from.
    pub(super) fn whole(&self) -> String {
        whole(&self.text, self.generated.as_deref())
    }
}

/// A column's text with what it is generated from.
pub(super) fn whole(text: &str, generated: Option<&str>) -> String {
    generated.map_or_else(|| text.to_owned(), |generated| format!("{text} {generated}"))
}

/// The columns that a definition lists, in order: without those that are inherited, and without
/// those that a table of a type has from there.
pub(super) fn columns(definition: &str) -> Vec<Column> {
    list(&tokens(definition)).into_iter().filter_map(column).collect()
}

fn column(item: &[Token<'_>]) -> Option<Column> {
    // Constraints stand in the same list.
    let Token::Quoted(name) = item.first()? else { return None };
    let name = (*name).to_owned();
    let type_end = find(item, AFTER_TYPE, 0).unwrap_or(item.len());
    let mut text = spaced(&item[..type_end]);
    if let Some(at) = find(item, &["COLLATE"], type_end) {
        let name: String = item[at..].iter().skip(2).take(3).map(|token| token.text()).collect();
        text.push_str(&format!(" COLLATE {name}"));
    }
    let generated = find(item, &["GENERATED"], type_end).map(|at| {
        let open = item[at..].iter().position(|token| *token == Token::Other("("));
        let open = open.map_or(item.len(), |open| at + open);
        spaced(&item[at..end_of_group(item, open)])
    });
    let types = qualified_names(&spaced(&item[1..type_end]));
    Some(Column { name, text, types, generated })
}

/// The parts between commas of the first list in brackets.
pub(super) fn list<'a, 'b>(tokens: &'b [Token<'a>]) -> Vec<&'b [Token<'a>]> {
    let Some(open) = tokens.iter().position(|token| *token == Token::Other("(")) else {
        return Vec::new();
    };
    let inside = &tokens[open + 1..end_of_group(tokens, open).max(open + 2) - 1];
    let mut depth = 0i32;
    let parts = inside.split(|token| {
        depth += change(token);
        depth == 0 && *token == Token::Other(",")
    });
    parts.map(trimmed).filter(|part| !part.is_empty()).collect()
}

/// Where one of these words stands outside of brackets, at or after `from`.
pub(super) fn find(tokens: &[Token<'_>], words: &[&str], from: usize) -> Option<usize> {
    let mut depth = 0i32;
    tokens.iter().enumerate().skip(from).find_map(|(at, token)| {
        depth += change(token);
        let found = matches!(token, Token::Word(word) if depth == 0 && words.contains(word));
        found.then_some(at)
    })
}

/// Where the brackets that open at `open` have been closed again.
fn end_of_group(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0i32;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        depth += change(token);
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

fn change(token: &Token<'_>) -> i32 {
    match token {
        Token::Other("(" | "[") => 1,
        Token::Other(")" | "]") => -1,
        _ => 0,
    }
}

fn is_space(token: &Token<'_>) -> bool {
    matches!(token, Token::Other(text) if text.trim().is_empty())
}

fn trimmed<'a, 'b>(tokens: &'b [Token<'a>]) -> &'b [Token<'a>] {
    let start = tokens.iter().position(|token| !is_space(token)).unwrap_or(tokens.len());
    let end = tokens.iter().rposition(|token| !is_space(token)).map_or(start, |at| at + 1);
    &tokens[start..end]
}

/// The text of these tokens, with one space where there is any white space, and none around it.
pub(super) fn spaced(tokens: &[Token<'_>]) -> String {
    let mut text = String::new();
    let mut space = false;
    for token in trimmed(tokens) {
        if is_space(token) {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) {
            text.push(' ');
        }
        text.push_str(token.text());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(definition: &str) -> Vec<String> {
        columns(definition).into_iter().map(|column| column.text).collect()
    }

    #[test]
    fn columns_are_read_without_constraints_and_defaults() {
        let table = "CREATE TABLE \"s\".\"t\" (\n    \"a\" numeric(10,2) DEFAULT \"f\"(1, 2) NOT NULL,\n    \
             \"b, (\" timestamp(3) with time zone,\n    \"c\" \"s\".\"mood\"[] DEFAULT '{}'::\"s\".\"other\"[] \
             NOT NULL COLLATE \"pg_catalog\".\"C\",\n    \"g\" integer GENERATED ALWAYS AS ((\"a\" * 2)) STORED,\n    \
             CONSTRAINT \"x\" CHECK ((\"a\" > 0))\n)\nPARTITION BY RANGE (\"a\");";
        assert_eq!(
            texts(table),
            [
                "\"a\" numeric(10,2)",
                "\"b, (\" timestamp(3) with time zone",
                "\"c\" \"s\".\"mood\"[] COLLATE \"pg_catalog\".\"C\"",
                "\"g\" integer",
            ]
        );
        let read = columns(table);
        assert_eq!(read[2].types, [("s".to_owned(), "mood".to_owned())]);
        assert_eq!(read[3].generated.as_deref(), Some("GENERATED ALWAYS AS ((\"a\" * 2))"));
    }

    #[test]
    fn attributes_are_read_and_what_is_cut_off_does_no_harm() {
        let composite = "CREATE TYPE \"s\".\"t\" AS (\n\t\"a\" \"text\" COLLATE \"s\".\"c\",\n\t\"b\" integer\n);\n";
        assert_eq!(texts(composite), ["\"a\" \"text\" COLLATE \"s\".\"c\"", "\"b\" integer"]);
        assert_eq!(texts("CREATE TYPE \"s\".\"t\" AS (\n);\n"), Vec::<String>::new());
        let ends = (0..=composite.len()).filter(|end| composite.is_char_boundary(*end));
        ends.for_each(|end| drop(columns(&composite[..end])));
    }
}
