//! What is wrong with a backup: the end of a verification, or one more finding of a drill.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::{Error, Kind, Result};

/// Objects that a drill names; of more, it tells how many there are.
const NAMED: usize = 1000;

/// Something that would not come back as the backup says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it concerns: `table shop.public.orders`, `database shop`, `backup`.
    pub object: String,
    /// What is wrong with it: the first thing, where there are several.
    pub message: String,
}

/// Takes what is wrong. Clones share it.
#[derive(Clone)]
pub(super) struct Damage(Option<Arc<Mutex<Vec<Difference>>>>);

impl Damage {
    /// The first damage is the error that ends everything.
    pub(super) fn ends_it() -> Self {
        Damage(None)
    }

    /// Damage is collected.
    pub(super) fn collected() -> Self {
        Damage(Some(Arc::default()))
    }

    /// What reading `object` gave; nothing, if the stored bytes are not what they should be and that
    /// was noted.
    pub(super) fn of<T>(&self, object: &str, read: Result<T>) -> Result<Option<T>> {
        self.note(object, read, |kind| matches!(kind, Kind::Damaged | Kind::Unsupported))
    }

    /// As [`Damage::of`], for what was done with the bytes: whatever keeps it from being restored
    /// speaks against the backup, but for what may pass or was asked for.
    pub(super) fn of_restore<T>(&self, object: &str, done: Result<T>) -> Result<Option<T>> {
        self.note(object, done, |kind| !kind.may_pass() && kind != Kind::Cancelled)
    }

    fn note<T>(
        &self,
        object: &str,
        found: Result<T>,
        is_damage: impl Fn(Kind) -> bool,
    ) -> Result<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error) if self.0.is_some() && is_damage(error.kind()) => {
                self.add(object, &error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Notes a table whose rows were to be read together with what could not be.
    pub(super) fn also(&self, object: &str, path: &str) {
        let message = format!("its rows in object {path} could not be read");
        self.add(object, &Error::new(Kind::Damaged, message));
    }

    fn add(&self, object: &str, error: &Error) {
        let Some(mut found) = self.lock() else { return };
        if !found.iter().any(|known| known.object == object) {
            let message = error.message().to_owned();
            found.push(Difference { object: object.to_owned(), message });
        }
    }

    /// Whether nothing was noted.
    pub(super) fn is_none(&self) -> bool {
        self.lock().is_none_or(|found| found.is_empty())
    }

    /// What was noted, by object.
    pub(super) fn differences(&self) -> Vec<Difference> {
        let mut found = self.lock().map(|found| found.clone()).unwrap_or_default();
        found.sort_by(|a, b| a.object.cmp(&b.object));
        if found.len() > NAMED {
            let more = found.len() - NAMED;
            found.truncate(NAMED);
            let message = format!("and {more} more objects with differences");
            found.push(Difference { object: "backup".to_owned(), message });
        }
        found
    }

    fn lock(&self) -> Option<MutexGuard<'_, Vec<Difference>>> {
        self.0.as_ref().map(|found| found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
