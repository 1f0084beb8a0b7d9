//! What the bench says in the end: a table in Markdown, the ratios of the medians, and whether every run ended well.

use super::contender::Contender;
use super::load::Round;
use super::metrics::Counts;
use anyhow::{Context as _, Result};
use std::time::Duration;

/// One server with its rounds.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) contender: Contender,
    pub(super) rounds: Vec<Round>,
    /// How long after each round the last run ended.
    pub(super) behind: Vec<Duration>,
    /// Right answers in all rounds, and what hookflow counted.
    acknowledged: u64,
    counts: Option<Counts>,
}

impl Row {
    pub(super) fn new(contender: Contender) -> Self {
        Self { contender, rounds: Vec::new(), behind: Vec::new(), acknowledged: 0, counts: None }
    }

    /// Waits until all that was accepted has run; says for how long.
    pub(super) fn settle(&mut self, round: Round) -> Result<Option<Duration>> {
        self.acknowledged += round.right;
        let settled = self.contender.settle()?;
        self.counts = settled.map(|(_, counts)| counts);
        Ok(settled.map(|(behind, _)| behind))
    }

    /// Whether the run of every acknowledged event succeeded, and a sentence that says it. The bare server has no runs.
    pub(super) fn account(&self) -> Option<(bool, String)> {
        let counts = self.counts?;
        let Counts { accepted, succeeded, .. } = counts;
        let sentence = format!(
            "{}: {} answered rightly, {accepted} accepted, {succeeded} runs succeeded",
            self.contender.name, self.acknowledged
        );
        Some((counts.cover(self.acknowledged), sentence))
    }

    fn spread(&self, of: fn(&Round) -> u64) -> Spread {
        Spread::of(self.rounds.iter().map(of).collect())
    }

    fn line(&self) -> String {
        let rate = self.spread(|round| round.rate);
        let behind: Vec<u64> =
            self.behind.iter().filter_map(|behind| u64::try_from(behind.as_millis()).ok()).collect();
        format!(
            "| {} | {} ({}–{}) | {} | {} | {} | {} | {} |\n",
            self.contender.name,
            rate.median,
            rate.min,
            rate.max,
            millis(self.spread(|round| round.p50).median),
            millis(self.spread(|round| round.p99).median),
            if behind.is_empty() { "–".to_owned() } else { Spread::of(behind).median.to_string() },
            self.contender.start.as_millis(),
            self.contender.idle_kib / 1024,
        )
    }
}

/// The median of the last server over that of each of the others, with a sentence.
pub(super) fn ratios(rows: &[Row]) -> Result<Vec<(f64, String)>> {
    let (measured, bases) = rows.split_last().context("no server")?;
    let median = |row: &Row| row.spread(|round| round.rate).median;
    bases
        .iter()
        .map(|base| {
            let ratio = quotient(median(measured), median(base)).context("nothing was measured")?;
            let names = (measured.contender.name, base.contender.name);
            Ok((ratio, format!("ratio of medians, {} to {}: {ratio:.2}", names.0, names.1)))
        })
        .collect()
}

pub(super) fn table(rows: &[Row]) -> String {
    let head = "| server | requests/s, median (min–max) | p50 ms | p99 ms | behind ms | start ms | idle MiB |\n\
                |---|---|---|---|---|---|---|\n";
    rows.iter().fold(head.to_owned(), |text, row| text + &row.line())
}

#[derive(Debug, PartialEq, Eq)]
struct Spread {
    min: u64,
    median: u64,
    max: u64,
}

impl Spread {
    fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let at = |place: usize| values.get(place).copied().unwrap_or(0);
        let half = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            at(half.saturating_sub(1)).midpoint(at(half))
        } else {
            at(half)
        };
        Self { min: at(0), median, max: at(values.len().saturating_sub(1)) }
    }
}

fn quotient(part: u64, whole: u64) -> Option<f64> {
    let quotient = f64::from(u32::try_from(part).ok()?) / f64::from(u32::try_from(whole).ok()?);
    quotient.is_finite().then_some(quotient)
}

fn millis(micros: u64) -> String {
    format!("{:.2}", Duration::from_micros(micros).as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_the_ratio_its_quotient() {
        assert_eq!(Spread::of(vec![30, 10, 20]), Spread { min: 10, median: 20, max: 30 });
        assert_eq!(Spread::of(vec![40, 10, 30, 20]), Spread { min: 10, median: 25, max: 40 });
        assert_eq!(quotient(3, 4), Some(0.75));
        assert_eq!(quotient(1, 0), None);
        assert_eq!(millis(1250), "1.25");
    }
}
