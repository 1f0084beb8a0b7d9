//! Requests that were refused. They are written in slices, and what is too much goes in the same transaction.

use super::Ledger;
use crate::backends::sqlite::failure::Failure;
use crate::backends::sqlite::rows::{int, moment, text, uint};
use crate::{REJECTED_KEPT, REJECTED_PER_FLOW, Rejected};
use jiff::Timestamp;
use std::collections::BTreeSet;

impl Ledger {
    pub(in super::super) fn keep_rejected(&self, rejected: &[Rejected]) -> Result<(), Failure> {
        for Rejected { at, flow, told } in rejected {
            let sql = "INSERT INTO rejected (at, flow, told) VALUES (?1, ?2, ?3)";
            self.run(sql, (moment(*at), flow.as_deref(), text(told)))?;
        }
        let flows: BTreeSet<_> = rejected.iter().map(|rejected| rejected.flow.as_deref()).collect();
        for flow in flows {
            let count = "SELECT count(*) FROM rejected WHERE flow IS ?1";
            let count = self.one(count, (flow,), |row| row.get::<_, i64>(0))?.map_or(0, uint);
            let sql = "DELETE FROM rejected WHERE n IN (SELECT n FROM rejected WHERE flow IS ?1 ORDER BY n LIMIT ?2)";
            self.run(sql, (flow, beyond(count, REJECTED_PER_FLOW)))?;
        }
        let count = "SELECT count(*) FROM rejected";
        let count = self.one(count, (), |row| row.get::<_, i64>(0))?.map_or(0, uint);
        let sql = "DELETE FROM rejected WHERE n IN (SELECT n FROM rejected ORDER BY n LIMIT ?1)";
        self.run(sql, (beyond(count, REJECTED_KEPT),)).map(drop)
    }

    pub(in super::super) fn forget_rejected(
        &self,
        flow: Option<&str>,
        before: Timestamp,
    ) -> Result<u64, Failure> {
        let forgotten = match flow {
            Some(flow) => {
                self.run("DELETE FROM rejected WHERE flow = ?1 AND at < ?2", (flow, moment(before)))?
            }
            None => self.run("DELETE FROM rejected WHERE at < ?1", (moment(before),))?,
        };
        Ok(u64::try_from(forgotten).unwrap_or(u64::MAX))
    }
}

fn beyond(count: u64, most: usize) -> i64 {
    int(count.saturating_sub(u64::try_from(most).unwrap_or(u64::MAX)))
}
