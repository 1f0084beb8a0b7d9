//! Events that go out: reading them, and the way to who writes them.

use super::Sqlite;
use super::failure::Failure;
use super::reading::{bound, bytes, one, rows};
use super::rows::{int, moment, timestamp, uint, value};
use crate::outbox::{delivery_id, parts_of};
use crate::{
    DELIVERIES_PER_PAGE, Delivery, DeliveryFilter, DeliveryLine, DeliveryPage, DeliveryState, DueDeliveries,
    EmittedLine, KeepEvents, Outbox, Outgoing, Owner, Pending, Pruned, Published, Resent, Tried, Undelivered,
};
use hookflow_text::Json;
use jiff::Timestamp;
use rusqlite::{Connection, Row};
use std::sync::Arc;
use tokio::sync::oneshot;

/// How far a delivery has come: `deliveries.state`.
pub(super) const PENDING: i64 = 0;
const DELIVERED: i64 = 1;
const FAILED: i64 = 2;
/// How many events one transaction forgets at most.
const FORGOTTEN_AT_ONCE: usize = 1_000;

impl Outbox for Sqlite {
    fn publish(&self, owner: &Owner, event: &Outgoing) -> Pending<Published> {
        let (owner, event) = (owner.clone(), event.clone());
        self.write(move |ledger| ledger.publish(&owner, &event))
    }

    fn due_deliveries(
        &self,
        node: &str,
        subscription: &str,
        now: Timestamp,
        limit: usize,
    ) -> Pending<DueDeliveries> {
        let (node, subscription) = (node.to_owned(), subscription.to_owned());
        self.read(move |connection| due(connection, (&node, &subscription), now, limit))
    }

    fn delivery(&self, id: &str) -> Pending<Option<Delivery>> {
        let id = id.to_owned();
        self.read(move |connection| delivery(connection, &id))
    }

    fn tries(&self, id: &str) -> Pending<Vec<Json>> {
        let id = id.to_owned();
        self.read(move |connection| tries(connection, &id))
    }

    fn settle(&self, owner: &Owner, id: &str, tries: u32, outcome: Tried) -> Pending<bool> {
        let (owner, id) = (owner.clone(), id.to_owned());
        self.write(move |ledger| ledger.settle(&owner, &id, tries, &outcome))
    }

    fn resend(&self, id: &str, now: Timestamp) -> Pending<Option<Resent>> {
        let id = id.to_owned();
        self.write(move |ledger| ledger.resend(&id, now))
    }

    fn deliveries(
        &self,
        filter: &DeliveryFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Pending<DeliveryPage> {
        let filter = filter.clone();
        self.read(move |connection| list(connection, &filter, before, limit))
    }

    fn emitted_by(&self, run: &str, limit: usize) -> Pending<Vec<EmittedLine>> {
        let run = run.to_owned();
        self.read(move |connection| emitted_by(connection, &run, limit))
    }

    fn undelivered(&self, node: &str) -> Pending<Vec<Undelivered>> {
        let node = node.to_owned();
        self.read(move |connection| {
            rows(connection, UNDELIVERED, (&node,), |row| {
                Ok(Undelivered { subscription: row.get(0)?, deliveries: uint(row.get(1)?) })
            })
        })
    }

    fn forget_events(&self, keep: &KeepEvents, limit: usize) -> Pending<Pruned> {
        let (sender, answer) = oneshot::channel();
        let (writer, keep, limit) = (Arc::clone(&self.writer), *keep, limit.min(FORGOTTEN_AT_ONCE));
        let answered = move |outcome| drop(sender.send(outcome));
        self.readers.ask(
            move |connection| beyond(connection, &keep, limit),
            move |found| match found {
                Ok((numbers, more)) if !numbers.is_empty() => writer.hand(
                    move |ledger| ledger.forget_events(&numbers),
                    move |forgotten| answered(forgotten.map(|runs| Pruned { runs, more })),
                ),
                found => answered(found.map(|_| Pruned::default())),
            },
        );
        Pending::later(answer)
    }
}

pub(super) const DUE: &str = "SELECT e.id, d.subscription FROM deliveries d INDEXED BY deliveries_due
    CROSS JOIN emitted e ON e.n = d.event
    WHERE d.node = (SELECT id FROM nodes WHERE node = ?1) AND d.subscription = ?2 AND d.due <= ?3
    ORDER BY d.due, d.n LIMIT ?4";

pub(super) const NEXT_DUE: &str = "SELECT min(due) FROM deliveries INDEXED BY deliveries_due
    WHERE node = (SELECT id FROM nodes WHERE node = ?1) AND subscription = ?2 AND due > ?3";

pub(super) const UNDELIVERED: &str = "SELECT subscription, count(*) FROM deliveries INDEXED BY deliveries_due
    WHERE node = (SELECT id FROM nodes WHERE node = ?1) AND due IS NOT NULL GROUP BY subscription";

fn due(
    connection: &Connection,
    (node, subscription): (&str, &str),
    now: Timestamp,
    limit: usize,
) -> Result<DueDeliveries, Failure> {
    let transaction = connection.unchecked_transaction()?;
    let now = moment(now);
    let ids = rows(&transaction, DUE, (node, subscription, now, bound(limit)), |row| {
        Ok(delivery_id(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?))
    })?;
    let next: Option<Option<i64>> = one(&transaction, NEXT_DUE, (node, subscription, now), |row| row.get(0))?;
    Ok(DueDeliveries { ids, next: next.flatten().map(timestamp).transpose()? })
}

const LINE: &str = "SELECT d.n, e.id, e.name, e.at, d.subscription, d.state, d.tries, d.due, d.last";

fn line(row: &Row<'_>) -> Result<DeliveryLine, Failure> {
    let (event, subscription): (Arc<str>, Arc<str>) = (row.get(1)?, row.get(4)?);
    Ok(DeliveryLine {
        position: uint(row.get(0)?),
        id: delivery_id(&event, &subscription),
        subscription,
        event,
        name: row.get(2)?,
        at: timestamp(row.get(3)?)?,
        state: state_of(row.get(5)?)?,
        tries: row.get(6)?,
        due: row.get::<_, Option<i64>>(7)?.map(timestamp).transpose()?,
        last: row.get::<_, Option<String>>(8)?.map(|text| value(&text)).transpose()?,
    })
}

fn delivery(connection: &Connection, id: &str) -> Result<Option<Delivery>, Failure> {
    let Some((event, subscription)) = parts_of(id) else { return Ok(None) };
    let sql = format!(
        "{LINE}, e.run, e.data FROM emitted e JOIN deliveries d ON d.event = e.n WHERE e.id = ?1 AND d.subscription = ?2"
    );
    let found = rows(connection, &sql, (event, subscription), |row| {
        Ok(Delivery { line: line(row)?, run: row.get(9)?, data: row.get(10)? })
    })?;
    Ok(found.into_iter().next())
}

/// The last one stands in the delivery's own row.
const ALL_TRIES: &str = "SELECT t.told FROM deliveries d CROSS JOIN tries t ON t.delivery = d.n
    WHERE d.event = (SELECT n FROM emitted WHERE id = ?1) AND d.subscription = ?2 ORDER BY t.n";

fn tries(connection: &Connection, id: &str) -> Result<Vec<Json>, Failure> {
    let Some((event, subscription)) = parts_of(id) else { return Ok(Vec::new()) };
    let transaction = connection.unchecked_transaction()?;
    let told = |row: &Row<'_>| value(&row.get::<_, String>(0)?);
    let mut tries = rows(&transaction, ALL_TRIES, (event, subscription), told)?;
    tries.extend(delivery(&transaction, id)?.and_then(|delivery| delivery.line.last));
    Ok(tries)
}

/// The statement of a list: by the subscription's index, or by position.
pub(super) fn listing(filter: &DeliveryFilter) -> String {
    let of = if filter.subscription.is_some() { "d.subscription = ?2" } else { "?2 IS NULL" };
    format!(
        "{LINE} FROM deliveries d CROSS JOIN emitted e ON e.n = d.event WHERE d.n < ?1 AND {of} ORDER BY d.n DESC LIMIT ?3"
    )
}

fn list(
    connection: &Connection,
    filter: &DeliveryFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<DeliveryPage, Failure> {
    let mut statement = connection.prepare_cached(&listing(filter))?;
    let most = bound(DELIVERIES_PER_PAGE.saturating_add(1));
    let before = before.map_or(i64::MAX, int);
    let mut rows = statement.query((before, filter.subscription.as_deref(), most))?;
    let (mut page, mut looked) = (DeliveryPage::default(), 0);
    while let Some(row) = rows.next()? {
        let line = line(row)?;
        if page.deliveries.len() >= limit || looked >= DELIVERIES_PER_PAGE {
            page.next = Some(line.position.saturating_add(1));
            break;
        }
        looked += 1;
        if filter.fits(&line) {
            page.deliveries.push(line);
        }
    }
    Ok(page)
}

fn emitted_by(connection: &Connection, run: &str, limit: usize) -> Result<Vec<EmittedLine>, Failure> {
    let transaction = connection.unchecked_transaction()?;
    let sql = "SELECT n, id, name, at FROM emitted WHERE run = ?1 ORDER BY n LIMIT ?2";
    let deliveries =
        format!("{LINE} FROM emitted e JOIN deliveries d ON d.event = e.n WHERE e.n = ?1 ORDER BY d.n");
    rows(&transaction, sql, (run, bound(limit)), |row| {
        Ok(EmittedLine {
            id: row.get(1)?,
            name: row.get(2)?,
            at: timestamp(row.get(3)?)?,
            deliveries: rows(&transaction, &deliveries, (row.get::<_, i64>(0)?,), line)?,
        })
    })
}

pub(super) const UNDELIVERED_EVENTS: &str = "SELECT count(*), total(bytes) FROM emitted
    WHERE n IN (SELECT event FROM deliveries INDEXED BY deliveries_due WHERE due IS NOT NULL)";

/// The oldest first. An event is emitted about in the order of its number.
const ALL_EVENTS: &str = "SELECT e.n, e.at, e.bytes,
    EXISTS (SELECT 1 FROM deliveries d WHERE d.event = e.n AND d.due IS NOT NULL) FROM emitted e ORDER BY e.n";

/// The events that are beyond what is kept, and whether there are more.
fn beyond(connection: &Connection, keep: &KeepEvents, limit: usize) -> Result<(Vec<i64>, bool), Failure> {
    let transaction = connection.unchecked_transaction()?;
    let (mut many, mut much) = surplus(&transaction, keep)?;
    let (since, pending_since) = (moment(keep.since), moment(keep.pending_since));
    let mut statement = transaction.prepare_cached(ALL_EVENTS)?;
    let mut all = statement.query(())?;
    let mut found = Vec::new();
    while let Some(row) = all.next()? {
        let (n, at, size, pending): (i64, i64, i64, bool) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        if many == 0 && much == 0 && at >= since {
            break;
        }
        let old = if pending { at < pending_since } else { at < since || many > 0 || much > 0 };
        if old {
            if found.len() >= limit {
                return Ok((found, true));
            }
            found.push(n);
        }
        if old && !pending {
            (many, much) = (many.saturating_sub(1), much.saturating_sub(uint(size)));
        }
    }
    Ok((found, false))
}

/// How many events without a pending delivery, and how many bytes of these, are too many.
fn surplus(connection: &Connection, keep: &KeepEvents) -> Result<(u64, u64), Failure> {
    let all = "SELECT count(*), total(bytes) FROM emitted INDEXED BY emitted_bytes";
    let (events, taken) = sums(connection, all)?;
    if events <= keep.events && taken <= keep.bytes {
        return Ok((0, 0));
    }
    let (pending, owed) = undelivered_events(connection)?;
    let (events, taken) = (events.saturating_sub(pending), taken.saturating_sub(owed));
    Ok((events.saturating_sub(keep.events), taken.saturating_sub(keep.bytes)))
}

/// How many events have a pending delivery, and how many bytes they carry. It reads a row for each, so it is asked only
/// when it matters.
pub(super) fn undelivered_events(connection: &Connection) -> Result<(u64, u64), Failure> {
    sums(connection, UNDELIVERED_EVENTS)
}

fn sums(connection: &Connection, sql: &str) -> Result<(u64, u64), Failure> {
    let sums = one(connection, sql, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(sums.map_or((0, 0), |(events, total): (i64, f64)| (uint(events), bytes(total))))
}

pub(super) const fn state_number(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Pending => PENDING,
        DeliveryState::Delivered => DELIVERED,
        DeliveryState::Failed => FAILED,
    }
}

fn state_of(number: i64) -> Result<DeliveryState, Failure> {
    match number {
        PENDING => Ok(DeliveryState::Pending),
        DELIVERED => Ok(DeliveryState::Delivered),
        FAILED => Ok(DeliveryState::Failed),
        _ => Err(Failure::damaged("the state of a delivery")),
    }
}
