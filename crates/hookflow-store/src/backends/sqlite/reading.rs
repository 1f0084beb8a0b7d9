//! Everything that reads, beside the writer: a run, the lists of what is unfinished, what is due.

use super::fact_row::fact_of;
use super::failure::Failure;
use super::ledger::CANCEL;
use super::rows::{Parking, claims_of, ended_of, int, moment, reply_of, sent_of, timestamp, uint, value};
use crate::{Due, FlowCount, Inbound, Journal, NewRun, Progress, StoreError, UnfinishedRun};
use hookflow_trigger::{Blobs, Event, EventRecord, Means};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Params, Row};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The rows of one statement, each read by a function that may find damage.
pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, Failure> {
    Ok(connection.prepare_cached(sql)?.query_row(params, read).optional()?)
}

pub(super) fn version(
    connection: &Connection,
    flow: &str,
    version: &str,
) -> Result<Option<Arc<str>>, Failure> {
    let sql = "SELECT v.document FROM versions v JOIN flows f ON f.id = v.flow WHERE f.flow = ?1 AND v.version = ?2";
    one(connection, sql, (flow, version), |row| row.get(0))
}

/// What operators have set under keys that begin so. There is little of it.
pub(super) fn states(connection: &Connection, prefix: &str) -> Result<BTreeMap<Arc<str>, Arc<str>>, Failure> {
    let sql = "SELECT key, value FROM states WHERE substr(key, 1, length(?1)) = ?1";
    let all = rows(connection, sql, (prefix,), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(all.into_iter().collect())
}

/// Every blob that a run names.
pub(super) fn blobs(connection: &Connection) -> Result<HashSet<String>, Failure> {
    let blobs = rows(connection, "SELECT DISTINCT id FROM blobs", (), |row| Ok(row.get(0)?))?;
    Ok(blobs.into_iter().collect())
}

pub(super) fn load(connection: &Connection, run: &str, blobs: &Arc<dyn Blobs>) -> Result<Journal, Failure> {
    // All of it as of one moment.
    let transaction = connection.unchecked_transaction()?;
    let sql = "SELECT e.seq, f.flow, e.attempt, e.seed, e.started_at, e.bytes, e.claims, e.lane, e.replays, n.node,
        v.version, e.head, e.body
        FROM events e JOIN flows f ON f.id = e.flow JOIN nodes n ON n.id = e.node JOIN versions v ON v.id = e.version
        WHERE e.run = ?1";
    let mut statement = transaction.prepare_cached(sql)?;
    let mut found = statement.query((run,))?;
    let Some(row) = found.next()? else { return Err(StoreError::UnknownRun.into()) };
    let record = EventRecord { head: row.get(11)?, body: row.get::<_, Vec<u8>>(12)?.into() };
    // What it takes was counted when it was admitted.
    let mut room = |_| true;
    let event = Event::from_record(record, &mut Means::new(Arc::clone(blobs), &mut room));
    let event = event.map_err(|fault| {
        if fault.is_lasting() {
            Failure::damaged(&fault.to_string())
        } else {
            Failure::File { why: fault.to_string(), keep: true }
        }
    })?;
    let (seq, lane) = (row.get(0)?, row.get::<_, Option<Arc<str>>>(7)?);
    let run = NewRun {
        run: run.into(),
        flow: row.get(1)?,
        attempt: row.get(2)?,
        seed: row.get(3)?,
        started_at: timestamp(row.get(4)?)?,
        event: Arc::new(event),
        bytes: uint(row.get(5)?),
        claims: claims_of(row.get::<_, Option<String>>(6)?.as_deref())?,
        order: lane,
        replays: row.get(8)?,
        progress: progress(&transaction, seq, row.get(10)?, blobs)?,
    };
    let node = row.get(9)?;
    Ok(Journal { run, node, inbox: inbox(&transaction, seq)? })
}

pub(super) const FACTS: &str = "SELECT fact, blob, (SELECT bytes FROM blobs WHERE id = blob AND seq = ?1) FROM facts WHERE seq = ?1 ORDER BY n";

fn progress(
    connection: &Connection,
    seq: i64,
    version: Arc<str>,
    blobs: &Arc<dyn Blobs>,
) -> Result<Progress, Failure> {
    let mut progress = Progress::none(version);
    progress.facts = rows(connection, FACTS, (seq,), |row| Ok(Arc::new(fact_of(row, 0, blobs)?)))?;
    let sent = "SELECT sent FROM sent WHERE seq = ?1 ORDER BY n";
    progress.sent = rows(connection, sent, (seq,), |row| sent_of(&row.get::<_, String>(0)?))?;
    let reply = "SELECT status, headers, body FROM replies WHERE seq = ?1";
    let reply = rows(connection, reply, (seq,), |row| {
        reply_of(row.get(0)?, row.get::<_, Option<String>>(1)?.as_deref(), row.get(2)?)
    })?;
    progress.reply = reply.into_iter().next().map(Arc::new);
    let ended = "SELECT at, kind, value, begun_at FROM ends WHERE seq = ?1";
    let ended = rows(connection, ended, (seq,), |row| {
        let ended = ended_of(row.get(0)?, row.get(1)?, row.get::<_, Option<String>>(2)?.as_deref())?;
        Ok((ended, row.get::<_, Option<i64>>(3)?))
    })?;
    // Only a run with an order key ever has another turn than its position.
    let open = "SELECT o.parked, o.until, o.heard, o.begun_at FROM events e JOIN open o ON o.turn = e.seq
        WHERE e.seq = ?1 AND e.lane IS NULL
        UNION ALL SELECT o.parked, o.until, o.heard, o.begun_at FROM events e JOIN open o
        ON o.flow = e.flow AND o.lane = e.lane AND o.seq = e.seq WHERE e.seq = ?1 AND e.lane IS NOT NULL";
    let open = one(connection, open, (seq,), |row| {
        let parking = Parking { parked: row.get(0)?, until: row.get(1)?, heard: row.get(2)? };
        Ok((parking, row.get::<_, Option<i64>>(3)?))
    })?;
    let begun_at = match (ended.into_iter().next(), open) {
        (Some((ended, begun_at)), _) => {
            progress.ended = Some(ended);
            begun_at
        }
        (None, Some((parking, begun_at))) => {
            progress.parked = parking.parked()?;
            begun_at
        }
        (None, None) => return Err(Failure::damaged("a run that neither goes on nor has ended")),
    };
    progress.begun_at = begun_at.map(timestamp).transpose()?;
    Ok(progress)
}

fn inbox(connection: &Connection, seq: i64) -> Result<Vec<Inbound>, Failure> {
    let sql = "SELECT fact, at FROM inbox WHERE seq = ?1 AND (fact IS NOT NULL OR place = ?2) ORDER BY n";
    rows(connection, sql, (seq, CANCEL), |row| match row.get::<_, Option<String>>(0)? {
        Some(text) => Ok(Inbound::Fact(Arc::new(value(&text)?))),
        None => Ok(Inbound::Cancel { at: timestamp(row.get(1)?)? }),
    })
}

/// An unfinished run, of the columns `turn, run, flow, bytes`.
fn line(row: &Row<'_>) -> Result<UnfinishedRun, Failure> {
    Ok(UnfinishedRun {
        turn: uint(row.get(0)?),
        run: row.get(1)?,
        flow: row.get(2)?,
        bytes: uint(row.get(3)?),
    })
}

pub(super) const UNFINISHED: &str =
    "SELECT o.turn, o.run, f.flow, o.bytes FROM open o CROSS JOIN flows f ON f.id = o.flow
    WHERE o.node = (SELECT id FROM nodes WHERE node = ?1) AND o.turn > ?2 ORDER BY o.turn LIMIT ?3";

pub(super) fn unfinished(
    connection: &Connection,
    node: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<UnfinishedRun>, Failure> {
    rows(connection, UNFINISHED, (node, int(after), bound(limit)), line)
}

pub(super) const READY: &str = "SELECT turn, run, ?2, bytes FROM open INDEXED BY open_and_ready
    WHERE node = (SELECT id FROM nodes WHERE node = ?1) AND flow = (SELECT id FROM flows WHERE flow = ?2)
    AND behind = 0 AND parked = 0 AND turn > ?3 ORDER BY turn LIMIT ?4";

pub(super) fn ready(
    connection: &Connection,
    node: &str,
    flow: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<UnfinishedRun>, Failure> {
    rows(connection, READY, (node, flow, int(after), bound(limit)), line)
}

pub(super) const WAITING: &str = "SELECT flow, bytes FROM open
    WHERE node = (SELECT id FROM nodes WHERE node = ?1) AND parked = 0";

/// Summed here: `SQLite` would sort all of them first.
pub(super) fn counts(connection: &Connection, node: &str) -> Result<Vec<FlowCount>, Failure> {
    let mut sums = BTreeMap::<i64, (u64, u64)>::new();
    let mut statement = connection.prepare_cached(WAITING)?;
    let mut waiting = statement.query((node,))?;
    while let Some(row) = waiting.next()? {
        let (events, bytes) = sums.entry(row.get(0)?).or_default();
        *events += 1;
        *bytes = bytes.saturating_add(uint(row.get(1)?));
    }
    let named = sums.into_iter().map(|(flow, (events, bytes))| {
        let flow = one(connection, "SELECT flow FROM flows WHERE id = ?1", (flow,), |row| row.get(0))?;
        Ok(FlowCount { flow: flow.ok_or_else(|| Failure::damaged("a flow's name"))?, events, bytes })
    });
    let mut counts = named.collect::<Result<Vec<_>, Failure>>()?;
    counts.sort_by(|a, b| a.flow.cmp(&b.flow));
    Ok(counts)
}

pub(super) const DUE: &str = "SELECT o.turn, o.run, f.flow, o.bytes FROM open o INDEXED BY open_and_due
    CROSS JOIN flows f ON f.id = o.flow
    WHERE o.node = (SELECT id FROM nodes WHERE node = ?1) AND o.until <= ?2 ORDER BY o.until, o.turn LIMIT ?3";

pub(super) const NEXT_DUE: &str = "SELECT min(until) FROM open INDEXED BY open_and_due
    WHERE node = (SELECT id FROM nodes WHERE node = ?1) AND until > ?2";

pub(super) fn due(connection: &Connection, node: &str, now: Timestamp, limit: usize) -> Result<Due, Failure> {
    let transaction = connection.unchecked_transaction()?;
    let now = moment(now);
    let runs = rows(&transaction, DUE, (node, now, bound(limit)), line)?;
    let next: Option<Option<i64>> = one(&transaction, NEXT_DUE, (node, now), |row| row.get(0))?;
    Ok(Due { runs, next: next.flatten().map(timestamp).transpose()? })
}

/// A sum, which is counted as a float so that no number of bytes is too large for it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sum of counts, and it saturates"
)]
pub(super) fn bytes(sum: f64) -> u64 {
    sum as u64
}

pub(super) fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
