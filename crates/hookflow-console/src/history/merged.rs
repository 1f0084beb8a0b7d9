//! One list of the runs that a store keeps and of those that are in memory only.

use super::line;
use hookflow_store::{Page, RunLine};
use hookflow_text::Json;
use jiff::Timestamp;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Where a page of the list begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cursor {
    /// Among the runs that are kept.
    pub(super) kept: Option<u64>,
    /// Those in memory are from before this run.
    pub(super) below: Option<(Timestamp, Arc<str>)>,
}

/// A page of so many, the newest first, and where the next one begins.
pub(super) fn merge(
    page: Page,
    in_memory: Vec<RunLine>,
    cursor: Cursor,
    limit: usize,
) -> (Vec<Json>, Option<Cursor>) {
    let Cursor { mut below, .. } = cursor;
    let has_memory = below.is_some() || !in_memory.is_empty();
    let (mut kept, mut in_memory) = (page.runs.into_iter().peekable(), in_memory.into_iter().peekable());
    let mut items = Vec::new();
    while items.len() < limit {
        let next = match (kept.peek(), in_memory.peek()) {
            (Some(one), Some(other)) if key(one) < key(other) => in_memory.next(),
            (Some(_), _) => kept.next(),
            // Otherwise a kept run that was not looked at yet may be newer.
            (None, _) if page.next.is_none() => in_memory.next(),
            (None, _) => None,
        };
        let Some(run) = next else { break };
        below = Some(below.map_or_else(|| key(&run), |below| below.min(key(&run))));
        items.push(line(&run));
    }
    let next = kept.peek().map(|run| run.position.saturating_add(1)).or(page.next);
    let more = next.is_some() || in_memory.peek().is_some();
    // Before the first position there is none.
    let next = Cursor { kept: Some(next.unwrap_or(0)), below: below.filter(|_| has_memory) };
    (items, more.then_some(next))
}

fn key(run: &RunLine) -> (Timestamp, Arc<str>) {
    (run.started_at, Arc::clone(&run.run))
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kept.unwrap_or(u64::MAX))?;
        match &self.below {
            Some((at, run)) => write!(f, "~{}~{run}", at.as_nanosecond()),
            None => Ok(()),
        }
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kept, below) = text.split_once('~').map_or((text, None), |(kept, below)| (kept, Some(below)));
        let kept = Some(kept.parse().map_err(drop)?);
        let Some(below) = below else { return Ok(Self { kept, below: None }) };
        let (at, run) = below.split_once('~').ok_or(())?;
        let at = Timestamp::from_nanosecond(at.parse().map_err(drop)?).map_err(drop)?;
        Ok(Self { kept, below: Some((at, run.into())) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_store::RunStatus;

    fn run(second: i64, position: u64) -> RunLine {
        RunLine {
            position,
            run: format!("r{second}").into(),
            flow: "f".into(),
            attempt: 1,
            started_at: Timestamp::from_second(second).unwrap(),
            version: "v".into(),
            replays: None,
            status: RunStatus::Succeeded,
            ended: None,
        }
    }

    /// As a store and an engine answer.
    fn page(
        cursor: &Cursor,
        kept: &[(i64, u64)],
        in_memory: &[i64],
        limit: usize,
    ) -> (Vec<String>, Option<Cursor>) {
        let before = cursor.kept.unwrap_or(u64::MAX);
        let mut left =
            kept.iter().filter(|(_, position)| *position < before).map(|(at, position)| run(*at, *position));
        let runs: Vec<_> = left.by_ref().take(limit).collect();
        let next = left.next().map(|run| run.position + 1);
        let below = |run: &RunLine| cursor.below.as_ref().is_none_or(|below| key(run) < *below);
        let in_memory = in_memory.iter().map(|at| run(*at, 0)).filter(below).take(limit + 1).collect();
        let (items, next) = merge(Page { runs, next }, in_memory, cursor.clone(), limit);
        (items.iter().map(|item| item["run"].as_str().unwrap().to_owned()).collect(), next)
    }

    #[test]
    fn every_run_is_on_one_page_whatever_its_size() {
        let kept = [(90, 8), (70, 7), (75, 6), (20, 5), (10, 1)];
        let in_memory = [95, 80, 72, 71, 30, 5];
        for limit in 1..13 {
            let (mut cursor, mut all) = (Cursor::default(), Vec::new());
            loop {
                let (items, next) = page(&cursor, &kept, &in_memory, limit);
                assert!(items.len() <= limit);
                all.extend(items);
                let Some(next) = next else { break };
                cursor = next.to_string().parse().unwrap();
                assert_eq!(cursor, next);
            }
            let expected = ["r95", "r90", "r80", "r72", "r71", "r70", "r75", "r30", "r20", "r10", "r5"];
            assert_eq!(all, expected, "{limit} on a page");
        }
    }

    #[test]
    fn without_runs_in_memory_a_cursor_is_a_position() {
        let (_, next) = page(&Cursor::default(), &[(9, 9), (8, 8), (7, 7)], &[], 2);
        assert_eq!(next.unwrap().to_string(), "8");
        for wrong in ["", "x", "1~", "1~2", "1~x~r", "-1"] {
            assert_eq!(wrong.parse::<Cursor>(), Err(()), "{wrong}");
        }
    }
}
