//! What a long operation tells while it runs.

use std::sync::Arc;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step began, such as "reading database shop".
    Step(String),
    /// How many bytes the step is expected to move, for a progress bar.
    Expected(u64),
    /// Bytes moved since the last such event.
    Moved(u64),
    /// Something that a person should know, although it is no error.
    Note(String),
}

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(Event) + Send + Sync>);

impl Progress {
    /// Sends every event to `listener`.
    pub fn new(listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Progress(Arc::new(listener))
    }

    /// Tells nobody.
    pub fn silent() -> Self {
        Progress::new(|_| {})
    }

    pub(crate) fn step(&self, text: impl Into<String>) {
        (self.0)(Event::Step(text.into()));
    }

    pub(crate) fn expected(&self, bytes: u64) {
        (self.0)(Event::Expected(bytes));
    }

    pub(crate) fn moved(&self, bytes: u64) {
        (self.0)(Event::Moved(bytes));
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        (self.0)(Event::Note(text.into()));
    }
}
