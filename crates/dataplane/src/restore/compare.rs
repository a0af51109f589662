//! Whether an object of the target is what the backup calls by its name.
//!
//! A table restore uses the types and functions that the target has. Two databases may mean
//! different things by one name, and rows are text: a composite type with its attributes in another
//! order would take the values without a word, each in the other's place. So whatever would be used
//! is compared first.
//!
//! Text is compared with text: the definition that `pg_dump --quote-all-identifiers` wrote, cut to
//! tokens, with what the target's own functions print of its object. These are the functions that
//! `pg_dump` asks, and [`prepare`] lets them quote likewise. Nothing is created to find out, since a
//! plan writes nothing.
//!
//! Types inside of types need no recursion here. A type is the same if it names the same types; the
//! archive tells that it depends on each of them, so that each is compared by itself.

use std::collections::BTreeMap;

use super::columns::{self, columns, find, list, spaced};
use super::selection::{Name, name_of, qualified_names};
use crate::postgres::archive::Entry;
use crate::postgres::connect::Client;
use crate::postgres::sql::{self, Token, qualified, tokens};
use crate::{Error, Kind, Result};

/// The clauses of a function that decide what it returns. Those left out are about its costs.
const CLAUSES: &[&str] =
    &["LANGUAGE", "TRANSFORM", "WINDOW", "IMMUTABLE", "STABLE", "STRICT", "SECURITY", "SET"];
/// The other ones.
const OTHER_CLAUSES: &[&str] = &["LEAKPROOF", "COST", "ROWS", "SUPPORT", "PARALLEL"];
/// What a function's body begins with.
const BODY: &[&str] = &["AS", "RETURN", "BEGIN"];

/// What comparing an object with the target's namesake found.
#[derive(Debug)]
pub(super) enum Compared {
    /// The target has none.
    Absent,
    Same,
    Differs(Difference),
    /// The target has to tell by itself whether it has one that fits.
    Unknown,
}

/// How an object of the target differs from the one in the backup.
#[derive(Debug)]
pub(super) struct Difference {
    /// `has other labels`, `has another body`.
    pub(super) what: &'static str,
    /// The target's side and the backup's, where they can be shown.
    pub(super) sides: Option<(String, String)>,
    /// Whether the same text becomes the same value all the same, or is refused.
    pub(super) keeps_values: bool,
}

impl Difference {
    fn shown(what: &'static str, theirs: &str, ours: &str) -> Self {
        let sides = Some((readable(theirs), readable(ours)));
        Difference { what, sides, keeps_values: false }
    }

    /// Of what a relation's rows are made of.
    pub(super) fn of_columns(theirs: &[String], ours: &[String]) -> Self {
        Difference::shown("has other columns", &theirs.join(", "), &ours.join(", "))
    }
}

/// The same, or different in `what`.
fn same_or(what: &'static str, theirs: String, ours: String) -> Compared {
    match ours == theirs {
        true => Compared::Same,
        false => Compared::Differs(Difference::shown(what, &theirs, &ours)),
    }
}

/// Sets a session up for comparing: names are printed as `pg_dump` printed them.
pub(super) async fn prepare(target: &Client) -> Result<()> {
    Ok(target.batch_execute("SET quote_all_identifiers = on").await?)
}

/// Compares an object with the target's namesake.
pub(super) async fn compare(target: &Client, entry: &Entry) -> Result<Compared> {
    match entry.kind.as_str() {
        "TYPE" | "DOMAIN" => a_type(target, entry).await,
        "COLLATION" => collation(target, entry).await,
        "FUNCTION" | "PROCEDURE" | "AGGREGATE" => routine(target, entry).await,
        "OPERATOR" => operator(target, entry).await,
        "CAST" => cast(target, entry).await,
        "TEXT SEARCH CONFIGURATION" => search_configuration(target, entry).await,
        "TEXT SEARCH DICTIONARY" => search_dictionary(target, entry).await,
        _ => Ok(Compared::Unknown),
    }
}

/// What a type is made of.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    /// `an enum`, `a composite type`.
    kind: String,
    /// Labels, attributes or properties.
    parts: Vec<String>,
    /// What values of a domain are held to.
    constraints: String,
}

impl Made {
    /// By the definition in the backup.
    fn by(entry: &Entry) -> Made {
        let all = tokens(&entry.definition);
        let made =
            |kind: &str, parts| Made { kind: kind.to_owned(), parts, constraints: String::new() };
        let Some(at) = find(&all, &["AS"], 0) else {
            return made("a base type", chosen(&entry.definition, &["input"]));
        };
        let rest = &all[at + 1..];
        if entry.kind == "DOMAIN" {
            let rest =
                &rest[..rest.iter().rposition(|t| *t == Token::Semicolon).unwrap_or(rest.len())];
            let end = find(rest, &["NOT", "DEFAULT", "CONSTRAINT", "CHECK"], 0);
            let (base, constraints) = rest.split_at(end.unwrap_or(rest.len()));
            let constraints = without_names(constraints);
            return Made { constraints, ..made("a domain", vec![spaced(base)]) };
        }
        match rest.iter().find(|token| !token.text().trim().is_empty()) {
            Some(Token::Word("ENUM")) => {
                let labels = rest.iter().filter_map(|token| match token {
                    Token::Literal(text) => Some(sql::literal_text(text)),
                    _ => None,
                });
                made("an enum", labels.collect())
            }
            Some(Token::Word("RANGE")) => {
                let keys = [
                    "subtype",
                    "multirange_type_name",
                    "subtype_opclass",
                    "collation",
                    "canonical",
                ];
                made("a range type", chosen(&entry.definition, &keys))
            }
            _ => {
                let attributes = columns(&entry.definition).into_iter().map(|column| column.text);
                made("a composite type", attributes.collect())
            }
        }
    }
}

/// The attributes of a composite type, or the columns of a relation, by the oid that `relation`
/// stands for: as [`super::columns::Column`] has them.
fn columns_of(relation: &str) -> String {
    format!(
        "SELECT quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) || \
                coalesce(' COLLATE ' || quote_ident(n.nspname) || '.' || quote_ident(l.collname), \
                         '') AS text, \
                CASE WHEN a.attgenerated <> '' \
                     THEN 'GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ')' END \
                    AS generated, a.attnum \
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_collation l ON l.oid = a.attcollation AND a.attcollation <> t.typcollation \
         LEFT JOIN pg_namespace n ON n.oid = l.collnamespace \
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         WHERE a.attrelid = {relation} AND a.attnum > 0 AND NOT a.attisdropped \
         ORDER BY a.attnum"
    )
}

/// By the target's catalogs.
async fn made_there(target: &Client, name: &str) -> Result<Option<Made>> {
    let sql = format!(
        "SELECT CASE typtype WHEN 'e' THEN 'an enum' WHEN 'd' THEN 'a domain' WHEN 'r' THEN 'a range type' \
                     WHEN 'm' THEN 'a multirange type' WHEN 'b' THEN 'a base type' \
                     WHEN 'c' THEN CASE WHEN (SELECT relkind FROM pg_class WHERE oid = typrelid) = 'c' \
                                        THEN 'a composite type' ELSE 'the rows of a relation' END \
                     ELSE 'a type without a definition' END, \
                CASE typtype \
                WHEN 'e' THEN ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = y.oid \
                                    ORDER BY enumsortorder) \
                WHEN 'c' THEN ARRAY(SELECT text FROM ({attributes}) AS attributes) \
                WHEN 'd' THEN ARRAY[format_type(typbasetype, typtypmod) || \
                    coalesce((SELECT ' COLLATE ' || quote_ident(nspname) || '.' || quote_ident(collname) \
                              FROM pg_collation l JOIN pg_namespace n ON n.oid = collnamespace \
                              JOIN pg_type b ON b.oid = y.typbasetype \
                              WHERE l.oid = y.typcollation AND y.typcollation <> b.typcollation), '')] \
                WHEN 'r' THEN ARRAY(SELECT unnest(ARRAY[ \
                        'subtype = ' || format_type(rngsubtype, NULL), \
                        'multirange_type_name = ' || \
                            format_type((to_jsonb(r) ->> 'rngmultitypid')::oid, NULL), \
                        'subtype_opclass = ' || CASE WHEN NOT opcdefault \
                            THEN quote_ident(o.nspname) || '.' || quote_ident(opcname) END, \
                        'collation = ' || quote_ident(n.nspname) || '.' || quote_ident(collname), \
                        'canonical = ' || nullif(rngcanonical::text, '-')]) \
                    FROM pg_range r JOIN pg_type s ON s.oid = rngsubtype \
                    JOIN pg_opclass c ON c.oid = rngsubopc JOIN pg_namespace o ON o.oid = opcnamespace \
                    LEFT JOIN pg_collation l ON l.oid = rngcollation AND rngcollation <> s.typcollation \
                    LEFT JOIN pg_namespace n ON n.oid = collnamespace WHERE rngtypid = y.oid) \
                ELSE ARRAY['input = ' || typinput::text] END, \
                concat_ws(' ', CASE WHEN typnotnull THEN 'NOT NULL' END, \
                    'DEFAULT ' || coalesce(pg_get_expr(typdefaultbin, 'pg_type'::regclass), \
                                           quote_literal(typdefault)), \
                    (SELECT string_agg(pg_get_constraintdef(oid), ' ' ORDER BY conname) \
                     FROM pg_constraint WHERE contypid = y.oid AND contype = 'c' AND convalidated)) \
         FROM pg_type y WHERE oid = to_regtype($1)",
        attributes = columns_of("y.typrelid")
    );
    let rows = target.query(sql.as_str(), &[&name]).await?;
    Ok(rows.first().map(|row| {
        let (kind, parts): (String, Vec<Option<String>>) = (row.get(0), row.get(1));
        let constraints =
            if kind == "a domain" { spaced(&tokens(row.get(2))) } else { String::new() };
        Made { kind, parts: parts.into_iter().flatten().collect(), constraints }
    }))
}

async fn a_type(target: &Client, entry: &Entry) -> Result<Compared> {
    let (schema, name) = name_of(entry);
    let Some(mut theirs) = made_there(target, &qualified(&schema, &name)).await? else {
        return Ok(Compared::Absent);
    };
    let mut ours = Made::by(entry);
    // Servers before 14 know no multiranges.
    let has_name = |made: &Made| made.parts.iter().any(|part| part.starts_with("multirange"));
    if has_name(&ours) != has_name(&theirs) {
        for made in [&mut ours, &mut theirs] {
            made.parts.retain(|part| !part.starts_with("multirange"));
        }
    }
    if ours == theirs {
        return Ok(Compared::Same);
    }
    if ours.kind != theirs.kind {
        let kinds = Difference::shown("is of another kind", &theirs.kind, &ours.kind);
        return Ok(Compared::Differs(kinds));
    }
    if ours.parts != theirs.parts {
        let what = match ours.kind.as_str() {
            "an enum" => "has other labels",
            "a composite type" => "has other attributes",
            "a domain" => "has another base type",
            _ => "has other properties",
        };
        let (theirs, ours) = (theirs.parts.join(", "), ours.parts.join(", "));
        return Ok(Compared::Differs(Difference::shown(what, &theirs, &ours)));
    }
    let what = "has other constraints";
    let constraints = Difference::shown(what, &theirs.constraints, &ours.constraints);
    Ok(Compared::Differs(Difference { keeps_values: true, ..constraints }))
}

async fn collation(target: &Client, entry: &Entry) -> Result<Compared> {
    let (schema, name) = name_of(entry);
    let rows = target
        .query(
            "SELECT CASE collprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' \
                                      WHEN 'b' THEN 'builtin' ELSE 'default' END, \
                    collisdeterministic, coalesce(own.locale, c.collcollate::text), \
                    coalesce(own.locale, c.collctype::text), to_jsonb(c) ->> 'collicurules' \
             FROM pg_collation c JOIN pg_namespace n ON n.oid = collnamespace, \
                  LATERAL (SELECT coalesce(to_jsonb(c) ->> 'colllocale', \
                                           to_jsonb(c) ->> 'colliculocale') AS locale) AS own \
             WHERE n.nspname = $1 AND collname = $2 \
                   AND collencoding IN (-1, (SELECT encoding FROM pg_database \
                                             WHERE datname = current_database()))",
            &[&schema, &name],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(Compared::Absent) };
    let text = |at: usize| row.get::<_, Option<String>>(at).unwrap_or_default();
    let theirs = [
        text(0),
        if row.get(1) { "deterministic" } else { "not deterministic" }.to_owned(),
        text(2),
        text(3),
        text(4),
    ];
    let said = properties(&entry.definition);
    let value = |key: &str| said.get(key).map(|value| sql::literal_text(value));
    let locale = |key: &str| value(key).or_else(|| value("locale")).unwrap_or_default();
    let exact =
        if value("deterministic").is_some_and(|word| word == "false") { "not " } else { "" };
    let ours = [
        value("provider").unwrap_or_default(),
        format!("{exact}deterministic"),
        locale("lc_collate"),
        locale("lc_ctype"),
        value("rules").unwrap_or_default(),
    ];
    Ok(same_or("has other properties", theirs.join(", "), ours.join(", ")))
}

/// A function or procedure, cut to what decides what it does.
#[derive(Debug, PartialEq, Eq)]
struct Routine {
    /// With arguments and result.
    signature: String,
    clauses: Vec<String>,
    body: Vec<String>,
}

impl Routine {
    /// By a `CREATE` statement, of `pg_dump` or of the server. They spell the same things, in
    /// another order.
    fn by(statement: &str) -> Routine {
        let all = tokens(statement);
        let end = find(&all, BODY, 0).unwrap_or(all.len());
        let (head, body) = all.split_at(end);
        let words = [CLAUSES, OTHER_CLAUSES].concat();
        let mut starts: Vec<usize> = Vec::new();
        while let Some(at) = find(head, &words, starts.last().map_or(0, |last| last + 1)) {
            starts.push(at);
        }
        let ends = starts.iter().skip(1).chain([&head.len()]).copied().collect::<Vec<usize>>();
        let runs = starts.iter().zip(ends).map(|(start, end)| &head[*start..end]);
        let counts = |run: &&[Token<'_>]| CLAUSES.contains(&run[0].text());
        let mut clauses: Vec<String> = runs.filter(counts).map(spaced).collect();
        clauses.sort();
        let signature = spaced(&head[..starts.first().copied().unwrap_or(head.len())]);
        let body = match body.first() {
            Some(Token::Word("AS")) => body.iter().filter_map(quoted_text).collect(),
            _ => vec![spaced(body).trim_end_matches(';').to_owned()],
        };
        Routine { signature: signature.replacen(" OR REPLACE", "", 1), clauses, body }
    }
}

/// The text of a literal, or between dollar signs.
fn quoted_text(token: &Token<'_>) -> Option<String> {
    match token {
        Token::Literal(text) if text.starts_with('\'') => Some(sql::literal_text(text)),
        Token::Literal(text) => Some(sql::literal_text(text).replace("\\\\", "\\")),
        Token::Other(text) => {
            let tag = text.strip_prefix('$')?.find('$')? + 2;
            text.get(tag..text.len().checked_sub(tag)?).map(str::to_owned)
        }
        _ => None,
    }
}

async fn routine(target: &Client, entry: &Entry) -> Result<Compared> {
    let (schema, name) = name_of(entry);
    let arguments = &entry.tag[entry.tag.find('(').unwrap_or(entry.tag.len())..];
    let signature = format!("{}{arguments}", qualified(&schema, &name));
    let sql = "SELECT CASE WHEN prokind <> 'a' THEN pg_get_functiondef(oid) END FROM pg_proc \
               WHERE oid = to_regprocedure($1)";
    let rows = match target.query(sql, &[&signature]).await.map_err(Error::from) {
        Ok(rows) => rows,
        Err(error) if error.kind() == Kind::Unreachable => return Err(error),
        // An argument's type may not exist there, which is an error and not a no.
        Err(_) => return Ok(Compared::Absent),
    };
    let Some(row) = rows.first() else { return Ok(Compared::Absent) };
    let Some(statement) = row.get::<_, Option<String>>(0).filter(|_| entry.kind != "AGGREGATE")
    else {
        return Ok(Compared::Unknown);
    };
    let (ours, theirs) = (Routine::by(&entry.definition), Routine::by(&statement));
    if ours == theirs {
        return Ok(Compared::Same);
    }
    if ours.body != theirs.body {
        // It is not shown: people write passwords into bodies.
        let what = "has another body";
        return Ok(Compared::Differs(Difference { what, sides: None, keeps_values: false }));
    }
    let difference = match ours.signature == theirs.signature {
        true => {
            let (theirs, ours) = (theirs.clauses.join(" "), ours.clauses.join(" "));
            Difference::shown("has other properties", &theirs, &ours)
        }
        false => Difference::shown("has another signature", &theirs.signature, &ours.signature),
    };
    Ok(Compared::Differs(difference))
}

async fn operator(target: &Client, entry: &Entry) -> Result<Compared> {
    let said = properties(&entry.definition);
    let side = |key: &str| said.get(key).cloned();
    let sql = "SELECT oprcode::text FROM pg_operator o JOIN pg_namespace n ON n.oid = oprnamespace \
               WHERE nspname = $1 AND oprname = $2 \
                     AND format_type(nullif(oprleft, 0), NULL) IS NOT DISTINCT FROM $3 \
                     AND format_type(nullif(oprright, 0), NULL) IS NOT DISTINCT FROM $4";
    let (schema, name) = name_of(entry);
    let (left, right) = (side("leftarg"), side("rightarg"));
    let rows = target.query(sql, &[&schema, &name, &left, &right]).await?;
    let Some(row) = rows.first() else { return Ok(Compared::Absent) };
    let (theirs, ours): (String, String) = (row.get(0), side("function").unwrap_or_default());
    Ok(same_or("has another function", theirs, ours))
}

/// The two types of a cast, and its function.
fn cast_by(definition: &str) -> (String, String, String) {
    let all = tokens(definition);
    let types = list(&all).first().map(|types| {
        let at = find(types, &["AS"], 0).unwrap_or(types.len());
        (spaced(&types[..at]), spaced(types.get(at + 1..).unwrap_or_default()))
    });
    let (from, to) = types.unwrap_or_default();
    let function = find(&all, &["FUNCTION"], 0).map(|at| {
        let end = find(&all, &["AS"], at).unwrap_or(all.len());
        spaced(&all[at + 1..end])
    });
    (from, to, function.unwrap_or_default().trim_end_matches(';').to_owned())
}

async fn cast(target: &Client, entry: &Entry) -> Result<Compared> {
    let (from, to, ours) = cast_by(&entry.definition);
    let sql = "SELECT CASE WHEN castfunc = 0 THEN '' ELSE castfunc::regprocedure::text END \
               FROM pg_cast WHERE format_type(castsource, NULL) = $1 \
                                  AND format_type(casttarget, NULL) = $2";
    let rows = target.query(sql, &[&from, &to]).await?;
    let Some(row) = rows.first() else { return Ok(Compared::Absent) };
    Ok(same_or("has another function", row.get(0), ours))
}

async fn search_configuration(target: &Client, entry: &Entry) -> Result<Compared> {
    let sql = "SELECT quote_ident(pn.nspname) || '.' || quote_ident(prsname), \
                      ARRAY(SELECT quote_ident(t.alias) || ' WITH ' || \
                                   string_agg(mapdict::regdictionary::text, ', ' ORDER BY mapseqno) \
                            FROM pg_ts_config_map JOIN ts_token_type(c.cfgparser) t \
                                 ON tokid = maptokentype \
                            WHERE mapcfg = c.oid GROUP BY t.alias) \
               FROM pg_ts_config c JOIN pg_namespace n ON n.oid = cfgnamespace \
               JOIN pg_ts_parser p ON p.oid = cfgparser \
               JOIN pg_namespace pn ON pn.oid = prsnamespace \
               WHERE n.nspname = $1 AND cfgname = $2";
    let (schema, name) = name_of(entry);
    let rows = target.query(sql, &[&schema, &name]).await?;
    let Some(row) = rows.first() else { return Ok(Compared::Absent) };
    let mut theirs: Vec<String> = row.get(1);
    let statements = sql::statements(&entry.definition);
    let mapping = |statement: &String| {
        let all = tokens(statement);
        find(&all, &["FOR"], 0).map(|at| spaced(&all[at + 1..]))
    };
    let mut ours: Vec<String> = statements.iter().filter_map(mapping).collect();
    let said = properties(&entry.definition);
    for (all, parser) in [(&mut theirs, row.get(0)), (&mut ours, said.get("parser").cloned())] {
        all.sort();
        all.insert(0, parser.unwrap_or_default());
    }
    // Long lists that differ in a line or two: those are shown.
    let (all_ours, all_theirs) = (ours.clone(), theirs.clone());
    ours.retain(|line| !all_theirs.contains(line));
    theirs.retain(|line| !all_ours.contains(line));
    Ok(same_or("has other mappings", theirs.join("; "), ours.join("; ")))
}

async fn search_dictionary(target: &Client, entry: &Entry) -> Result<Compared> {
    let sql = "SELECT quote_ident(tn.nspname) || '.' || quote_ident(tmplname), dictinitoption \
               FROM pg_ts_dict JOIN pg_namespace n ON n.oid = dictnamespace \
               JOIN pg_ts_template t ON t.oid = dicttemplate \
               JOIN pg_namespace tn ON tn.oid = tmplnamespace \
               WHERE n.nspname = $1 AND dictname = $2";
    let (schema, name) = name_of(entry);
    let rows = target.query(sql, &[&schema, &name]).await?;
    let Some(row) = rows.first() else { return Ok(Compared::Absent) };
    let options = row.get::<_, Option<String>>(1).map(|options| format!(", {options}"));
    let there = format!("(TEMPLATE = {}{})", row.get::<_, String>(0), options.unwrap_or_default());
    let shown = |text: &str| {
        let pairs = properties(text).into_iter().map(|(key, value)| format!("{key} = {value}"));
        pairs.collect::<Vec<String>>().join(", ")
    };
    Ok(same_or("has other properties", shown(&there), shown(&entry.definition)))
}

/// The types that a table's columns have, or that a type is made of.
pub(super) fn types_in(entry: &Entry) -> Vec<Name> {
    let parts = match entry.kind.as_str() {
        "TABLE" | "FOREIGN TABLE" => {
            let columns = columns(&entry.definition).into_iter();
            return columns.flat_map(|column| column.types).collect();
        }
        "TYPE" | "DOMAIN" => Made::by(entry),
        _ => return Vec::new(),
    };
    let type_of = |part: &String| {
        let end = part.find(" COLLATE ").unwrap_or(part.len());
        qualified_names(&part[..end])
    };
    match parts.kind.as_str() {
        "a composite type" | "a domain" => parts.parts.iter().flat_map(type_of).collect(),
        "a range type" => parts.parts.iter().take(1).flat_map(type_of).collect(),
        _ => Vec::new(),
    }
}

/// All columns of a relation, if its definition lists them.
pub(super) fn all_columns(relation: &Entry) -> Option<Vec<String>> {
    let all = tokens(&relation.definition);
    let lists = matches!(relation.kind.as_str(), "TABLE" | "FOREIGN TABLE")
        && find(&all, &["INHERITS", "OF"], 0).is_none();
    lists.then(|| columns(&relation.definition).into_iter().map(|column| column.text).collect())
}

/// A column of the target.
pub(super) struct ColumnThere {
    pub(super) text: String,
    generated: Option<String>,
}

impl ColumnThere {
    /// With what it is generated from.
    pub(super) fn whole(&self) -> String {
        columns::whole(&self.text, self.generated.as_deref())
    }
}

/// The columns of a relation of the target, if there is one of that name.
pub(super) async fn columns_there(target: &Client, name: &str) -> Result<Option<Vec<ColumnThere>>> {
    let exists = "SELECT to_regclass($1) IS NOT NULL";
    if !target.query_one(exists, &[&name]).await?.get::<_, bool>(0) {
        return Ok(None);
    }
    let rows = target.query(columns_of("to_regclass($1)").as_str(), &[&name]).await?;
    let column =
        |row: &tokio_postgres::Row| ColumnThere { text: row.get(0), generated: row.get(1) };
    Ok(Some(rows.iter().map(column).collect()))
}

/// The extension that the target's type belongs to; `None` if there is no such type.
pub(super) async fn extension_there(
    target: &Client,
    type_name: &str,
) -> Result<Option<Option<String>>> {
    let sql = "SELECT e.extname::text FROM pg_type t \
               LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid \
                    AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass \
               LEFT JOIN pg_extension e ON e.oid = d.refobjid WHERE t.oid = to_regtype($1)";
    Ok(target.query(sql, &[&type_name]).await?.first().map(|row| row.get(0)))
}

/// The `key = value` pairs of a definition, by their keys in small letters.
fn properties(definition: &str) -> BTreeMap<String, String> {
    let all = tokens(definition);
    let pair = |part: &&[Token<'_>]| {
        let at = part.iter().position(|token| *token == Token::Other("="))?;
        Some((spaced(&part[..at]).to_lowercase(), spaced(&part[at + 1..])))
    };
    list(&all).iter().filter_map(pair).collect()
}

/// Some of the pairs, as text.
fn chosen(definition: &str, keys: &[&str]) -> Vec<String> {
    let said = properties(definition);
    keys.iter().filter_map(|key| Some(format!("{key} = {}", said.get(*key)?))).collect()
}

/// A domain's constraints without their names, which decide nothing.
fn without_names(constraints: &[Token<'_>]) -> String {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < constraints.len() {
        match constraints[at] {
            Token::Word("CONSTRAINT") => at += 4,
            token => {
                kept.push(token);
                at += 1;
            }
        }
    }
    spaced(&kept)
}

/// A definition's part for people: names are quoted only where that is needed.
fn readable(text: &str) -> String {
    let plain = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let shown = |token: &Token<'_>| match token {
        Token::Quoted(quoted) if plain(&sql::unquoted(quoted)) => sql::unquoted(quoted),
        other => other.text().to_owned(),
    };
    let text: String = tokens(text).iter().map(shown).collect();
    if text.is_empty() { "none".to_owned() } else { text }
}

/// Reads all that is compared of a definition.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn read(entry: &Entry) {
    Made::by(entry);
    types_in(entry);
    all_columns(entry);
    Routine::by(&entry.definition);
    cast_by(&entry.definition);
    properties(&entry.definition);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::archive::{Archive, example};

    const FUNCTION: &str = "CREATE FUNCTION \"s\".\"f\"(\"a\" integer DEFAULT 3) RETURNS integer\n    \
        LANGUAGE \"sql\" IMMUTABLE STRICT COST 7\n    SET \"search_path\" TO 'public', 'x'\n    \
        AS $_$ SELECT $1 -- it's $_$;\n";

    #[test]
    fn a_function_is_the_same_in_the_words_of_the_dump_and_of_the_server() {
        let there = "CREATE OR REPLACE FUNCTION \"s\".\"f\"(\"a\" integer DEFAULT 3)\n \
            RETURNS integer\n LANGUAGE \"sql\"\n IMMUTABLE PARALLEL SAFE STRICT\n \
            SET \"search_path\" TO 'public', 'x'\nAS $function$ SELECT $1 -- it's $function$\n";
        assert_eq!(Routine::by(FUNCTION), Routine::by(there));
        for (from, to) in [("3", "4"), ("STRICT", ""), ("'x'", "'y'"), ("$1", "$2")] {
            assert_ne!(Routine::by(FUNCTION), Routine::by(&there.replace(from, to)), "{from}");
        }
        let written = |body: &str| format!("CREATE FUNCTION \"s\".\"f\"() RETURNS integer\n{body}");
        let (ours, theirs) = (written("    RETURN (1 - 2);\n"), written("RETURN (1 - 2)"));
        assert_eq!(Routine::by(&ours), Routine::by(&theirs));
        assert_ne!(Routine::by(&ours), Routine::by(&written("RETURN (2 - 1)")));
    }

    #[test]
    fn what_is_cut_off_or_altered_does_no_harm() {
        let definitions = [
            ("FUNCTION", FUNCTION),
            (
                "DOMAIN",
                "CREATE DOMAIN \"s\".\"d\" AS \"text\" COLLATE \"s\".\"c\" NOT NULL\n\tCONSTRAINT \"x\" CHECK ((VALUE <> ''));\n",
            ),
            (
                "TYPE",
                "CREATE TYPE \"s\".\"r\" AS RANGE (\n    subtype = \"s\".\"t\",\n    canonical = \"s\".\"f\"\n);\n",
            ),
            ("TYPE", "CREATE TYPE \"s\".\"e\" AS ENUM (\n    'a',\n    'it''s'\n);\n"),
            (
                "CAST",
                "CREATE CAST (\"s\".\"a\" AS integer) WITH FUNCTION \"s\".\"f\"(\"s\".\"a\") AS IMPLICIT;\n",
            ),
        ];
        for (kind, definition) in definitions {
            for at in 0..definition.len() {
                for put in ["", ")", "(", "\"", "'", " AS ", "$", "é"] {
                    let altered = format!("{}{put}{}", &definition[..at], &definition[at + 1..]);
                    for text in [&altered, &definition[..at], &definition[at..]] {
                        let archive = Archive::parse(&example(&[(kind, "f(", text)])).unwrap();
                        archive.entries.iter().for_each(read);
                    }
                }
            }
        }
    }
}
