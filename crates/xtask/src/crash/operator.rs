//! The operator: pauses and resumes a flow, and runs again what was set aside.

use super::chance::Chance;
use super::evidence::{Evidence, held};
use super::http::{ask, post};
use super::scenes::{self, HELD};
use super::service::Door;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a flow is paused.
#[derive(Clone, Copy)]
enum Way {
    /// By its file, which is read again.
    File,
    /// By a request, which the service remembers.
    Command,
}

/// What the log says of a run that is set aside.
const SET_ASIDE: &str = "a run is set aside";

pub(super) struct Operator<'p> {
    pub(super) evidence: &'p Evidence,
    pub(super) door: &'p Door,
    pub(super) folder: &'p Path,
    pub(super) target: SocketAddr,
    /// What was set aside and was run again.
    pub(super) again: Mutex<HashSet<String>>,
}

impl Operator<'_> {
    /// Works until it is ended; then everything goes on.
    pub(super) fn work(&self, ended: &AtomicBool, mut chance: Chance) {
        while !ended.load(Ordering::Relaxed) {
            rest(chance.millis(500, 3_000), ended);
            let way = if chance.one_in(2) { Way::File } else { Way::Command };
            self.set(true, way);
            rest(chance.millis(300, 2_000), ended);
            self.set(false, way);
            self.run_again();
        }
    }

    /// Runs again what was set aside until now and not run again before. Returns how many these were.
    pub(super) fn run_again(&self) -> usize {
        let mut again = held(&self.again);
        let log = fs::read_to_string(self.folder.join("stderr")).unwrap_or_default();
        let before = again.len();
        for run in log.lines().filter(|line| line.contains(SET_ASIDE)).filter_map(run_of) {
            if again.insert(run.clone()) {
                self.note(json!({"kind": "set-aside", "run": run}));
                self.evidence.pay(run.clone());
                let trying = json!({"kind": "run-again", "run": run});
                let Some(replayed) = self.ask(&format!("/api/runs/{run}/replay"), &trying) else { continue };
                self.note(json!({"kind": "runs-again", "run": run, "as": replayed.get("run_id")}));
            }
        }
        again.len() - before
    }

    fn set(&self, paused: bool, way: Way) {
        let (before, after) = if paused { ("pausing", "paused") } else { ("resuming", "resumed") };
        let trying = json!({"kind": before});
        self.note(trying.clone());
        let path = match (way, paused) {
            (Way::Command, true) => format!("/api/flows/{HELD}/pause"),
            (Way::Command, false) => format!("/api/flows/{HELD}/resume"),
            (Way::File, _) if scenes::pause(self.folder, self.target, paused).is_err() => return,
            (Way::File, _) => "/api/reload".to_owned(),
        };
        if self.ask(&path, &trying).is_some() {
            self.note(json!({"kind": after}));
        }
    }

    /// Asks the service until it answers, and notes each try; `None` when it will not any more.
    fn ask(&self, path: &str, trying: &Value) -> Option<Value> {
        loop {
            self.note(trying.clone());
            let ops = self.door.addresses()?.ops;
            match ask(ops, &post(path, "Content-Type: application/json\r\n", b"")) {
                Ok(answer) if answer.status < 300 => {
                    return Some(serde_json::from_slice(&answer.body).unwrap_or_default());
                }
                Ok(answer) if answer.status == 404 => return None,
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn note(&self, mut line: Value) {
        if let Some(line) = line.as_object_mut() {
            line.insert("at".into(), self.evidence.at().into());
        }
        self.evidence.operator(&line);
    }
}

/// The run that a line of the log is about.
fn run_of(line: &str) -> Option<String> {
    let run = line.split_once("run=")?.1;
    Some(run.split([' ', '"']).find(|word| !word.is_empty())?.to_owned())
}

fn rest(time: Duration, ended: &AtomicBool) {
    const STEP: Duration = Duration::from_millis(50);
    for _ in 0..time.as_millis() / STEP.as_millis() {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_is_found_in_a_line() {
        let line = "2026-01-01T00:00:00Z ERROR hookflow_engine::recovery: a run is set aside: x run=\"0198-a\" flow=\"two\"";
        assert_eq!(run_of(line).as_deref(), Some("0198-a"));
        assert_eq!(run_of("a run is set aside"), None);
    }
}
