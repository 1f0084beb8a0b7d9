//! The load: wrk with the bench's request, and what it reports.

use super::contender;
use super::options::Options;
use super::report::Row;
use super::request;
use super::scenes::{Pace, Scene, Shape};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const CHECK: Duration = Duration::from_secs(1);
const THREADS: usize = 2;

pub(super) struct Load {
    strict: PathBuf,
    fast: PathBuf,
    duration: Duration,
    connections: usize,
    shape: Shape,
}

/// One round's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Round {
    /// Right answers.
    pub(super) right: u64,
    /// Of these, in a second.
    pub(super) rate: u64,
    /// In microseconds.
    pub(super) p50: u64,
    /// In microseconds.
    pub(super) p99: u64,
    /// In microseconds.
    pub(super) p999: u64,
    /// Answers that were not what they should be, and broken connections.
    pub(super) wrong: u64,
}

impl Load {
    /// Writes the scripts of the scene into `folder`.
    pub(super) fn prepare(folder: &Path, options: &Options, scene: &Scene) -> Result<Self> {
        let (strict, fast) = (folder.join("strict.lua"), folder.join("fast.lua"));
        std::fs::write(&strict, request::script(scene.load, options.connections, Some(scene.answer)))?;
        std::fs::write(&fast, request::script(scene.load, options.connections, None))?;
        Ok(Self {
            strict,
            fast,
            duration: options.duration,
            connections: options.connections,
            shape: scene.load,
        })
    }

    /// Whether a wrong signature is refused; then a short round in which every answer is looked at, which warms up, too.
    /// Whether all were right.
    pub(super) fn check(&self, row: &mut Row) -> Result<bool> {
        let (address, path) = contender::parts(&row.contender.url).context("no address")?;
        if !request::is_forgery_refused(address, path, self.shape.payload)? {
            println!("{}: a wrong signature is not refused", row.contender.name);
            return Ok(false);
        }
        let round = self.send(&self.strict, CHECK, row)?;
        row.settle(round)?;
        Ok(round.wrong == 0 || row.crowd > 1)
    }

    /// A measured round; whether all answers were successes.
    pub(super) fn measure(&self, row: &mut Row) -> Result<bool> {
        let round = self.send(&self.fast, self.duration, row)?;
        // Before the others' turn: runs that are left would take their processor time.
        let behind = row.settle(round)?;
        row.behind.extend(behind);
        row.rounds.push(round);
        Ok(round.wrong == 0 || row.crowd > 1)
    }

    fn send(&self, script: &Path, duration: Duration, row: &Row) -> Result<Round> {
        let connections = self.connections * row.crowd;
        let flows = if self.shape.pace == Pace::Zipf { row.contender.flows } else { 1 };
        let output = Command::new("wrk")
            .arg(format!("-t{}", THREADS.min(connections)))
            .arg(format!("-c{connections}"))
            .arg(format!("-d{}s", duration.as_secs()))
            .args(["--timeout", "5s", "-s"])
            .arg(script)
            .args([&row.contender.url, "--", &flows.to_string()])
            .output()
            .context("cannot run wrk")?;
        let printed = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("wrk: {printed}{}", String::from_utf8_lossy(&output.stderr));
        }
        parse(&printed).with_context(|| format!("wrk reports nothing to read: {printed}"))
    }
}

fn parse(printed: &str) -> Option<Round> {
    let line = printed.lines().find_map(|line| line.strip_prefix("RESULT "))?;
    let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [requests, micros, wrong, p50, p99, p999] = numbers.try_into().ok()?;
    // What was refused was quick, and is no work done.
    let right = requests.saturating_sub(wrong);
    let rate = right.checked_mul(1_000_000)?.checked_div(micros)?;
    (requests > 0).then_some(Round { right, rate, p50, p99, p999, wrong })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_and_a_broken_one_refused() {
        let printed = "Running 1s test\nRESULT 100000 2000000 3 800 5100 9000\n";
        assert_eq!(
            parse(printed),
            Some(Round { right: 99_997, rate: 49_998, p50: 800, p99: 5_100, p999: 9_000, wrong: 3 })
        );
        for bad in [
            "",
            "RESULT 1 2 3\n",
            "RESULT 1 0 0 1 1 1\n",
            "RESULT 0 1000000 0 0 0 0\n",
            "RESULT a b c d e f\n",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
