//! The threads that read, each with a connection of its own: reading does not wait for the writer.

use super::failure::Failure;
use super::file::File;
use super::waiting::{Taken, Waiting};
use crate::StoreError;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How many threads read.
pub(super) const READERS: usize = 2;
/// How many questions wait at most; beyond, they are answered that the store is unavailable.
const WAITING: usize = 16_384;
const FOR_EVER: Duration = Duration::from_hours(1);

/// Answers a question, or passes on why it cannot. Returns whether the connection is worth keeping.
type Question = Box<dyn FnOnce(Result<&Connection, StoreError>) -> bool + Send>;

/// The way to the readers.
pub(super) struct Readers(Waiting<Question>);

impl Readers {
    pub(super) fn new() -> Self {
        Self(Waiting::new(WAITING))
    }

    pub(super) fn ask<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
        answer: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let question = move |connection: Result<&Connection, StoreError>| {
            let found = connection.map_err(Failure::from).and_then(read);
            let keep = matches!(found, Ok(_) | Err(Failure::Refused(_)));
            answer(found.map_err(Failure::told));
            keep
        };
        if let Err(back) = self.0.push(Box::new(question)) {
            back(Err(StoreError::Unavailable("too much waits to be read".into())));
        }
    }

    pub(super) fn close(&self) {
        self.0.close();
    }

    /// A thread's work, until the way is closed.
    pub(super) fn work(&self, file: &File) {
        let mut connection = None;
        loop {
            match self.0.take(1, FOR_EVER) {
                Taken::Closed => return,
                Taken::Idle => {}
                Taken::Some(questions) => {
                    for question in questions {
                        let opened = open(file, &mut connection).map_err(Failure::told);
                        let kept = catch_unwind(AssertUnwindSafe(|| question(opened)));
                        if !kept.unwrap_or_default() {
                            connection = None;
                        }
                    }
                }
            }
        }
    }
}

fn open<'c>(file: &File, connection: &'c mut Option<Connection>) -> Result<&'c Connection, Failure> {
    file.in_place()?;
    match connection {
        Some(connection) => Ok(connection),
        None => Ok(connection.insert(file.reading()?)),
    }
}
