//! The log of attempts, the latest first.

use super::contents::{Contents, Row};
use crate::{AttemptCursor, AttemptFilter, AttemptLine, AttemptPage};
use hookflow_flow::{Attempt, Fact};
use std::sync::Arc;

pub(super) fn list(
    contents: &Contents,
    filter: &AttemptFilter,
    before: Option<AttemptCursor>,
    limit: usize,
) -> AttemptPage {
    let rows = contents.runs.values().filter(|row| {
        let (run, flow) = (&row.run.run, &row.run.flow);
        filter.run.as_ref().is_none_or(|wanted| wanted == run)
            && filter.flow.as_ref().is_none_or(|wanted| wanted == flow)
    });
    let tried = rows.flat_map(|row| {
        let facts = row.run.progress.facts.iter().zip(1..);
        facts.filter_map(move |(fact, number)| Some((row, fact, number, fact.tried.as_deref()?)))
    });
    let fitting = tried.filter(|(_, _, _, attempt)| fits(attempt, filter));
    let placed = fitting.map(|(row, fact, number, attempt)| {
        (AttemptCursor { began_at: attempt.began_at, position: row.position, number }, row, fact)
    });
    let mut found: Vec<_> = placed.filter(|(at, ..)| before.is_none_or(|before| *at < before)).collect();
    found.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    let next = found.get(limit).map(|(at, ..)| AttemptCursor { number: at.number + 1, ..*at });
    let listed = found.into_iter().take(limit).map(|(at, row, fact)| line(at, row, outline(fact)));
    AttemptPage { attempts: listed.collect(), next }
}

/// One of a run, whole.
pub(super) fn one(contents: &Contents, run: &str, number: u64) -> Option<AttemptLine> {
    let row = contents.runs.get(run)?;
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    let fact = row.run.progress.facts.get(index)?;
    let began_at = fact.tried.as_deref()?.began_at;
    Some(line(AttemptCursor { began_at, position: row.position, number }, row, Arc::clone(fact)))
}

fn outline(fact: &Arc<Fact>) -> Arc<Fact> {
    match fact.tried.as_deref().filter(|attempt| attempt.is_large()) {
        Some(attempt) => Arc::new(Fact::clone(fact).tried(attempt.outline())),
        None => Arc::clone(fact),
    }
}

fn fits(attempt: &Attempt, filter: &AttemptFilter) -> bool {
    !(filter.failed && attempt.ok)
        && filter.integration.as_ref().is_none_or(|wanted| attempt.integration.as_ref() == Some(wanted))
        && filter.since.is_none_or(|since| attempt.began_at >= since)
        && filter.until.is_none_or(|until| attempt.began_at < until)
}

fn line(at: AttemptCursor, row: &Row, fact: Arc<Fact>) -> AttemptLine {
    let (run, flow) = (Arc::clone(&row.run.run), Arc::clone(&row.run.flow));
    let version = Arc::clone(&row.run.progress.version);
    AttemptLine { at, run, flow, version, fact }
}
