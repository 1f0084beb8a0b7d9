//! What the bench says in the end: a table in Markdown, and the ratio of the medians.

use super::contender::Contender;
use super::load::Round;
use std::time::Duration;

/// One server with its rounds.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) contender: Contender,
    pub(super) rounds: Vec<Round>,
}

impl Row {
    pub(super) fn new(contender: Contender) -> Self {
        Self { contender, rounds: Vec::new() }
    }

    fn spread(&self, of: fn(&Round) -> u64) -> Spread {
        Spread::of(self.rounds.iter().map(of).collect())
    }
}

/// The median of the measured server over that of the one to compare with.
pub(super) fn ratio(base: &Row, measured: &Row) -> Option<f64> {
    quotient(measured.spread(|round| round.rate).median, base.spread(|round| round.rate).median)
}

pub(super) fn table(rows: &[Row; 2], ratio: f64) -> String {
    let mut text = String::from(
        "| server | requests/s, median (min–max) | p50 ms | p99 ms | start ms | idle MiB |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in rows {
        let rate = row.spread(|round| round.rate);
        text += &format!(
            "| {} | {} ({}–{}) | {} | {} | {} | {} |\n",
            row.contender.name,
            rate.median,
            rate.min,
            rate.max,
            millis(row.spread(|round| round.p50).median),
            millis(row.spread(|round| round.p99).median),
            row.contender.start.as_millis(),
            row.contender.idle_kib / 1024,
        );
    }
    let [base, measured] = rows;
    text +=
        &format!("\nratio of medians, {} to {}: {ratio:.2}", measured.contender.name, base.contender.name);
    text
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
