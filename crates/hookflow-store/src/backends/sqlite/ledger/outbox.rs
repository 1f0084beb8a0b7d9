//! Events that go out, and what becomes of their deliveries.

use super::Ledger;
use crate::backends::sqlite::failure::Failure;
use crate::backends::sqlite::outbox::{PENDING, state_number};
use crate::backends::sqlite::rows::{int, moment, text};
use crate::outbox::parts_of;
use crate::{Emitter, Outgoing, Owner, Published, Resent, TRIES_KEPT, Tried};
use hookflow_runtime::{fault_point, is_planted};
use jiff::Timestamp;
use rusqlite::params;
use std::sync::Arc;

impl Ledger {
    /// What a run has emitted. A place that has emitted before does so no more.
    pub(super) fn insert_emitted(&self, node: i64, run: &str, events: &[Outgoing]) -> Result<(), Failure> {
        events.iter().try_for_each(|event| self.insert_event_out(node, Some(run), event).map(drop))
    }

    pub(in super::super) fn publish(
        &mut self,
        owner: &Owner,
        event: &Outgoing,
    ) -> Result<Published, Failure> {
        let node = self.living(owner)?;
        if let Emitter::Caller(Some(key)) = &event.by {
            let first = "SELECT id FROM emitted WHERE key = ?1";
            if let Some(id) = self.one(first, (&**key,), |row| row.get(0))? {
                return Ok(Published { id, is_new: false });
            }
        }
        self.insert_event_out(node, None, event)?;
        Ok(Published { id: Arc::clone(&event.id), is_new: true })
    }

    fn insert_event_out(&self, node: i64, run: Option<&str>, event: &Outgoing) -> Result<(), Failure> {
        let (place, key) = match &event.by {
            Emitter::Place(place) => (Some(&**place), None),
            Emitter::Caller(key) => (None, key.as_deref()),
        };
        let bytes = int(u64::try_from(event.data.len()).unwrap_or(u64::MAX));
        let at = moment(event.at);
        let sql = "INSERT INTO emitted (id, name, at, run, place, key, bytes, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            ON CONFLICT (run, place) WHERE run IS NOT NULL DO NOTHING RETURNING n";
        let params = params![&*event.id, &*event.name, at, run, place, key, bytes, &*event.data];
        let Some(n): Option<i64> = self.one(sql, params, |row| row.get(0))? else { return Ok(()) };
        fault_point("store.emitting");
        for subscription in event.to.iter().filter(|_| !is_planted("forget-deliveries")) {
            let sql = "INSERT INTO deliveries (event, subscription, node, state, tries, due) VALUES (?1, ?2, ?3, ?4, 0, ?5)
                ON CONFLICT DO NOTHING";
            self.run(sql, (n, &**subscription, node, PENDING, at))?;
        }
        Ok(())
    }

    pub(in super::super) fn settle(
        &mut self,
        owner: &Owner,
        id: &str,
        tries: u32,
        outcome: &Tried,
    ) -> Result<bool, Failure> {
        let node = self.living(owner)?;
        let Some((event, subscription)) = parts_of(id) else { return Ok(false) };
        let pending = "SELECT n, last FROM deliveries WHERE event = (SELECT n FROM emitted WHERE id = ?1)
            AND subscription = ?2 AND node = ?3 AND tries = ?4 AND due IS NOT NULL";
        let found = self.one(pending, (event, subscription, node, tries), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
        })?;
        let Some((n, former)) = found else { return Ok(false) };
        if let Some(former) = former {
            self.put_aside(n, &former)?;
        }
        let sql = "UPDATE deliveries SET state = ?2, tries = tries + 1, due = ?3, last = ?4 WHERE n = ?1";
        let (state, due, told) = (state_number(outcome.state), outcome.due.map(moment), text(&outcome.told));
        self.run(sql, params![n, state, due, told])?;
        fault_point("store.settling");
        Ok(true)
    }

    /// The former try makes room for this one in the delivery's row, so that most deliveries, which are taken at once, are
    /// one row.
    fn put_aside(&self, delivery: i64, told: &str) -> Result<(), Failure> {
        let sql = "INSERT INTO tries (delivery, n, told)
            VALUES (?1, (SELECT coalesce(max(n), 0) + 1 FROM tries WHERE delivery = ?1), ?2)";
        self.run(sql, (delivery, told))?;
        let aside = i64::try_from(TRIES_KEPT - 1).unwrap_or(i64::MAX);
        let sql = "DELETE FROM tries WHERE delivery = ?1
            AND n <= (SELECT max(n) FROM tries WHERE delivery = ?1) - ?2";
        self.run(sql, (delivery, aside)).map(drop)
    }

    pub(in super::super) fn resend(&mut self, id: &str, now: Timestamp) -> Result<Option<Resent>, Failure> {
        let Some((event, subscription)) = parts_of(id) else { return Ok(None) };
        let sql = "UPDATE deliveries SET state = ?3, tries = 0, due = ?4
            WHERE event = (SELECT n FROM emitted WHERE id = ?1) AND subscription = ?2
            RETURNING subscription, (SELECT node FROM nodes WHERE id = deliveries.node)";
        self.one(sql, (event, subscription, PENDING, moment(now)), |row| {
            Ok(Resent { subscription: row.get(0)?, node: row.get(1)? })
        })
    }

    pub(in super::super) fn forget_events(&mut self, numbers: &[i64]) -> Result<u64, Failure> {
        let mut forgotten = 0;
        for n in numbers {
            self.run(
                "DELETE FROM tries WHERE delivery IN (SELECT n FROM deliveries WHERE event = ?1)",
                (n,),
            )?;
            self.run("DELETE FROM deliveries WHERE event = ?1", (n,))?;
            forgotten += self.run("DELETE FROM emitted WHERE n = ?1", (n,))?;
        }
        Ok(u64::try_from(forgotten).unwrap_or(u64::MAX))
    }

    pub(super) fn forget_emitted_by(&self, run: &str) -> Result<(), Failure> {
        let tries = "DELETE FROM tries WHERE delivery IN
            (SELECT d.n FROM emitted e CROSS JOIN deliveries d ON d.event = e.n WHERE e.run = ?1)";
        self.run(tries, (run,))?;
        let of = "DELETE FROM deliveries WHERE event IN (SELECT n FROM emitted WHERE run = ?1)";
        self.run(of, (run,))?;
        self.run("DELETE FROM emitted WHERE run = ?1", (run,)).map(drop)
    }
}
