//! What was seen, read from the three files and sorted by event and by run.

use anyhow::{Context as _, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// How much later than it came a call may be written down: a death in between still counts.
const SLACK: u64 = 1_000_000;

/// What was seen of one service.
#[derive(Debug, Default)]
pub struct Case {
    pub(super) events: BTreeMap<String, Event>,
    pub(super) runs: BTreeMap<String, Run>,
    pub(super) callbacks: Vec<Callback>,
    pub(super) deliveries: Vec<Delivery>,
    /// The runs and their steps that were emitted for certain.
    pub(super) shouted: BTreeSet<(String, String)>,
    /// When the service died.
    deaths: Vec<u64>,
    /// When a flow was paused, and then resumed.
    pub(super) pauses: Vec<(u64, u64)>,
    /// Runs that the service has said it sets aside.
    pub(super) set_aside: BTreeSet<String>,
    /// How often the operator has asked for a run once more.
    pub(super) asked_again: BTreeMap<String, usize>,
    /// Runs that the operator has begun, each with the one that it repeats.
    repeats: BTreeMap<String, String>,
}

/// An event, as its sender sees it.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) scene: String,
    pub(super) key: Option<String>,
    pub(super) turn: Option<u64>,
    pub(super) sha: Option<String>,
    /// Whether the flow answers.
    pub(super) replies: bool,
    pub(super) ends_with_reply: bool,
    pub(super) tries: Vec<Try>,
}

/// One try to bring it in.
#[derive(Debug, Default)]
pub(super) struct Try {
    pub(super) sent: u64,
    pub(super) status: Option<u64>,
    pub(super) run: Option<String>,
    pub(super) body: Option<String>,
}

/// A run, as the target sees it.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) event: String,
    pub(super) calls: Vec<Call>,
    pub(super) ends: Vec<End>,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) at: u64,
    pub(super) step: String,
    pub(super) id: Option<String>,
    /// Whether it does no harm when it is repeated.
    pub(super) is_safe: bool,
    pub(super) sha: Option<String>,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) at: u64,
    /// All that it says.
    pub(super) says: BTreeMap<String, String>,
}

/// A delivery, as a subscription has heard it.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) at: u64,
    pub(super) to: String,
    /// Its own, and the emitted event's.
    pub(super) id: String,
    pub(super) emitted: String,
    /// What has emitted it.
    pub(super) event: String,
    pub(super) run: String,
    pub(super) step: String,
    pub(super) sha: String,
    pub(super) taken: bool,
}

/// A call of a run that waits.
#[derive(Debug)]
pub(super) struct Callback {
    pub(super) name: String,
    pub(super) run: String,
    pub(super) status: Option<u64>,
}

impl Case {
    /// Reads the three files of a folder.
    ///
    /// # Errors
    /// When one is missing or holds what is no evidence.
    pub fn read(folder: &Path) -> Result<Self> {
        let file =
            |name: &str| fs::read_to_string(folder.join(name)).with_context(|| format!("there is no {name}"));
        Self::of(&file("callers.ndjson")?, &file("target.ndjson")?, &file("operator.ndjson")?)
    }

    /// Reads the contents of the three files.
    ///
    /// # Errors
    /// When one holds what is no evidence.
    pub fn of(callers: &str, target: &str, operator: &str) -> Result<Self> {
        let mut case = Self::default();
        each(callers, |line| case.caller(line))?;
        each(target, |line| case.target(line))?;
        each(operator, |line| case.operator(line))?;
        Ok(case)
    }

    fn caller(&mut self, line: &Value) -> Option<()> {
        let (status, sent) = (line.get("status")?.as_u64(), line.get("sent")?.as_u64()?);
        match line.get("kind")?.as_str()? {
            "event" => {
                let event = self.events.entry(text(line, "event")?).or_default();
                event.scene = text(line, "scene")?;
                (event.key, event.sha) = (text(line, "key"), text(line, "sha"));
                event.turn = line.get("turn").and_then(Value::as_u64);
                event.replies = line.get("replies")?.as_bool()?;
                event.ends_with_reply = line.get("ends_with_reply")?.as_bool()?;
                event.tries.push(Try { sent, status, run: text(line, "run"), body: text(line, "body") });
            }
            "callback" => {
                let (name, run) = (text(line, "callback")?, text(line, "run")?);
                self.callbacks.push(Callback { name, run, status });
            }
            _ => return None,
        }
        Some(())
    }

    fn target(&mut self, line: &Value) -> Option<()> {
        let at = line.get("at")?.as_u64()?;
        if line.get("kind")?.as_str()? == "delivery" {
            self.deliveries.push(delivery(line)?);
            return Some(());
        }
        let name = text(line, "run")?;
        let shouted = text(line, "shouted").unwrap_or_default();
        self.shouted.extend(shouted.split_whitespace().map(|step| (name.clone(), step.to_owned())));
        let run = self.runs.entry(name).or_default();
        run.event = text(line, "event")?;
        let is_safe = text(line, "method")? == "GET";
        match line.get("kind")?.as_str()? {
            "call" => {
                let (step, id, sha) = (text(line, "step")?, text(line, "id"), text(line, "sha"));
                run.calls.push(Call { at, step, id, is_safe, sha });
            }
            "url" => run.calls.push(Call { at, step: "url".into(), id: None, is_safe, sha: None }),
            "end" => {
                let says =
                    line.as_object()?.iter().filter(|(name, _)| !["at", "answered"].contains(&&***name));
                let says = says.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
                run.ends.push(End { at, says: says.collect() });
            }
            _ => return None,
        }
        Some(())
    }

    fn operator(&mut self, line: &Value) -> Option<()> {
        let at = line.get("at")?.as_u64()?;
        match line.get("kind")?.as_str()? {
            "died" => self.deaths.push(at),
            "paused" => self.pauses.push((at, u64::MAX)),
            // Only the first try to resume counts: from then on it may go on.
            "resuming" => {
                if let Some((_, resumed)) = self.pauses.last_mut().filter(|(_, resumed)| *resumed == u64::MAX)
                {
                    *resumed = at;
                }
            }
            "set-aside" => {
                self.set_aside.insert(text(line, "run")?);
            }
            "run-again" => *self.asked_again.entry(text(line, "run")?).or_default() += 1,
            "runs-again" => {
                self.repeats.insert(text(line, "as")?, text(line, "run")?);
            }
            "pausing" | "resumed" => {}
            _ => return None,
        }
        Some(())
    }

    /// How often the service died between two moments.
    pub(super) fn deaths(&self, from: u64, to: u64) -> usize {
        let between = |at: &&u64| (from.saturating_sub(SLACK)..=to).contains(*at);
        self.deaths.iter().filter(between).count()
    }

    /// The runs of an event, the earliest first.
    pub(super) fn runs_of(&self) -> BTreeMap<&str, Vec<(&str, &Run)>> {
        let mut all: BTreeMap<&str, Vec<(&str, &Run)>> = BTreeMap::new();
        for (name, run) in &self.runs {
            all.entry(&run.event).or_default().push((name, run));
        }
        for runs in all.values_mut() {
            runs.sort_by_key(|(_, run)| run.first());
        }
        all
    }

    /// How many runs of an event were set aside, and how often the operator has asked for them once more. The event's
    /// sender may know of runs of which the target has not heard, and the operator of some that neither has.
    pub(super) fn given_up(&self, name: &str, runs: &[(&str, &Run)]) -> (usize, usize) {
        let tries = self.events.get(name).into_iter().flat_map(|event| &event.tries);
        let told = tries.filter_map(|one| one.run.as_deref());
        let mut all: BTreeSet<&str> = told.chain(runs.iter().map(|(run, _)| *run)).collect();
        all.extend(runs.iter().filter_map(|(run, _)| self.repeats.get(*run)).map(String::as_str));
        let set_aside = all.iter().filter(|run| self.set_aside.contains(**run)).count();
        (set_aside, all.iter().filter_map(|run| self.asked_again.get(*run)).sum())
    }

    /// What there is, in one line.
    pub fn summary(&self) -> String {
        let count = |is_it: fn(&Event) -> bool| self.events.values().filter(|event| is_it(event)).count();
        let interrupted = self.runs.values().filter(|run| run.has_failed()).count();
        let calls: usize = self.runs.values().map(|run| run.calls.len() + run.ends.len()).sum();
        format!(
            "{} events ({} accepted, {} refused), {} runs heard of in {calls} calls ({interrupted} interrupted, {} set \
             aside), {} callbacks, {} deliveries, {} deaths",
            self.events.len(),
            count(Event::is_accepted),
            count(Event::is_refused),
            self.runs.len(),
            self.set_aside.len(),
            self.callbacks.len(),
            self.deliveries.len(),
            self.deaths.len()
        )
    }
}

impl Event {
    pub(super) fn is_accepted(&self) -> bool {
        self.tries.iter().any(Try::is_good)
    }

    pub(super) fn is_refused(&self) -> bool {
        self.tries.iter().all(|one| one.status.is_some_and(|status| (400..500).contains(&status)))
    }

    pub(super) fn first_sent(&self) -> u64 {
        self.tries.iter().map(|one| one.sent).min().unwrap_or_default()
    }
}

impl Try {
    pub(super) fn is_good(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

impl Run {
    /// When it was first heard of.
    pub(super) fn first(&self) -> u64 {
        let ends = self.ends.iter().map(|end| end.at);
        self.calls.iter().map(|call| call.at).chain(ends).min().unwrap_or_default()
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.ends.iter().any(|end| end.says("how") == "ok")
    }

    pub(super) fn has_failed(&self) -> bool {
        self.ends.iter().any(|end| end.says("how") == "failed")
    }
}

impl End {
    pub(super) fn says(&self, name: &str) -> &str {
        self.says.get(name).map_or("", String::as_str)
    }
}

fn delivery(line: &Value) -> Option<Delivery> {
    Some(Delivery {
        at: line.get("at")?.as_u64()?,
        to: text(line, "to")?,
        id: text(line, "id")?,
        emitted: text(line, "emitted")?,
        event: text(line, "event")?,
        run: text(line, "run")?,
        step: text(line, "step")?,
        sha: text(line, "sha")?,
        taken: line.get("answered")?.as_u64()? < 300,
    })
}

fn text(line: &Value, name: &str) -> Option<String> {
    line.get(name)?.as_str().map(str::to_owned)
}

fn each(text: &str, mut see: impl FnMut(&Value) -> Option<()>) -> Result<()> {
    for line in text.lines() {
        let value = serde_json::from_str(line).ok();
        value.and_then(|value| see(&value)).with_context(|| format!("this is no evidence: {line}"))?;
    }
    Ok(())
}
