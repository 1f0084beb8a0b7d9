//! Looking at requests that were refused.

use super::failure::Failure;
use super::reading::bound;
use super::rows::{int, timestamp, uint, value};
use crate::{Rejected, RejectedPage};
use rusqlite::Connection;

pub(super) fn list(
    connection: &Connection,
    flow: Option<&str>,
    before: Option<u64>,
    limit: usize,
) -> Result<RejectedPage, Failure> {
    let of = if flow.is_some() { "flow = ?2" } else { "?2 IS NULL" };
    let sql =
        format!("SELECT n, at, flow, told FROM rejected WHERE n < ?1 AND {of} ORDER BY n DESC LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let most = bound(limit.saturating_add(1));
    let mut rows = statement.query((before.map_or(i64::MAX, int), flow, most))?;
    let mut page = RejectedPage::default();
    while let Some(row) = rows.next()? {
        if page.rejected.len() >= limit {
            page.next = Some(uint(row.get(0)?) + 1);
            break;
        }
        page.rejected.push(Rejected {
            at: timestamp(row.get(1)?)?,
            flow: row.get(2)?,
            told: value(&row.get::<_, String>(3)?)?,
        });
    }
    Ok(page)
}
