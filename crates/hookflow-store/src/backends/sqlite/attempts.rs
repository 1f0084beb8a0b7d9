//! The log of attempts. What a filter needs is in the indexes; a fact's wide row is read only when it is listed.

use super::fact_row::fact_of;
use super::failure::Failure;
use super::reading::{one, rows};
use super::rows::{int, moment, timestamp, uint, value};
use crate::{AttemptCursor, AttemptFilter, AttemptLine, AttemptPage, SEARCHED_PER_PAGE};
use hookflow_flow::Fact;
use hookflow_trigger::Blobs;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row};
use std::sync::Arc;

/// How many bytes of facts one page reads.
const PAGE_BYTES: usize = 16 << 20;

pub(super) fn list(
    connection: &Connection,
    filter: &AttemptFilter,
    before: Option<AttemptCursor>,
    limit: usize,
) -> Result<AttemptPage, Failure> {
    // What is found must still be there when it is read.
    let transaction = connection.unchecked_transaction()?;
    let (mut page, mut read) = (AttemptPage::default(), 0);
    let Some(within) = within(&transaction, filter)? else { return Ok(page) };
    let all = (i64::MAX, i64::MAX, i64::MAX);
    let before = before.map_or(all, |at| (moment(at.began_at), int(at.position), int(at.number)));
    let (tried, seq, n) = before.min(filter.until.map_or(all, |until| (moment(until), 0, 0)));
    let since = filter.since.map_or(i64::MIN, moment);
    let mut statement = transaction.prepare_cached(&listing(filter))?;
    let mut found = statement.query((tried, seq, n, since, within))?;
    let mut seen = 0;
    while let Some(row) = found.next()? {
        if page.attempts.len() >= limit || seen >= SEARCHED_PER_PAGE || read >= PAGE_BYTES {
            // From before the one that follows it.
            page.next = Some(AttemptCursor { number: uint(row.get(2)?) + 1, ..cursor(row)? });
            break;
        }
        seen += 1;
        if filter.failed && !row.get::<_, bool>(3)? {
            continue;
        }
        if let Some(line) = line(&transaction, cursor(row)?, filter, &mut read)? {
            page.attempts.push(line);
        }
    }
    Ok(page)
}

pub(super) const SHOWN: &str =
    "SELECT f.tried, f.seq, f.n, f.fact, f.blob, (SELECT bytes FROM blobs WHERE id = f.blob AND seq = f.seq)
    FROM events e CROSS JOIN facts f ON f.seq = e.seq WHERE e.run = ?1 AND f.n = ?2 AND f.tried IS NOT NULL";

/// One of a run, whole.
pub(super) fn show(
    connection: &Connection,
    run: &str,
    number: u64,
    blobs: &Arc<dyn Blobs>,
) -> Result<Option<AttemptLine>, Failure> {
    let transaction = connection.unchecked_transaction()?;
    let found = rows(&transaction, SHOWN, (run, int(number)), |row| {
        let line = line(&transaction, cursor(row)?, &AttemptFilter::default(), &mut 0)?;
        if row.get_ref(4)? == ValueRef::Null {
            return Ok(line);
        }
        let fact = Arc::new(fact_of(row, 3, blobs)?);
        Ok(line.map(|line| AttemptLine { fact, ..line }))
    })?;
    Ok(found.into_iter().next().flatten())
}

/// What the list is of, as `?5`; `None`: there can be nothing.
fn within(connection: &Connection, filter: &AttemptFilter) -> Result<Option<Value>, Failure> {
    if let Some(flow) = &filter.flow {
        let known = one(connection, "SELECT 1 FROM flows WHERE flow = ?1", (&**flow,), |_| Ok(()))?;
        if known.is_none() {
            return Ok(None);
        }
    }
    if let Some(run) = &filter.run {
        let seq = one(connection, "SELECT seq FROM events WHERE run = ?1", (&**run,), |row| row.get(0))?;
        return Ok(seq.map(Value::Integer));
    }
    let integration = filter.integration.as_deref();
    Ok(Some(integration.map_or(Value::Null, |integration| Value::Text(integration.to_owned()))))
}

/// The statement for a list: from before `?1, ?2, ?3`, and not before `?4`.
pub(super) fn listing(filter: &AttemptFilter) -> String {
    let of = if filter.run.is_some() {
        // Those of one run are few, and are put in order.
        "facts WHERE seq = ?5 AND tried IS NOT NULL"
    } else if filter.integration.is_some() {
        "facts INDEXED BY facts_of_an_integration WHERE integration = ?5"
    } else {
        "facts INDEXED BY facts_tried WHERE ?5 IS NULL AND tried IS NOT NULL"
    };
    format!(
        "SELECT tried, seq, n, failed FROM {of} AND tried >= ?4 AND (tried, seq, n) < (?1, ?2, ?3)
        ORDER BY tried DESC, seq DESC, n DESC"
    )
}

fn cursor(row: &Row<'_>) -> Result<AttemptCursor, Failure> {
    Ok(AttemptCursor {
        began_at: timestamp(row.get(0)?)?,
        position: uint(row.get(1)?),
        number: uint(row.get(2)?),
    })
}

/// The attempt at a place, if its flow and its integration are those that are looked for.
fn line(
    connection: &Connection,
    at: AttemptCursor,
    filter: &AttemptFilter,
    read: &mut usize,
) -> Result<Option<AttemptLine>, Failure> {
    let event = "SELECT e.run, f.flow, v.version FROM events e CROSS JOIN flows f ON f.id = e.flow
        CROSS JOIN versions v ON v.id = e.version WHERE e.seq = ?1";
    let event = one(connection, event, (int(at.position),), |row| {
        Ok((row.get::<_, Arc<str>>(0)?, row.get::<_, Arc<str>>(1)?, row.get::<_, Arc<str>>(2)?))
    })?;
    let Some((run, of, version)) = event else { return Err(Failure::damaged("the event of a fact")) };
    if filter.flow.as_ref().is_some_and(|flow| *flow != of) {
        return Ok(None);
    }
    let sql = "SELECT fact, attempt FROM facts WHERE seq = ?1 AND n = ?2";
    let row = one(connection, sql, (int(at.position), int(at.number)), |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let Some((fact, attempt)) = row else { return Err(Failure::damaged("a fact")) };
    *read += fact.len() + attempt.len();
    let fact = value::<Fact>(&fact)?.tried(value(&attempt)?);
    let by = fact.tried.as_ref().and_then(|attempt| attempt.integration.as_ref());
    if filter.integration.as_ref().is_some_and(|integration| by != Some(integration)) {
        return Ok(None);
    }
    Ok(Some(AttemptLine { at, run, flow: of, version, fact: Arc::new(fact) }))
}
