//! What is told while something long runs, always on the standard error output.
//!
//! A person at a terminal sees a bar with what is being done, how fast, and how long it still
//! takes. A log file gets one plain line per step. With `--json` nothing is told: there, standard
//! error holds either nothing or one object, the error; notes become part of the result.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use strongroom_dataplane::progress::{Event, Progress};

use crate::output;

/// A step of which nobody knows the length.
const SPINNER: &str = "{spinner} {msg} ({elapsed})";
/// A step that moves a known number of bytes.
const BAR: &str = "{spinner} {msg} [{wide_bar}] {binary_bytes} of {binary_total_bytes}, \
                   {binary_bytes_per_sec}, {eta} left";

/// Listens to a running command. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reporter {
    face: Face,
    notes: Arc<Mutex<Vec<String>>>,
    /// The last step, which is told once however often it is announced.
    step: Arc<Mutex<String>>,
}

#[derive(Clone)]
enum Face {
    Silent,
    Lines,
    Bar(ProgressBar),
}

impl Reporter {
    /// A reporter that suits where the standard error output goes.
    pub(crate) fn new(json: bool) -> Self {
        let face = if json {
            Face::Silent
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(style(SPINNER));
            Face::Bar(bar)
        } else {
            Face::Lines
        };
        Reporter { face, notes: Arc::default(), step: Arc::default() }
    }

    /// What the dataplane reports to.
    pub(crate) fn progress(&self) -> Progress {
        let reporter = self.clone();
        Progress::new(move |event| match event {
            Event::Step(text) => reporter.step(&text),
            Event::Expected(bytes) => reporter.expected(bytes),
            Event::Moved(bytes) => reporter.moved(bytes),
            Event::Note(text) => reporter.note(&text),
            // One bar for all tables is enough.
            Event::Table(_) | Event::TableMoved { .. } | Event::TableDone(_) => {}
        })
    }

    fn step(&self, text: &str) {
        let mut last = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let again = std::mem::replace(&mut *last, text.to_owned()) == text;
        match &self.face {
            Face::Silent => {}
            Face::Lines if again => {}
            Face::Lines => output::complain(text),
            Face::Bar(bar) => {
                bar.set_message(output::one_line(text));
                bar.set_style(style(SPINNER));
                bar.unset_length();
                bar.reset();
                bar.enable_steady_tick(Duration::from_millis(120));
            }
        }
    }

    fn expected(&self, bytes: u64) {
        if let Face::Bar(bar) = &self.face
            && bytes > 0
        {
            bar.set_length(bar.length().unwrap_or(0) + bytes);
            bar.set_style(style(BAR));
        }
    }

    fn moved(&self, bytes: u64) {
        if let Face::Bar(bar) = &self.face {
            bar.inc(bytes);
        }
    }

    /// Tells something that is no error, and keeps it for the result.
    pub(crate) fn note(&self, text: &str) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
        self.say(&format!("note: {text}"));
    }

    /// Tells something above the bar.
    pub(crate) fn say(&self, text: &str) {
        match &self.face {
            Face::Silent => {}
            Face::Lines => output::complain(text),
            Face::Bar(bar) => bar.suspend(|| output::complain(text)),
        }
    }

    /// Takes the bar away, before something else is printed, and gives the notes.
    pub(crate) fn finish(&self) -> Vec<String> {
        if let Face::Bar(bar) = &self.face {
            bar.disable_steady_tick();
            bar.finish_and_clear();
        }
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_sound() {
        for template in [SPINNER, BAR] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn notes_are_kept_for_the_result() {
        let reporter = Reporter::new(true);
        reporter.note("left out: a");
        assert_eq!(reporter.finish(), ["left out: a"]);
    }
}
