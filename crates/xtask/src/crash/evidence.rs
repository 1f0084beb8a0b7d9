//! What callers, the target and the operator saw, one line of JSON each, in three files. This is all that the judge gets.

use anyhow::Result;
use serde_json::Value;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(super) struct Evidence {
    began: Instant,
    callers: Log,
    target: Log,
    operator: Log,
    open: Mutex<Open>,
}

type Log = Mutex<BufWriter<File>>;

/// What is still to be heard of, and what was. Only for knowing when to stop.
#[derive(Default)]
struct Open {
    owed: HashSet<String>,
    paid: HashSet<String>,
}

impl Evidence {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let log = |name| -> Result<Log> { Ok(Mutex::new(BufWriter::new(File::create(folder.join(name))?))) };
        Ok(Self {
            began: now(),
            callers: log("callers.ndjson")?,
            target: log("target.ndjson")?,
            operator: log("operator.ndjson")?,
            open: Mutex::default(),
        })
    }

    /// The time since the beginning, in microseconds.
    pub(super) fn at(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn caller(&self, line: &Value) {
        write(&self.callers, line);
    }

    pub(super) fn target(&self, line: &Value) {
        write(&self.target, line);
    }

    pub(super) fn operator(&self, line: &Value) {
        write(&self.operator, line);
    }

    /// This is still to be heard of: an event or a run by its end, or a call.
    pub(super) fn owe(&self, what: impl Into<String>) {
        held(&self.open).owed.insert(what.into());
    }

    /// This was heard of.
    pub(super) fn pay(&self, what: impl Into<String>) {
        held(&self.open).paid.insert(what.into());
    }

    /// Whether everything was heard of that was to be.
    pub(super) fn owes_nothing(&self) -> bool {
        let open = held(&self.open);
        open.owed.is_subset(&open.paid)
    }

    /// Brings everything into the files.
    pub(super) fn close(&self) -> Result<()> {
        for log in [&self.callers, &self.target, &self.operator] {
            held(log).flush()?;
        }
        Ok(())
    }
}

fn write(log: &Log, line: &Value) {
    // What could not be written shows when it is closed: the buffer keeps what it holds.
    drop(writeln!(held(log), "{line}"));
}

/// Whoever panicked under a lock has ended the proof anyway.
pub(super) fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "a proof lives in the time of the machine")]
pub(super) fn now() -> Instant {
    Instant::now()
}
