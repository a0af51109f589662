//! The text form of `COPY`, read as `COPY FROM` reads it.
//!
//! A row is a line, its values are separated by tabs, `\N` alone is null, and a backslash begins an
//! escape: `\b \f \n \r \t \v`, one to three octal digits, `\x` with one or two hexadecimal digits;
//! before anything else it stands for that character itself. In every encoding that a server can
//! have, no part of another character looks like a tab, a line feed or a backslash, so bytes can be
//! read before anybody knows what they mean.

/// A value that is not null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Field {
    /// Its bytes, or the first of them.
    pub(crate) bytes: Vec<u8>,
    /// How many bytes it has.
    pub(crate) length: u64,
}

/// The values of a row; `None` is null.
pub(crate) type Row = Vec<Option<Field>>;

/// Reads rows as their bytes arrive, however they are cut.
pub(crate) struct Decoder {
    columns: usize,
    /// Bytes of a value that are kept, so that a very long one is not held in memory.
    keep: usize,
    row: Row,
    /// Values of the row that have ended, also those that are too many.
    values: usize,
    field: Field,
    /// Raw bytes of the field so far.
    raw: u64,
    null: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Plain,
    Backslash,
    Octal { value: u8, digits: u8 },
    Hex { value: u8, digits: u8 },
}

/// A row does not have as many values as the table has columns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrongWidth {
    /// The values that it has.
    pub(crate) values: usize,
}

impl Decoder {
    pub(crate) fn new(columns: usize, keep: usize) -> Self {
        Decoder {
            columns,
            keep,
            row: Vec::new(),
            values: 0,
            field: Field::default(),
            raw: 0,
            null: false,
            state: State::Plain,
        }
    }

    /// Takes in the next bytes, and gives every row that ends in them to `each`.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Row),
    ) -> Result<(), WrongWidth> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            match self.state {
                State::Plain => match byte {
                    b'\t' => {
                        self.end_field();
                        rest = after;
                    }
                    b'\n' => {
                        each(self.end_row()?);
                        rest = after;
                    }
                    b'\\' => {
                        self.state = State::Backslash;
                        self.raw += 1;
                        rest = after;
                    }
                    _ => {
                        let special = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\\');
                        let end = rest.iter().position(special).unwrap_or(rest.len());
                        self.raw += end as u64;
                        self.put(&rest[..end]);
                        rest = &rest[end..];
                    }
                },
                State::Backslash => {
                    self.raw += 1;
                    rest = after;
                    self.escaped(*byte);
                }
                // A digit belongs to the number; anything else ends it, and is looked at again.
                State::Octal { value, digits } => match octal(*byte).filter(|_| digits < 3) {
                    Some(digit) => {
                        self.raw += 1;
                        rest = after;
                        let value = value.wrapping_mul(8).wrapping_add(digit);
                        self.state = State::Octal { value, digits: digits + 1 };
                    }
                    None => self.end_number(),
                },
                State::Hex { value, digits } => match hexadecimal(*byte).filter(|_| digits < 2) {
                    Some(digit) => {
                        self.raw += 1;
                        rest = after;
                        let value = value.wrapping_mul(16).wrapping_add(digit);
                        self.state = State::Hex { value, digits: digits + 1 };
                    }
                    None => self.end_number(),
                },
            }
        }
        Ok(())
    }

    /// Whether all bytes so far made whole rows.
    pub(crate) fn is_between_rows(&self) -> bool {
        self.values == 0 && self.raw == 0
    }

    fn escaped(&mut self, byte: u8) {
        self.state = State::Plain;
        match byte {
            b'b' => self.put(b"\x08"),
            b'f' => self.put(b"\x0c"),
            b'n' => self.put(b"\n"),
            b'r' => self.put(b"\r"),
            b't' => self.put(b"\t"),
            b'v' => self.put(b"\x0b"),
            b'x' => self.state = State::Hex { value: 0, digits: 0 },
            b'N' => {
                self.null = self.raw == 2;
                self.put(b"N");
            }
            other => match octal(other) {
                Some(value) => self.state = State::Octal { value, digits: 1 },
                None => self.put(&[other]),
            },
        }
    }

    fn end_number(&mut self) {
        match self.state {
            State::Octal { value, .. } | State::Hex { value, digits: 1.. } => self.put(&[value]),
            State::Hex { .. } => self.put(b"x"),
            State::Plain | State::Backslash => {}
        }
        self.state = State::Plain;
    }

    fn put(&mut self, bytes: &[u8]) {
        let room = self.keep.saturating_sub(self.field.bytes.len());
        self.field.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.field.length += bytes.len() as u64;
    }

    fn end_field(&mut self) {
        let field = std::mem::take(&mut self.field);
        let null = self.null && self.raw == 2;
        self.values += 1;
        // A row that is too long must not grow without bound either.
        if self.values <= self.columns {
            self.row.push((!null).then_some(field));
        }
        (self.raw, self.null) = (0, false);
    }

    fn end_row(&mut self) -> Result<Row, WrongWidth> {
        // A row without columns is an empty line, which looks like one empty value.
        if !(self.columns == 0 && self.values == 0 && self.raw == 0) {
            self.end_field();
        }
        let values = std::mem::take(&mut self.values);
        let row = std::mem::take(&mut self.row);
        if values == self.columns { Ok(row) } else { Err(WrongWidth { values }) }
    }
}

fn octal(byte: u8) -> Option<u8> {
    matches!(byte, b'0'..=b'7').then(|| byte - b'0')
}

fn hexadecimal(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(text: &[u8], columns: usize, step: usize) -> Result<Vec<Row>, WrongWidth> {
        let mut decoder = Decoder::new(columns, usize::MAX);
        let mut rows = Vec::new();
        for part in text.chunks(step) {
            decoder.push(part, |row| rows.push(row))?;
        }
        Ok(rows)
    }

    /// What `COPY TO` writes of a value.
    fn encode(value: Option<&[u8]>) -> Vec<u8> {
        let Some(value) = value else { return b"\\N".to_vec() };
        let mut text = Vec::new();
        for byte in value {
            match byte {
                8 => text.extend(b"\\b"),
                9 => text.extend(b"\\t"),
                10 => text.extend(b"\\n"),
                11 => text.extend(b"\\v"),
                12 => text.extend(b"\\f"),
                13 => text.extend(b"\\r"),
                b'\\' => text.extend(b"\\\\"),
                other => text.push(*other),
            }
        }
        text
    }

    fn values(row: &Row) -> Vec<Option<&[u8]>> {
        row.iter().map(|field| field.as_ref().map(|field| field.bytes.as_slice())).collect()
    }

    #[test]
    fn every_escape_means_what_the_manual_says() {
        for (text, value) in [
            (r"\N", None),
            (r"\\N", Some(r"\N".as_bytes())),
            (r"\NN", Some(b"NN")),
            (r"a\N", Some(b"aN")),
            ("N", Some(b"N")),
            ("", Some(b"")),
            (r"\b\f\n\r\t\v\\", Some(b"\x08\x0c\n\r\t\x0b\\")),
            (r"\101\60\7z\0018", Some(b"A0\x07z\x018")),
            (r"\x41\x7\xg\x4aa", Some(b"A\x07xgJa")),
            (r"\q\.\é", Some("q.é".as_bytes())),
        ] {
            let line = format!("{text}\n");
            for step in 1..=line.len() {
                let rows = decode(line.as_bytes(), 1, step).unwrap();
                assert_eq!(values(&rows[0]), [value], "{text} in steps of {step}");
            }
        }
    }

    #[test]
    fn rows_of_another_width_are_refused() {
        assert_eq!(decode(b"a\tb\n", 1, 9), Err(WrongWidth { values: 2 }));
        assert_eq!(decode(b"a\n", 2, 9), Err(WrongWidth { values: 1 }));
        assert_eq!(decode(b"a\n", 0, 9), Err(WrongWidth { values: 1 }));
        assert_eq!(decode(b"\n\n", 0, 9), Ok(vec![Vec::new(); 2]));
        assert_eq!(decode(b"\n", 1, 9).map(|rows| rows.len()), Ok(1));
    }

    #[test]
    fn a_long_value_is_counted_and_not_kept() {
        let mut decoder = Decoder::new(1, 3);
        let mut rows = Vec::new();
        decoder.push(b"abc\\tdef\n", |row| rows.push(row)).unwrap();
        assert_eq!(rows, [vec![Some(Field { bytes: b"abc".to_vec(), length: 7 })]]);
    }

    proptest! {
        #[test]
        fn what_copy_writes_comes_back(
            values_of_rows in proptest::collection::vec(
                proptest::collection::vec(
                    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..12)), 3),
                0..5),
            step in 1usize..20,
        ) {
            let mut text = Vec::new();
            for row in &values_of_rows {
                let row: Vec<_> = row.iter().map(|value| encode(value.as_deref())).collect();
                text.extend(row.join(&b'\t'));
                text.push(b'\n');
            }
            let rows = decode(&text, 3, step).unwrap();
            let got: Vec<Vec<Option<&[u8]>>> = rows.iter().map(values).collect();
            let expected: Vec<Vec<Option<&[u8]>>> = values_of_rows
                .iter()
                .map(|row| row.iter().map(|value| value.as_deref()).collect())
                .collect();
            prop_assert_eq!(got, expected);
        }
    }
}
