//! Names as people write them on a command line: `shop.public.orders`, `"odd.name".s.t`.

use std::fmt;
use std::str::FromStr;

use crate::error::bail;
use crate::postgres::sql;
use crate::{Error, Kind, Result};

/// A table by database, schema and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The database.
    pub database: String,
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl FromStr for TableName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = split(text)?;
        let Ok([database, schema, table]) = <[String; 3]>::try_from(parts) else {
            return Err(Error::new(Kind::Usage, format!("'{text}' is not the name of a table"))
                .hint("write database.schema.table; a part with a dot or quote in it goes in double quotes"));
        };
        Ok(TableName { database, schema, table })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [database, schema, table] =
            [&self.database, &self.schema, &self.table].map(|name| shown(name));
        write!(f, "{database}.{schema}.{table}")
    }
}

/// A name as it has to be typed: quoted only where it must be.
pub fn shown(name: &str) -> String {
    let plain =
        !name.is_empty() && !name.contains(['.', '"']) && !name.contains(char::is_whitespace);
    if plain { name.to_owned() } else { sql::ident(name) }
}

fn split(text: &str) -> Result<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars().peekable();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        let Some(part) = parts.last_mut() else { break };
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                part.push('"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            other => part.push(other),
        }
    }
    if quoted || parts.iter().any(String::is_empty) {
        bail!(Usage, "'{text}' is not a name: a part is empty, or a quote is not closed");
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_being_shown() {
        for (text, parts) in [
            ("shop.public.orders", ["shop", "public", "orders"]),
            (r#""a.b".s."t ""x""""#, ["a.b", "s", "t \"x\""]),
            ("Shop.Ünï.order", ["Shop", "Ünï", "order"]),
        ] {
            let name: TableName = text.parse().unwrap();
            assert_eq!([&name.database, &name.schema, &name.table], parts);
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in ["", "orders", "public.orders", "a.b.c.d", "a..c", "\"a.b.c", "..", "a.b."] {
            assert_eq!(text.parse::<TableName>().unwrap_err().kind(), Kind::Usage, "{text}");
        }
    }
}
