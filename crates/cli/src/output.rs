//! How results look, and the only place that writes to the standard outputs.
//!
//! Text for people comes from names that other people chose: control characters in them are shown,
//! not sent to the terminal. A reader that goes away (`| head`) is no failure.

use std::io::{ErrorKind, Write};
use std::time::Instant;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use strongroom_catalog::redact;
use strongroom_dataplane::{Error, Kind, Result};

/// Writes a command's result to the standard output.
pub(crate) fn result(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Failed, format!("the result could not be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes to the standard error output, with what looks like a secret blotted out.
pub(crate) fn complain(text: &str) {
    // There is nobody left to tell when this fails.
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(&redact::text(text)));
}

/// Asks on the standard error output, and stays on the line.
pub(crate) fn ask(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{}", printable(text)).and_then(|()| stderr.flush());
}

/// JSON that people can read too.
pub(crate) fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// JSON on one line.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A number of bytes, such as `63.22 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be printed as 1024.00 goes to the next unit.
    while value >= 1023.995 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2} {}", UNITS[unit])
}

/// A number with thousands separators, such as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things, such as `1 table` or `1,234 rows`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", count(number))
}

/// A moment, such as `2026-11-22 13:00:00 UTC`.
pub(crate) fn time(time: Timestamp) -> String {
    format!("{} UTC", time_in_utc(time))
}

/// A moment in a column that says UTC itself.
pub(crate) fn time_in_utc(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Seconds since then, to the millisecond.
pub(crate) fn seconds_since(started: Instant) -> f64 {
    started.elapsed().as_millis() as f64 / 1000.0
}

/// How long something took, such as `0.42 s` or `1 h 02 min`.
pub(crate) fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.2} s"),
        10..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Bytes per second, such as `51.20 MiB/s`.
pub(crate) fn rate(bytes: u64, seconds: f64) -> String {
    format!("{}/s", size((bytes as f64 / seconds.max(0.001)) as u64))
}

/// How many times smaller the stored form is, such as `3.15x smaller`.
pub(crate) fn ratio(size: u64, stored: u64) -> Option<String> {
    (size > 0 && stored > 0).then(|| {
        let ratio = size as f64 / stored as f64;
        if ratio >= 1.0 {
            format!("{ratio:.2}x smaller")
        } else {
            format!("{:.2}x larger", 1.0 / ratio)
        }
    })
}

/// Names in a row, as many as fit into `width` characters, and how many more there are.
pub(crate) fn names(names: &[String], width: usize) -> String {
    let mut text = String::new();
    for (at, name) in names.iter().enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        let longer = text.chars().count() + separator.len() + name.chars().count();
        if at > 0 && longer > width {
            return format!("{text}, +{} more", names.len() - at);
        }
        text.push_str(separator);
        text.push_str(name);
    }
    text
}

/// Labels and what they label, the latter in one column. Empty values are left out.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let facts: Vec<_> = facts.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = facts.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let line = |(label, value): &&(&str, String)| format!("{label:width$}  {}\n", one_line(value));
    facts.iter().map(line).collect()
}

/// A table of text with its headings; columns whose heading begins with `>` stand to the right.
pub(crate) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let headings = headings.iter().map(|heading| match heading.strip_prefix('>') {
        Some(heading) => (heading, true),
        None => (*heading, false),
    });
    aligned(&headings.collect::<Vec<_>>(), rows)
}

/// A table of text with its headings, and whether each column stands to the right.
pub(crate) fn aligned(
    headings: &[(&str, bool)],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings.iter().map(|(heading, _)| one_line(heading)));
    for row in rows {
        table.add_row(row.iter().map(|cell| one_line(cell)));
    }
    for (column, (_, right)) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2));
        if *right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The text with control characters spelled out; only line ends stay what they are.
pub(crate) fn printable(text: &str) -> String {
    if !text.contains(|character: char| character.is_control() && character != '\n') {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The text with all control characters spelled out, line ends too.
pub(crate) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

/// Adds the notes that are not there yet.
pub(crate) fn add_missing(notes: &mut Vec<String>, more: Vec<String>) {
    for note in more {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_digits_and_binary_units() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (64737, "63.22 KiB"),
            (1024 * 1024 - 1, "1.00 MiB"),
            (5 << 30, "5.00 GiB"),
            (u64::MAX, "16.00 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn counts_have_separators() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (500_000, "500,000"), (1234567, "1,234,567")]
        {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(2000, "row"), "2,000 rows");
    }

    #[test]
    fn moments_and_durations_are_shown_in_a_fixed_form() {
        assert_eq!(
            time("2026-11-22T14:00:00.12+01:00".parse().unwrap()),
            "2026-11-22 13:00:00 UTC"
        );
        for (value, text) in [
            (0.0, "0.00 s"),
            (1.234, "1.23 s"),
            (59.0, "59.0 s"),
            (61.0, "1 min 01 s"),
            (7322.0, "2 h 02 min"),
        ] {
            assert_eq!(seconds(value), text);
        }
        assert_eq!(rate(10 << 20, 2.0), "5.00 MiB/s");
        assert_eq!(ratio(3 << 20, 1 << 20).as_deref(), Some("3.00x smaller"));
        assert_eq!(ratio(1, 2).as_deref(), Some("2.00x larger"));
        assert_eq!(ratio(0, 2), None);
    }

    #[test]
    fn long_rows_of_names_are_cut() {
        let all = ["billing", "rides", "shop"].map(str::to_owned);
        assert_eq!(names(&all, 40), "billing, rides, shop");
        assert_eq!(names(&all, 16), "billing, rides, +1 more");
        assert_eq!(names(&all, 1), "billing, +2 more");
        assert_eq!(names(&[], 1), "");
    }

    #[test]
    fn tables_are_aligned_and_have_no_trailing_spaces() {
        let rows =
            [vec!["a".to_owned(), "1".to_owned()], vec!["bcd".to_owned(), "1,000".to_owned()]];
        assert_eq!(table(&["NAME", ">ROWS"], rows), "NAME   ROWS\na         1\nbcd   1,000\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\nc");
        assert_eq!(one_line("a\tb\nc"), "a\\tb\\nc");
    }
}
