//! SQL as text: quoting names and literals, and reading what `pg_dump` wrote.
//!
//! Definitions come from `pg_dump --quote-all-identifiers`, so that a name in them is always a
//! quoted token. That makes it safe to move an object to another name by looking at tokens alone:
//! [`rename`] replaces whole tokens and never touches literals, comments or bodies of functions.

use std::collections::HashMap;

/// A name, quoted.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A schema-qualified name, quoted.
pub(crate) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// A string literal, for a session with `standard_conforming_strings`.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A piece of SQL text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A quoted name, with its quotes.
    Quoted(&'a str),
    /// A string literal, with its quotes.
    Literal(&'a str),
    /// A dot.
    Dot,
    /// A semicolon.
    Semicolon,
    /// A word: keyword, number or unquoted name.
    Word(&'a str),
    /// Anything else: white space, operators, comments, dollar-quoted bodies.
    Other(&'a str),
}

impl<'a> Token<'a> {
    /// The token as it stood in the text.
    pub(crate) fn text(self) -> &'a str {
        match self {
            Token::Quoted(text) | Token::Literal(text) | Token::Word(text) | Token::Other(text) => {
                text
            }
            Token::Dot => ".",
            Token::Semicolon => ";",
        }
    }
}

/// Cuts `sql` into tokens, which together are the text again.
pub(crate) fn tokens<'a>(sql: &'a str) -> Vec<Token<'a>> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (length, make): (usize, fn(&'a str) -> Token<'a>) = match first {
            '"' => (quoted_length(rest, '"', false), Token::Quoted),
            '\'' => (quoted_length(rest, '\'', false), Token::Literal),
            'E' | 'e' if rest[1..].starts_with('\'') => {
                (1 + quoted_length(&rest[1..], '\'', true), Token::Literal)
            }
            '$' => (dollar_length(rest), Token::Other),
            '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), Token::Other),
            '/' if rest.starts_with("/*") => (comment_length(rest), Token::Other),
            '.' => (1, |_| Token::Dot),
            ';' => (1, |_| Token::Semicolon),
            c if is_word(c) => {
                let end = rest.find(|c: char| !is_word(c) && c != '$').unwrap_or(rest.len());
                (end, Token::Word)
            }
            c => (c.len_utf8(), Token::Other),
        };
        found.push(make(&rest[..length]));
        rest = &rest[length..];
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a quoted run at the beginning of `text`, whose quotes are doubled inside.
fn quoted_length(text: &str, quote: char, backslashes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && backslashes {
            characters.next();
        } else if c == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return at + 1;
            }
        }
    }
    text.len()
}

/// The length of a dollar-quoted run, or of a lone dollar sign.
fn dollar_length(text: &str) -> usize {
    let tag_end = text[1..].find(|c: char| !is_word(c)).map(|at| at + 1);
    let Some(end) = tag_end.filter(|end| text[*end..].starts_with('$')) else {
        return 1;
    };
    let tag = &text[..end + 1];
    text[tag.len()..].find(tag).map_or(text.len(), |at| at + 2 * tag.len())
}

/// The length of a comment, which may hold others.
fn comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The name inside a quoted token, whose last quote a damaged text may lack.
pub(crate) fn unquoted(token: &str) -> String {
    let name = token.strip_prefix('"').unwrap_or(token);
    name.strip_suffix('"').unwrap_or(name).replace("\"\"", "\"")
}

/// The text inside a literal without backslashes, whose last quote a damaged text may lack.
pub(crate) fn literal_text(token: &str) -> String {
    let quoted = token.trim_start_matches(['E', 'e']);
    let text = quoted.strip_prefix('\'').unwrap_or(quoted);
    text.strip_suffix('\'').unwrap_or(text).replace("''", "'")
}

/// Replaces the database's name where a statement names it as a database.
pub(crate) fn rename_database(sql: &str, from: &str, to: &str) -> String {
    let from = ident(from);
    let mut renamed = String::with_capacity(sql.len());
    let mut after_keyword = false;
    for token in tokens(sql) {
        match token {
            Token::Quoted(name) if after_keyword && name == from => renamed.push_str(&ident(to)),
            other => renamed.push_str(other.text()),
        }
        match token {
            Token::Word(word) => after_keyword = word.eq_ignore_ascii_case("database"),
            Token::Other(text) if text.trim().is_empty() => {}
            _ => after_keyword = false,
        }
    }
    renamed
}

/// What a name stands for. Each kind has names of its own, so that one name may stand for several
/// things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Namespace {
    /// Whatever has rows or belongs to what has: tables, views, sequences, indexes; also the
    /// attributes of a composite type.
    Relation,
    /// Types, those of tables' rows too.
    Type,
    /// Functions, procedures and aggregates.
    Routine,
    /// Collations.
    Collation,
    /// Extended statistics.
    Statistics,
}

/// Where objects move: to another schema. Names stay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moves(HashMap<(String, String), Vec<(Namespace, String)>>);

impl Moves {
    /// Lets what has this name, with its schema, move to the schema `to`.
    pub(crate) fn insert(&mut self, namespace: Namespace, name: (String, String), to: String) {
        self.0.entry(name).or_default().push((namespace, to));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a name moves: what stands for the given kind of thing, or for any.
    fn to(&self, name: &(String, String), kind: Option<Namespace>) -> Option<&str> {
        let mut moves = self.0.get(name)?.iter();
        let found = moves.find(|(namespace, _)| kind.is_none_or(|kind| kind == *namespace))?;
        Some(&found.1)
    }
}

/// Replaces the schema of every qualified name in `moves`, also inside `'...'::"regclass"`.
pub(crate) fn rename(sql: &str, moves: &Moves) -> String {
    rename_all(sql, moves, None)
}

/// As [`rename`], where every name is known to stand for the given kind of thing.
fn rename_all(sql: &str, moves: &Moves, known: Option<Namespace>) -> String {
    let all = tokens(sql);
    let mut renamed = String::with_capacity(sql.len());
    let mut at = 0;
    while at < all.len() {
        let follows_dot = at > 0 && all[at - 1] == Token::Dot;
        match (all[at], all.get(at + 1), all.get(at + 2)) {
            (Token::Quoted(schema), Some(Token::Dot), Some(Token::Quoted(name)))
                if !follows_dot =>
            {
                let key = (unquoted(schema), unquoted(name));
                match moves.to(&key, known.or_else(|| kind_of(&all, at))) {
                    Some(to) => renamed.push_str(&ident(to)),
                    None => renamed.push_str(schema),
                }
                renamed.push('.');
                renamed.push_str(name);
                at += 3;
                continue;
            }
            (Token::Literal(text), Some(Token::Other(":")), Some(Token::Other(":")))
                if all[at + 3..].first().is_some_and(|t| {
                    matches!(t, Token::Word("regclass") | Token::Quoted("\"regclass\""))
                }) || names_pg_catalog_regclass(&all[at + 3..]) =>
            {
                let name = literal_text(text);
                renamed.push_str(&literal(&rename_all(&name, moves, Some(Namespace::Relation))));
            }
            (other, ..) => renamed.push_str(other.text()),
        }
        at += 1;
    }
    renamed
}

/// What the qualified name at `at` stands for, where the tokens around it tell. Keywords are those
/// that `pg_dump` and the server write, in capital letters.
fn kind_of(all: &[Token<'_>], at: usize) -> Option<Namespace> {
    let next = all[at + 3..].iter().find(|token| !is_space(token));
    let is_called = next == Some(&Token::Other("("));
    let mut before = all[..at].iter().rev().filter(|token| !is_space(token)).peekable();
    match before.next() {
        Some(Token::Word("FUNCTION" | "PROCEDURE" | "ROUTINE" | "AGGREGATE")) => {
            return Some(Namespace::Routine);
        }
        Some(Token::Word("COLLATE" | "COLLATION")) => return Some(Namespace::Collation),
        Some(Token::Word("STATISTICS")) => return Some(Namespace::Statistics),
        Some(Token::Word("TYPE" | "DOMAIN" | "RETURNS" | "SETOF" | "OF" | "AS")) => {
            return Some(Namespace::Type);
        }
        Some(Token::Word(
            "TABLE" | "ONLY" | "VIEW" | "SEQUENCE" | "INDEX" | "PARTITION" | "COLUMN" | "INTO"
            | "UPDATE" | "REFERENCES" | "INHERIT" | "NAME",
        )) => return Some(Namespace::Relation),
        Some(Token::Word("FROM" | "JOIN" | "ON" | "BY")) if !is_called => {
            return Some(Namespace::Relation);
        }
        // A column's or an argument's name, or `::`.
        Some(Token::Quoted(_)) => return Some(Namespace::Type),
        Some(Token::Other(":")) => return Some(Namespace::Type),
        Some(Token::Other("=")) => {
            if let Some(Token::Word(key)) = before.peek()
                && let Some(kind) = kind_of_property(key)
            {
                return Some(kind);
            }
        }
        Some(Token::Other("(" | ",")) => {
            let list = |token: &&Token<'_>| {
                matches!(token, Token::Quoted(_) | Token::Dot | Token::Other("(" | ","))
            };
            if before.find(|token| !list(token)) == Some(&Token::Word("INHERITS")) {
                return Some(Namespace::Relation);
            }
        }
        _ => {}
    }
    is_called.then_some(Namespace::Routine)
}

/// What the value of a `key = value` pair stands for, in the definition of a type, an aggregate or
/// an operator.
fn kind_of_property(key: &str) -> Option<Namespace> {
    match key.to_ascii_lowercase().as_str() {
        "subtype"
        | "multirange_type_name"
        | "stype"
        | "mstype"
        | "leftarg"
        | "rightarg"
        | "element"
        | "basetype" => Some(Namespace::Type),
        "collation" => Some(Namespace::Collation),
        "function" | "procedure" | "restrict" | "join" | "input" | "output" | "receive"
        | "send" | "typmod_in" | "typmod_out" | "analyze" | "subscript" | "canonical"
        | "subtype_diff" | "sfunc" | "finalfunc" | "combinefunc" | "serialfunc"
        | "deserialfunc" | "msfunc" | "minvfunc" | "mfinalfunc" => Some(Namespace::Routine),
        _ => None,
    }
}

fn is_space(token: &Token<'_>) -> bool {
    matches!(token, Token::Other(text) if text.trim().is_empty())
}

fn names_pg_catalog_regclass(rest: &[Token<'_>]) -> bool {
    matches!(
        rest,
        [
            Token::Quoted("\"pg_catalog\"") | Token::Word("pg_catalog"),
            Token::Dot,
            Token::Quoted("\"regclass\"") | Token::Word("regclass"),
            ..
        ]
    )
}

/// The statements of `sql`, without their semicolons.
pub(crate) fn statements(sql: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for token in tokens(sql) {
        match (token, found.last_mut()) {
            (Token::Semicolon, _) => found.push(String::new()),
            (other, Some(last)) => last.push_str(other.text()),
            (_, None) => {}
        }
    }
    found.retain(|statement| !statement.trim().is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moves() -> Moves {
        let mut moves = Moves::default();
        for (schema, name) in
            [("public", "orders"), ("public", "orders_id_seq"), ("odd \"s\"", "o'x")]
        {
            let name = (schema.to_owned(), name.to_owned());
            moves.insert(Namespace::Relation, name, "hidden".to_owned());
        }
        moves
    }

    #[test]
    fn things_of_one_name_are_told_apart() {
        use Namespace::*;
        let all = [Relation, Type, Routine, Collation, Statistics];
        for (kind, sql) in [
            (Relation, r#"CREATE TABLE "s"."x" ("#),
            (Relation, r#"ALTER TABLE ONLY "s"."x" ADD"#),
            (Relation, r#"FOREIGN KEY ("a") REFERENCES "s"."x"("id")"#),
            (Relation, r#"ALTER INDEX "s"."i" ATTACH PARTITION "s"."x""#),
            (Relation, r#"COMMENT ON COLUMN "s"."x"."c" IS"#),
            (Relation, r#"CREATE INDEX "x" ON "s"."x" USING"#),
            (Relation, r#"OWNED BY "s"."x"."id""#),
            (Relation, r#"INHERITS ("s"."a", "s"."x")"#),
            (Relation, r#""nextval"('"s"."x"'::"regclass")"#),
            (Relation, r#"FROM "s"."x""#),
            (Relation, r#"INSERT INTO "s"."x" ("a")"#),
            (Type, r#"    "c" "s"."x" DEFAULT"#),
            (Type, r#"    "c" "s"."x"[] NOT NULL"#),
            (Type, r#"'a'::"s"."x""#),
            (Type, r#"CAST("a" AS "s"."x")"#),
            (Type, r#"RETURNS SETOF "s"."x""#),
            (Type, r#"ALTER TYPE "s"."x" OWNER"#),
            (Type, r#"CREATE TABLE "s"."t" OF "s"."x";"#),
            (Type, "    subtype = \"s\".\"x\","),
            (Type, "    STYPE = \"s\".\"x\","),
            (Routine, r#"CHECK (("s"."x"("a") > 0))"#),
            (Routine, r#"("a" = "s"."x"("b"))"#),
            (Routine, r#"DEFAULT "s"."x"()"#),
            (Routine, r#"FROM "s"."x"(1) "a""#),
            (Routine, r#"ORDER BY "s"."x"("a")"#),
            (Routine, r#"EXECUTE FUNCTION "s"."x"('a')"#),
            (Routine, r#"GRANT ALL ON FUNCTION "s"."x"("a" integer) TO"#),
            (Routine, "    SFUNC = \"s\".\"x\","),
            (Collation, r#""a" "text" COLLATE "s"."x""#),
            (Collation, r#"ALTER COLLATION "s"."x" OWNER"#),
            (Statistics, r#"CREATE STATISTICS "s"."x" ON"#),
        ] {
            for moving in all {
                let mut moves = Moves::default();
                let name = ("s".to_owned(), "x".to_owned());
                moves.insert(moving, name, "hidden".to_owned());
                let moved = rename(sql, &moves) == sql.replace(r#""s"."x""#, r#""hidden"."x""#);
                assert_eq!(moved, moving == kind, "{moving:?}: {sql}");
            }
        }
    }

    #[test]
    fn only_qualified_names_that_move_are_replaced() {
        for (sql, expected) in [
            (
                r#"CREATE TABLE "public"."orders" ("id" integer, "orders" "public"."mood")"#,
                r#"CREATE TABLE "hidden"."orders" ("id" integer, "orders" "public"."mood")"#,
            ),
            (
                r#"SET DEFAULT "nextval"('"public"."orders_id_seq"'::"regclass")"#,
                r#"SET DEFAULT "nextval"('"hidden"."orders_id_seq"'::"regclass")"#,
            ),
            (
                r#"CHECK ("note" <> '"public"."orders"'::"text")"#,
                r#"CHECK ("note" <> '"public"."orders"'::"text")"#,
            ),
            (
                r#"OWNED BY "public"."orders"."id"; -- "public"."orders""#,
                r#"OWNED BY "hidden"."orders"."id"; -- "public"."orders""#,
            ),
            (r#"ON "odd ""s"""."o'x""#, r#"ON "hidden"."o'x""#),
            (r#""x"."public"."orders""#, r#""x"."public"."orders""#),
            (r#"AS $_$ "public"."orders" $_$"#, r#"AS $_$ "public"."orders" $_$"#),
        ] {
            assert_eq!(rename(sql, &moves()), expected);
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_ends_with_the_text() {
        for sql in [r#""public"."é"#, "\"public\".\"", "'é", "E'\\", "$é$ \"a\".\"b"] {
            assert_eq!(rename(sql, &moves()), sql);
        }
    }

    #[test]
    fn a_database_is_renamed_only_as_a_database() {
        let sql = "ALTER DATABASE \"a\" SET \"x\" TO 'DATABASE \"a\"';\n\
                   ALTER ROLE \"a\" IN DATABASE \"a\" SET \"y\" TO 'z';";
        let expected = "ALTER DATABASE \"b\" SET \"x\" TO 'DATABASE \"a\"';\n\
                        ALTER ROLE \"a\" IN DATABASE \"b\" SET \"y\" TO 'z';";
        assert_eq!(rename_database(sql, "a", "b"), expected);
    }

    #[test]
    fn statements_end_at_semicolons_of_their_own() {
        let sql = "SELECT ';'; DO $x$ a; b $x$; /* ; /* ; */ */ SELECT E'\\';' ;\n";
        let found = statements(sql);
        assert_eq!(found.len(), 3, "{found:?}");
    }

    proptest! {
        #[test]
        fn tokens_are_the_text_again(sql in "[\"'$.;:a-z\\\\\\-/*\n é]{0,60}") {
            let text: String = tokens(&sql).iter().map(|token| token.text()).collect();
            prop_assert_eq!(&text, &sql);
            prop_assert_eq!(rename(&sql, &Moves::default()).len() >= sql.len().saturating_sub(2), true);
        }

        #[test]
        fn names_and_literals_survive_quoting(name in "\\PC{1,20}") {
            let quoted = ident(&name);
            prop_assert_eq!(tokens(&quoted), vec![Token::Quoted(&quoted)]);
            prop_assert_eq!(unquoted(&quoted), name.clone());
            let text = literal(&name);
            prop_assert_eq!(tokens(&text), vec![Token::Literal(&text)]);
        }
    }
}
