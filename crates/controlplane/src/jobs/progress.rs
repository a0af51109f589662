//! How far a job is, made of what the engine tells, in the form that the API shows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strongroom_dataplane::names::TableName;
use strongroom_dataplane::progress::{Event, Progress};

use super::Reporter;

/// How often the reporter is told, at most.
const PAUSE: Duration = Duration::from_millis(200);
/// Tables that are listed, at most.
const MOST_TABLES: usize = 200;
/// Notes that are kept, at most.
const MOST_NOTES: usize = 50;
/// Before the last byte is durable, nothing is done.
const NEARLY: f64 = 0.95;

#[derive(Default)]
struct State {
    step: String,
    tables: HashMap<Arc<TableName>, Table>,
    notes: Vec<String>,
    /// A bar that goes back helps nobody: what is not known at the beginning (the tables of later
    /// databases) makes it stand still instead.
    fraction: f64,
    told: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Table {
    bytes_total: u64,
    bytes_done: u64,
    rows_done: u64,
    done: bool,
}

impl Table {
    fn state(&self) -> &'static str {
        match (self.done, self.bytes_done) {
            (true, _) => "DONE",
            (false, 0) => "WAITING",
            (false, _) => "RUNNING",
        }
    }
}

/// What tells the reporter of everything that the engine tells.
pub fn listen(reporter: &Reporter) -> Progress {
    let (state, reporter) = (Mutex::new(State::default()), reporter.clone());
    Progress::new(move |event| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let urgent = matches!(event, Event::Step(_) | Event::Note(_) | Event::TableDone(_));
        state.hear(event);
        if urgent || state.told.is_none_or(|told| told.elapsed() >= PAUSE) {
            state.told = Some(Instant::now());
            reporter.set(state.value());
        }
    })
}

impl State {
    fn hear(&mut self, event: Event) {
        match event {
            Event::Step(step) => self.step = step,
            Event::Note(note) if self.notes.len() < MOST_NOTES => self.notes.push(note),
            Event::Note(_) | Event::Expected(_) | Event::Moved(_) => {}
            Event::Table(table) => {
                let new = Table { bytes_total: table.bytes_expected, ..Table::default() };
                self.tables.insert(table.table, new);
            }
            Event::TableMoved { table, rows, bytes } => {
                let table = self.tables.entry(table).or_default();
                table.rows_done += rows;
                table.bytes_done += bytes;
                table.bytes_total = table.bytes_total.max(table.bytes_done);
            }
            Event::TableDone(table) => {
                let table = self.tables.entry(table).or_default();
                table.done = true;
                table.bytes_done = table.bytes_total;
            }
        }
    }

    fn value(&mut self) -> Value {
        let sum = |of: fn(&Table) -> u64| self.tables.values().map(of).sum::<u64>();
        let (done, total) = (sum(|table| table.bytes_done), sum(|table| table.bytes_total));
        if total > 0 {
            self.fraction = self.fraction.max(done as f64 / total as f64 * NEARLY);
        }
        let mut tables: Vec<(&Arc<TableName>, &Table)> = self.tables.iter().collect();
        let order = |table: &Table| match table.state() {
            "RUNNING" => 0,
            "WAITING" => 1,
            _ => 2,
        };
        tables.sort_by(|(a, one), (b, other)| (order(one), a).cmp(&(order(other), b)));
        let listed: Vec<Value> = tables
            .iter()
            .take(MOST_TABLES)
            .map(|(name, table)| {
                json!({
                    "database": name.database,
                    "schema": name.schema,
                    "name": name.table,
                    "rows_done": table.rows_done,
                    "bytes_done": table.bytes_done,
                    "bytes_total": table.bytes_total,
                    "state": table.state(),
                })
            })
            .collect();
        json!({
            "step": self.step,
            "fraction": self.fraction,
            "bytes_done": done,
            "bytes_total": total,
            "tables_done": self.tables.values().filter(|table| table.done).count(),
            "tables_total": self.tables.len(),
            "tables": listed,
            "notes": self.notes,
        })
    }
}

#[cfg(test)]
mod tests {
    use strongroom_dataplane::progress::TableProgress;

    use super::*;

    #[test]
    fn tables_are_told_with_those_under_way_first() {
        let mut state = State::default();
        let name = |table: &str| {
            Arc::new(TableName {
                database: "shop".to_owned(),
                schema: "public".to_owned(),
                table: table.to_owned(),
            })
        };
        for (table, bytes_expected) in [("a", 100), ("b", 300), ("c", 600)] {
            state.hear(Event::Table(TableProgress { table: name(table), bytes_expected }));
        }
        state.hear(Event::TableMoved { table: name("a"), rows: 5, bytes: 100 });
        state.hear(Event::TableDone(name("a")));
        state.hear(Event::TableMoved { table: name("c"), rows: 7, bytes: 400 });
        let value = state.value();
        let listed: Vec<&str> = value["tables"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["name"].as_str().unwrap())
            .collect();
        assert_eq!(listed, ["c", "b", "a"]);
        assert_eq!((&value["tables_done"], &value["bytes_done"]), (&json!(1), &json!(500)));
        let before = value["fraction"].as_f64().unwrap();
        assert!((0.4..0.5).contains(&before), "{before}");
        // Another database: more to do than was known.
        state.hear(Event::Table(TableProgress { table: name("d"), bytes_expected: 10_000 }));
        assert_eq!(state.value()["fraction"].as_f64().unwrap(), before);
    }
}
