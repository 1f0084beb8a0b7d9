//! What the bench says of a scene: the lines of its table, the ratios of the medians, whether the target is reached and every
//! run ended well; and the same as JSON.

use super::contender::Contender;
use super::goal::{Asked, Goal};
use super::load::Round;
use super::metrics::Counts;
use super::record::Outcome;
use super::scenes::{Scene, Server, Target};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::time::Duration;

/// One server with its rounds.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) contender: Contender,
    pub(super) crowd: usize,
    pub(super) rounds: Vec<Round>,
    /// How long after each round the last run ended.
    pub(super) behind: Vec<Duration>,
    /// Right answers in all rounds, and what hookflow counted.
    acknowledged: u64,
    counts: Option<Counts>,
}

impl Row {
    pub(super) fn new(contender: Contender, server: &Server) -> Self {
        Self {
            contender,
            crowd: server.crowd,
            rounds: Vec::new(),
            behind: Vec::new(),
            acknowledged: 0,
            counts: None,
        }
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

    /// Accepted and run to the end in a second: what was left when the load ended counts with the time that it took.
    fn sustained(&self, seconds: f64) -> Option<Spread> {
        if self.behind.is_empty() {
            return None;
        }
        let rate = |(round, behind): (&Round, &Duration)| {
            let rate = u32::try_from(round.rate).ok()?;
            let sustained = f64::from(rate) * seconds / (seconds + behind.as_secs_f64());
            format!("{sustained:.0}").parse().ok()
        };
        Some(Spread::of(self.rounds.iter().zip(&self.behind).filter_map(rate).collect()))
    }

    /// With the last server's rate as a share of this one's.
    fn line(&self, seconds: f64, ratio: Option<&(&str, f64)>) -> String {
        let rate = self.spread(|round| round.rate);
        let wrong = self.spread(|round| round.wrong).median;
        format!(
            "{} | {} ({}–{}) | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.contender.name,
            rate.median,
            rate.min,
            rate.max,
            ratio.map_or_else(|| "–".to_owned(), |(_, ratio)| format!("{ratio:.2}")),
            millis(self.spread(|round| round.p50).median),
            millis(self.spread(|round| round.p99).median),
            millis(self.spread(|round| round.p999).median),
            self.sustained(seconds).map_or_else(|| "–".to_owned(), |spread| spread.median.to_string()),
            if wrong == 0 { "–".to_owned() } else { wrong.to_string() },
            self.contender.start.as_millis(),
            self.contender.idle_kib / 1024,
        )
    }

    fn json(&self, seconds: f64) -> Value {
        let spread = |of: fn(&Round) -> u64| {
            let Spread { min, median, max } = self.spread(of);
            json!({"min": min, "median": median, "max": max})
        };
        json!({
            "server": self.contender.name,
            "rate": spread(|round| round.rate),
            "p50_us": spread(|round| round.p50),
            "p99_us": spread(|round| round.p99),
            "p999_us": spread(|round| round.p999),
            "refused": spread(|round| round.wrong),
            "sustained": self.sustained(seconds).map(|spread| spread.median),
            "start_ms": self.contender.start.as_secs_f64() * 1000.0,
            "idle_kib": self.contender.idle_kib,
        })
    }
}

/// What came of the scene; `is_sound` if all answers were right.
pub(super) fn outcome(scene: &Scene, rows: &[Row], seconds: f64, is_sound: bool) -> Result<Outcome> {
    let ratios = ratios(rows)?;
    let goals = goals(scene.target, &ratios, rows)?;
    let named = |(name, ratio): &(&str, f64)| ((*name).to_owned(), json!(ratio));
    Ok(Outcome {
        scene: scene.name,
        lines: rows.iter().enumerate().map(|(place, row)| row.line(seconds, ratios.get(place))).collect(),
        json: json!({
            "about": scene.about,
            "servers": rows.iter().map(|row| row.json(seconds)).collect::<Vec<_>>(),
            "ratios": ratios.iter().map(named).collect::<serde_json::Map<_, _>>(),
        }),
        ratios,
        goals,
        is_sound,
    })
}

/// The median rate of the last server over that of each of the others, by name.
fn ratios(rows: &[Row]) -> Result<Vec<(&'static str, f64)>> {
    let (measured, bases) = rows.split_last().context("no server")?;
    let median = |row: &Row| row.spread(|round| round.rate).median;
    bases
        .iter()
        .map(|base| {
            let ratio = quotient(median(measured), median(base)).context("nothing was measured")?;
            Ok((base.contender.name, rounded(ratio)))
        })
        .collect()
}

/// What the scene asks of the last server.
fn goals(target: Target, ratios: &[(&'static str, f64)], rows: &[Row]) -> Result<Vec<Goal>> {
    Ok(match target {
        Target::None => Vec::new(),
        Target::Rate(least) => {
            let measured = ratios.iter().map(|(_, ratio)| *ratio).fold(f64::INFINITY, f64::min);
            vec![Goal { what: "rate", measured, asked: Asked::AtLeast(least) }]
        }
        Target::Latency { p50, p99 } => {
            let measured = rows.last().context("no server")?;
            let goal = |what, of: fn(&Round) -> u64, most| {
                let measured = in_millis(measured.spread(of).median);
                Goal { what, measured, asked: Asked::Below(in_millis(most), "ms") }
            };
            vec![goal("p50", |round| round.p50, p50), goal("p99", |round| round.p99, p99)]
        }
    })
}

/// As it is printed: a target is not missed by what nobody sees.
fn rounded(ratio: f64) -> f64 {
    (ratio * 100.0).round() / 100.0
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

fn in_millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

fn millis(micros: u64) -> String {
    format!("{:.2}", in_millis(micros))
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
        assert!(rounded(0.444) < 0.45 && rounded(0.446) >= 0.45);
    }
}
