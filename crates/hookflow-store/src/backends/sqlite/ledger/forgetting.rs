//! Forgetting ended runs. Which ones, a reader has found; an end stays an end, so nothing can change in between.

use super::Ledger;
use crate::backends::sqlite::failure::Failure;
use crate::backends::sqlite::rows::claims_of;
use hookflow_runtime::fault_point;

/// What was forgotten.
#[derive(Default)]
pub(in super::super) struct Forgotten {
    /// How many runs.
    pub(in super::super) runs: u64,
    /// The blobs that nobody names any more. They can be removed once this is committed.
    pub(in super::super) unnamed: Vec<String>,
}

impl Ledger {
    /// Forgets runs, with their claims or without.
    pub(in super::super) fn forget(
        &mut self,
        positions: &[i64],
        with_claims: bool,
    ) -> Result<Forgotten, Failure> {
        // What is forgotten may have been the last; its position is not given to another.
        self.run("UPDATE counters SET last = ?1", (self.last,))?;
        let mut forgotten = Forgotten::default();
        for seq in positions {
            let event = "SELECT run, claims FROM events WHERE seq = ?1";
            let event = self
                .one(event, (seq,), |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))?;
            // Somebody else may have forgotten it since it was found.
            let Some((run, claims)) = event else { continue };
            let mut has_claims = false;
            for claim in claims_of(claims.as_deref())? {
                if with_claims {
                    self.release(&claim, Some(*seq))?;
                } else {
                    let sql = "UPDATE claims SET run = ?4 WHERE scope = ?1 AND key = ?2 AND seq = ?3";
                    has_claims |= self.run(sql, (&*claim.scope, &*claim.key, seq, &run))? > 0;
                }
            }
            self.run("DELETE FROM events WHERE seq = ?1", (seq,))?;
            fault_point("store.forgetting");
            self.run("DELETE FROM facts WHERE seq = ?1", (seq,))?;
            self.run("DELETE FROM sent WHERE seq = ?1", (seq,))?;
            self.run("DELETE FROM ends WHERE seq = ?1", (seq,))?;
            if with_claims {
                // Who has it erased means all of it.
                self.forget_emitted_by(&run)?;
            }
            if !has_claims {
                self.run("DELETE FROM replies WHERE seq = ?1", (seq,))?;
            }
            forgotten.unnamed.extend(self.release_blobs(*seq)?);
            forgotten.runs += 1;
        }
        Ok(forgotten)
    }
}
