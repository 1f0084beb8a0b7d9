//! Who claims what, until when. A claim may outlive its run, with the run's ID and reply.

use super::Ledger;
use crate::backends::sqlite::failure::Failure;
use crate::backends::sqlite::rows::{EndRow, RunRow, SUCCEEDED, int, reply_of};
use crate::{Claim, Duplicate};
use hookflow_flow::Reply;
use std::sync::Arc;

/// How many claims whose windows are over one transaction forgets.
pub(super) const SWEPT_AT_ONCE: usize = 1_000;
/// How often it is looked for them, in nanoseconds of the callers' time.
const SWEPT_EVERY: i64 = 1_000_000_000;

impl Ledger {
    /// The run that holds one of the claims.
    pub(super) fn taken(&self, claims: &[Claim], now: i64) -> Result<Option<Duplicate>, Failure> {
        for claim in claims {
            let held = self.one(
                "SELECT c.seq, coalesce(c.run, e.run), c.until FROM claims c LEFT JOIN events e ON e.seq = c.seq
                WHERE c.scope = ?1 AND c.key = ?2",
                (&*claim.scope, &*claim.key),
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Arc<str>>(1)?, row.get::<_, Option<i64>>(2)?)),
            )?;
            if let Some((seq, run, until)) = held
                && until.is_none_or(|until| until > now)
            {
                return Ok(Some(Duplicate {
                    run,
                    ended: until.is_some(),
                    reply: self.reply(seq)?.map(Arc::new),
                }));
            }
        }
        Ok(None)
    }

    fn reply(&self, seq: i64) -> Result<Option<Reply>, Failure> {
        let sql = "SELECT status, headers, body FROM replies WHERE seq = ?1";
        let row = self.one(sql, (seq,), |row| {
            Ok((row.get(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, Vec<u8>>(2)?))
        })?;
        row.map(|(status, headers, body)| reply_of(status, headers.as_deref(), body)).transpose()
    }

    /// Writes a new run's claims, as they stand with what has already happened of it.
    pub(super) fn take(&mut self, seq: i64, run: &RunRow) -> Result<(), Failure> {
        let status = run.progress.reply.as_ref().map(|row| row.reply.status.as_u16());
        for claim in &run.claims {
            let until = match &run.progress.ended {
                Some(end) if !stays(end, status) => {
                    self.release(claim, None)?;
                    continue;
                }
                Some(end) => Some(over(claim, end)),
                None => None,
            };
            self.release(claim, None)?;
            let sql = "INSERT INTO claims (scope, key, seq, until) VALUES (?1, ?2, ?3, ?4)";
            self.run(sql, (&*claim.scope, &*claim.key, seq, until))?;
        }
        if !run.claims.is_empty() && self.now.saturating_sub(self.swept_at) >= SWEPT_EVERY {
            self.swept_at = self.now;
            self.sweep()?;
        }
        Ok(())
    }

    /// Keeps a run's claims for their windows, or releases them, as it ended.
    pub(super) fn end_claims(
        &self,
        seq: i64,
        claims: &[Claim],
        end: &EndRow,
        status: Option<u16>,
    ) -> Result<(), Failure> {
        for claim in claims {
            if stays(end, status) {
                let sql = "UPDATE claims SET until = ?4 WHERE scope = ?1 AND key = ?2 AND seq = ?3";
                self.run(sql, (&*claim.scope, &*claim.key, seq, over(claim, end)))?;
            } else {
                self.release(claim, Some(seq))?;
            }
        }
        Ok(())
    }

    /// Forgets a claim, of one run or whoever holds it, and what was kept for it alone.
    pub(super) fn release(&self, claim: &Claim, of: Option<i64>) -> Result<(), Failure> {
        let sql = "DELETE FROM claims WHERE scope = ?1 AND key = ?2 AND (?3 IS NULL OR seq = ?3) RETURNING seq, run";
        let held = self.one(sql, (&*claim.scope, &*claim.key, of), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
        })?;
        match held {
            Some((seq, Some(_))) => self.forget_orphan(seq),
            _ => Ok(()),
        }
    }

    /// Forgets claims whose windows are over.
    fn sweep(&self) -> Result<(), Failure> {
        let over = "SELECT scope, key FROM claims WHERE until <= ?1 ORDER BY until LIMIT ?2";
        let over: Vec<(Arc<str>, Arc<str>)> = self
            .statement(over)?
            .query_map((self.now, SWEPT_AT_ONCE), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (scope, key) in over {
            self.release(&Claim { scope, key, window: std::time::Duration::ZERO }, None)?;
        }
        Ok(())
    }

    /// Forgets the reply of a run that is not kept, once no claim names it.
    fn forget_orphan(&self, seq: i64) -> Result<(), Failure> {
        self.run(
            "DELETE FROM replies WHERE seq = ?1
            AND NOT EXISTS (SELECT 1 FROM claims WHERE seq = ?1 AND run IS NOT NULL)",
            (seq,),
        )
        .map(drop)
    }
}

/// Whether a run's claims stand after its end: not when it went badly and the sender's next try may go better.
fn stays(end: &EndRow, status: Option<u16>) -> bool {
    end.kind == SUCCEEDED && !status.is_some_and(|status| status == 429 || status >= 500)
}

fn over(claim: &Claim, end: &EndRow) -> i64 {
    let window = u64::try_from(claim.window.as_nanos()).unwrap_or(u64::MAX);
    end.at.saturating_add(int(window))
}
