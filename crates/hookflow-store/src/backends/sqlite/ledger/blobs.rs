//! Which blobs the runs name, for their events and for their facts. A replay names those of its first run's event, so a blob
//! goes with the last that names it.

use super::Ledger;
use crate::StoreError;
use crate::backends::sqlite::failure::Failure;
use crate::backends::sqlite::reading::rows;
use crate::backends::sqlite::rows::{RunRow, int};
use hookflow_trigger::Blob;

impl Ledger {
    /// That the blobs of a run are not on their way out: the run that it replays may have been forgotten meanwhile.
    pub(super) fn has_blobs(&self, run: &RunRow) -> Result<(), Failure> {
        for blob in run.blobs.iter().filter(|blob| blob.is_kept()) {
            if !self.is_named(blob.id())? {
                return Err(StoreError::UnknownRun.into());
            }
        }
        Ok(())
    }

    pub(super) fn insert_blobs(&self, seq: i64, blobs: &[Blob]) -> Result<(), Failure> {
        for blob in blobs {
            let sql = "INSERT INTO blobs (id, seq, bytes) VALUES (?1, ?2, ?3)";
            self.run(sql, (&**blob.id(), seq, int(blob.len())))?;
        }
        Ok(())
    }

    /// Forgets what a run names. Returns what nobody names any more.
    pub(super) fn release_blobs(&self, seq: i64) -> Result<Vec<String>, Failure> {
        let sql = "SELECT id FROM blobs WHERE seq = ?1";
        let blobs: Vec<String> = rows(&self.connection, sql, (seq,), |row| Ok(row.get(0)?))?;
        let mut unnamed = Vec::new();
        for blob in blobs {
            self.run("DELETE FROM blobs WHERE id = ?1 AND seq = ?2", (&blob, seq))?;
            if !self.is_named(&blob)? {
                unnamed.push(blob);
            }
        }
        Ok(unnamed)
    }

    fn is_named(&self, blob: &str) -> Result<bool, Failure> {
        let sql = "SELECT 1 FROM blobs WHERE id = ?1 LIMIT 1";
        Ok(self.one(sql, (blob,), |_| Ok(()))?.is_some())
    }
}
