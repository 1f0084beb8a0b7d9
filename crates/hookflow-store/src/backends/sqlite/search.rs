//! Looking for runs: for a list, and for what is to be forgotten.

use super::failure::Failure;
use super::outbox::undelivered_events;
use super::reading::{bound, bytes, one, rows};
use super::rows::{FAILED, claims_of, ended_of, int, moment, timestamp, uint};
use crate::{Erasure, Page, Retention, RunFilter, RunLine, RunStatus, SEARCHED_PER_PAGE};
use rusqlite::{Connection, Row};

/// How many bytes of events one page of a search for a text reads.
const SEARCHED_BYTES: usize = 64 << 20;
/// What a run takes in the file beside its data.
const FRAME: u64 = 512;

const LINES: &str =
    "SELECT e.seq, e.run, f.flow, e.attempt, e.started_at, v.version, e.replays, d.at, d.kind, d.value,
    CASE WHEN d.seq IS NOT NULL THEN 0 WHEN e.lane IS NULL THEN (SELECT parked FROM open WHERE turn = e.seq)
    ELSE (SELECT parked FROM open WHERE flow = e.flow AND lane = e.lane AND seq = e.seq) END";
const TABLES: &str =
    "FROM events e CROSS JOIN flows f ON f.id = e.flow CROSS JOIN versions v ON v.id = e.version
    LEFT JOIN ends d ON d.seq = e.seq";

pub(super) fn find(
    connection: &Connection,
    filter: &RunFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<Page, Failure> {
    let mut page = Page::default();
    let mut flow = None::<i64>;
    if let Some(name) = &filter.flow {
        flow = one(connection, "SELECT id FROM flows WHERE flow = ?1", (&**name,), |row| row.get(0))?;
        if flow.is_none() {
            return Ok(page);
        }
    }
    let sql = listing(filter);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut lines = statement.query((before.map_or(i64::MAX, int), flow))?;
    let (mut seen, mut read) = (0, 0);
    while let Some(row) = lines.next()? {
        if page.runs.len() >= limit || seen >= SEARCHED_PER_PAGE || read >= SEARCHED_BYTES {
            page.next = Some(uint(row.get(0)?) + 1);
            break;
        }
        seen += 1;
        let line = line(row)?;
        if fits(&line, filter) && holds(row, filter.search.as_deref(), &mut read)? {
            page.runs.push(line);
        }
    }
    Ok(page)
}

/// The statement for a list: from before the position `?1`, of the flow `?2`.
pub(super) fn listing(filter: &RunFilter) -> String {
    let of = if filter.flow.is_some() { "e.flow = ?2" } else { "?2 IS NULL" };
    // What was sent is large, so it is read only to look into it.
    let sent = if filter.search.is_some() { ", e.head, e.body" } else { "" };
    // What operators look for is seldom among the latest; the tables for it are narrow.
    let among = match filter.status {
        Some(RunStatus::Running | RunStatus::Waiting) => " AND e.seq IN (SELECT seq FROM open)",
        Some(RunStatus::Failed) => " AND e.seq IN (SELECT seq FROM ends WHERE kind = 1)",
        Some(RunStatus::Succeeded) | None => "",
    };
    format!("{LINES}{sent} {TABLES} WHERE {of} AND e.seq < ?1{among} ORDER BY e.seq DESC")
}

fn line(row: &Row<'_>) -> Result<RunLine, Failure> {
    let kind: Option<i64> = row.get(8)?;
    let ended = match (row.get(7)?, kind) {
        (Some(at), Some(kind)) => Some(ended_of(at, kind, row.get::<_, Option<String>>(9)?.as_deref())?),
        _ => None,
    };
    Ok(RunLine {
        position: uint(row.get(0)?),
        run: row.get(1)?,
        flow: row.get(2)?,
        attempt: row.get(3)?,
        started_at: timestamp(row.get(4)?)?,
        version: row.get(5)?,
        replays: row.get(6)?,
        status: match kind {
            Some(FAILED) => RunStatus::Failed,
            Some(_) => RunStatus::Succeeded,
            None if row.get::<_, Option<bool>>(10)?.unwrap_or_default() => RunStatus::Waiting,
            None => RunStatus::Running,
        },
        ended,
    })
}

fn fits(line: &RunLine, filter: &RunFilter) -> bool {
    filter.status.is_none_or(|wanted| wanted == line.status)
        && filter.since.is_none_or(|since| line.started_at >= since)
        && filter.until.is_none_or(|until| line.started_at < until)
}

fn holds(row: &Row<'_>, text: Option<&str>, read: &mut usize) -> Result<bool, Failure> {
    let Some(text) = text else { return Ok(true) };
    let within = |column| -> Result<_, Failure> {
        let bytes = row.get_ref(column)?.as_bytes().map_err(rusqlite::Error::from)?;
        Ok(String::from_utf8_lossy(bytes))
    };
    let (head, body) = (within(11)?, within(12)?);
    *read += head.len() + body.len();
    Ok(within(1)?.contains(text) || head.contains(text) || body.contains(text))
}

/// What is to be forgotten, at most `limit` runs, and whether there is more.
pub(super) struct Found {
    pub(super) positions: Vec<i64>,
    pub(super) more: bool,
}

impl Found {
    fn of(mut positions: Vec<i64>, limit: usize) -> Self {
        let more = positions.len() > limit;
        positions.truncate(limit);
        Self { positions, more }
    }
}

/// Those that ended, the oldest first, and what each takes.
pub(super) const ENDED: &str =
    "SELECT d.seq, d.at, e.started_at, octet_length(e.head) + octet_length(e.body)
    + coalesce((SELECT sum(octet_length(fact) + coalesce(octet_length(attempt), 0)) FROM facts WHERE seq = d.seq), 0)
    + coalesce((SELECT octet_length(body) FROM replies WHERE seq = d.seq), 0) + coalesce(octet_length(d.value), 0)
    + coalesce((SELECT sum(bytes) FROM blobs WHERE seq = d.seq), 0)
    FROM ends d CROSS JOIN events e ON e.seq = d.seq ORDER BY d.seq";

/// The ended runs that are beyond what is retained, the oldest first.
pub(super) fn beyond(connection: &Connection, keep: &Retention, limit: usize) -> Result<Found, Failure> {
    let transaction = connection.unchecked_transaction()?;
    let (mut surplus_runs, mut surplus_bytes) = surplus(&transaction, keep)?;
    let since = moment(keep.ended_since);
    let mut statement = transaction.prepare_cached(ENDED)?;
    let mut ends = statement.query(())?;
    let mut positions = Vec::new();
    while let Some(row) = ends.next()?
        && positions.len() <= limit
    {
        let (ended_at, started_at): (i64, i64) = (row.get(1)?, row.get(2)?);
        if surplus_runs == 0 && surplus_bytes == 0 && started_at >= since {
            // Whatever came later has not ended earlier.
            break;
        }
        if surplus_runs > 0 || surplus_bytes > 0 || ended_at < since {
            surplus_runs = surplus_runs.saturating_sub(1);
            surplus_bytes = surplus_bytes.saturating_sub(uint(row.get(3)?).saturating_add(FRAME));
            positions.push(row.get(0)?);
        }
    }
    Ok(Found::of(positions, limit))
}

/// The oldest of those that have ended and have blobs, as long as all their blobs take more than `room`.
pub(super) fn heavy(connection: &Connection, room: u64, limit: usize) -> Result<Found, Failure> {
    let sql = "SELECT b.seq, b.bytes FROM blobs b JOIN ends d ON d.seq = b.seq ORDER BY b.seq";
    let blobs: Vec<(i64, u64)> = rows(connection, sql, (), |row| Ok((row.get(0)?, uint(row.get(1)?))))?;
    let mut surplus = blobs.iter().map(|(_, bytes)| bytes).sum::<u64>().saturating_sub(room);
    let mut positions = Vec::new();
    for (seq, bytes) in blobs {
        let is_another = positions.last() != Some(&seq);
        if is_another && (surplus == 0 || positions.len() > limit) {
            break;
        }
        surplus = surplus.saturating_sub(bytes);
        if is_another {
            positions.push(seq);
        }
    }
    Ok(Found::of(positions, limit))
}

/// How many ended runs, and how many bytes of the file and of blobs, are too many.
fn surplus(connection: &Connection, keep: &Retention) -> Result<(u64, u64), Failure> {
    let number =
        |sql| Ok::<_, Failure>(uint(one(connection, sql, (), |row| row.get(0))?.unwrap_or_default()));
    let runs = if keep.runs == u64::MAX { 0 } else { number("SELECT count(*) FROM ends")? };
    let pages = number("PRAGMA page_count")?.saturating_sub(number("PRAGMA freelist_count")?);
    let used = pages.saturating_mul(number("PRAGMA page_size")?);
    let unfinished = one(connection, "SELECT total(bytes) FROM open", (), |row| row.get(0))?;
    let blobs = "SELECT total(b.bytes) FROM blobs b JOIN ends d ON d.seq = b.seq";
    let blobs = bytes(one(connection, blobs, (), |row| row.get(0))?.unwrap_or_default());
    let ended = used.saturating_sub(bytes(unfinished.unwrap_or_default())).saturating_add(blobs);
    let mut surplus = ended.saturating_sub(keep.bytes);
    if surplus > 0 {
        // What is still to be delivered is no more over than a run that has not ended.
        let (events, owed) = undelivered_events(connection)?;
        surplus = surplus.saturating_sub(owed.saturating_add(events.saturating_mul(FRAME)));
    }
    Ok((runs.saturating_sub(keep.runs), surplus))
}

/// The ended runs of a flow, or those of one of its keys.
pub(super) fn erasable(connection: &Connection, what: &Erasure, limit: usize) -> Result<Found, Failure> {
    let sql = "SELECT e.seq, e.lane, e.claims FROM events e CROSS JOIN ends d ON d.seq = e.seq
        WHERE e.flow = (SELECT id FROM flows WHERE flow = ?1) AND (?2 OR e.lane IS NOT NULL OR e.claims IS NOT NULL)
        ORDER BY e.seq";
    let most = bound(limit.saturating_add(1));
    if what.key.is_none() {
        let all =
            rows(connection, &format!("{sql} LIMIT ?3"), (&*what.flow, true, most), |row| Ok(row.get(0)?))?;
        return Ok(Found::of(all, limit));
    }
    let mut statement = connection.prepare_cached(sql)?;
    let mut events = statement.query((&*what.flow, false))?;
    let mut positions = Vec::new();
    while let Some(row) = events.next()?
        && positions.len() <= limit
    {
        let lane: Option<String> = row.get(1)?;
        let claims = claims_of(row.get::<_, Option<String>>(2)?.as_deref())?;
        let key = what.key.as_deref();
        if lane.as_deref() == key || claims.iter().any(|claim| Some(&*claim.key) == key) {
            positions.push(row.get(0)?);
        }
    }
    Ok(Found::of(positions, limit))
}
