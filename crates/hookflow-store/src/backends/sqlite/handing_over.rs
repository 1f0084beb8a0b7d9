//! What is written of a run on its way to the writer: made into rows by who brings it, and what is large put into blobs
//! before, by a reader. The writer is given rows alone.

use super::Sqlite;
use super::fact_row::are_large;
use super::rows::{ProgressRows, RunRow};
use crate::{Admitted, NewRun, Owner, Progress, Settled, StoreError, Told};
use hookflow_trigger::{Blob, BlobFault, Blobs};
use jiff::Timestamp;
use std::sync::Arc;

impl Sqlite {
    pub(super) fn hand_run(&self, owner: Owner, now: Timestamp, run: NewRun, settled: Settled) {
        let (writer, is_large) = (Arc::clone(&self.writer), are_large(&run.progress.facts));
        let hand = move |row: Result<RunRow, StoreError>| match row {
            Ok(row) => {
                let blobs: Vec<_> = row.blobs.iter().chain(row.progress.blobs()).cloned().collect();
                let told = move |outcome| {
                    if let Ok(Admitted::Kept { .. }) = outcome {
                        blobs.iter().for_each(Blob::keep);
                    }
                    settled(outcome);
                };
                writer.hand(move |ledger| ledger.admit(&owner, now, &row), told);
            }
            Err(error) => settled(Err(error)),
        };
        self.in_rows(is_large, move |blobs| RunRow::of(run, blobs), hand);
    }

    pub(super) fn hand_progress(&self, owner: Owner, run: Arc<str>, progress: Progress, told: Told) {
        let (writer, is_large) = (Arc::clone(&self.writer), are_large(&progress.facts));
        let hand = move |rows: Result<ProgressRows, StoreError>| match rows {
            Ok(rows) => {
                let blobs: Vec<_> = rows.blobs().cloned().collect();
                let told = move |outcome: Result<_, _>| {
                    if outcome.is_ok() {
                        blobs.iter().for_each(Blob::keep);
                    }
                    told(outcome);
                };
                writer.hand(move |ledger| ledger.record(&owner, &run, &rows), told);
            }
            Err(error) => told(Err(error)),
        };
        self.in_rows(is_large, move |blobs| ProgressRows::of(&progress, blobs), hand);
    }

    /// Making the rows of what is large takes a while and waits for the disk.
    fn in_rows<R: Send + 'static>(
        &self,
        is_large: bool,
        make: impl FnOnce(&Arc<dyn Blobs>) -> Result<R, BlobFault> + Send + 'static,
        hand: impl FnOnce(Result<R, StoreError>) + Send + 'static,
    ) {
        let blobs = Arc::clone(&self.blobs) as Arc<dyn Blobs>;
        let make = move || make(&blobs).map_err(|fault| StoreError::Unavailable(fault.to_string()));
        if is_large {
            self.readers.ask(move |_| Ok(make()?), hand);
        } else {
            hand(make());
        }
    }
}
