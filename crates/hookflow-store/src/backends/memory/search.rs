//! Looking for runs, the newest first.

use super::contents::{Contents, Row};
use crate::{Page, RunFilter, RunLine, RunStatus, SEARCHED_PER_PAGE};
use hookflow_flow::End;
use std::sync::Arc;

pub(super) fn find(contents: &Contents, filter: &RunFilter, before: Option<u64>, limit: usize) -> Page {
    let mut page = Page::default();
    let all = contents.order.range(..before.unwrap_or(u64::MAX)).rev();
    for (seen, (position, run)) in all.enumerate() {
        if page.runs.len() >= limit || seen >= SEARCHED_PER_PAGE {
            page.next = Some(position + 1);
            break;
        }
        if let Some(row) = contents.runs.get(run).filter(|row| fits(row, filter)) {
            page.runs.push(line(row));
        }
    }
    page
}

fn fits(row: &Row, filter: &RunFilter) -> bool {
    let run = &row.run;
    filter.flow.as_ref().is_none_or(|flow| *flow == run.flow)
        && filter.status.is_none_or(|wanted| wanted == status(row))
        && filter.since.is_none_or(|since| run.started_at >= since)
        && filter.until.is_none_or(|until| run.started_at < until)
        && filter.search.as_ref().is_none_or(|text| holds(row, text))
}

fn holds(row: &Row, text: &str) -> bool {
    if row.run.run.contains(text) {
        return true;
    }
    let record = row.run.event.to_record();
    record.head.contains(text) || String::from_utf8_lossy(&record.body).contains(text)
}

fn status(row: &Row) -> RunStatus {
    let progress = &row.run.progress;
    match (&progress.ended, progress.parked) {
        (None, None) => RunStatus::Running,
        (None, Some(_)) => RunStatus::Waiting,
        (Some(ended), _) => match *ended.end {
            End::Succeeded(_) => RunStatus::Succeeded,
            End::Failed(_) => RunStatus::Failed,
        },
    }
}

fn line(row: &Row) -> RunLine {
    let run = &row.run;
    RunLine {
        position: row.position,
        run: Arc::clone(&run.run),
        flow: Arc::clone(&run.flow),
        attempt: run.attempt,
        started_at: run.started_at,
        version: Arc::clone(&run.progress.version),
        replays: run.replays.clone(),
        status: status(row),
        ended: run.progress.ended.clone(),
    }
}
