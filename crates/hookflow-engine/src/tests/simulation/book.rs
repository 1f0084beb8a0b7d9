//! What was seen: the trace, and what must hold at every moment of it.

use hookflow_flow::End;
use hookflow_store::{Admitted, NewRun, StoreError};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// How much of the trace is shown with what went wrong.
const SHOWN: usize = 60;

/// A name and a key within it.
type Lane = (Arc<str>, Arc<str>);

/// What was seen of all lives.
#[derive(Default)]
pub(super) struct Book {
    pub lines: Vec<String>,
    /// What does not hold.
    pub wrong: Vec<String>,
    pub runs: BTreeMap<Arc<str>, Kept>,
    /// Unfinished runs of a flow and a key, in their order.
    lanes: HashMap<Lane, VecDeque<Arc<str>>>,
    /// Which unfinished run holds a claim.
    claims: HashMap<Lane, Arc<str>>,
    calls: BTreeMap<(String, String), u64>,
    pub crashes: u64,
    /// Whether a run was set aside.
    pub poisoned: bool,
    /// How many processes there were after the first.
    pub lives: u64,
    /// Who is to be called back, and when.
    pub callbacks: Vec<(Timestamp, String)>,
    pub now: Timestamp,
}

/// A run that the store has kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub flow: Arc<str>,
    pub order: Option<Arc<str>>,
    pub cancelled: bool,
    pub ends: u32,
}

impl Book {
    pub(super) fn line(&mut self, line: &str) {
        self.lines.push(format!("{} {line}", self.now));
    }

    /// What the whole trace comes to.
    pub(super) fn hash(&self) -> String {
        let digest = Sha256::digest(self.lines.join("\n"));
        digest.iter().take(8).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }

    pub(super) fn wrong(&mut self, what: String) {
        self.line(&format!("WRONG {what}"));
        self.wrong.push(what);
    }

    /// The runs that have not ended.
    pub(super) fn unended(&self) -> Vec<(&Arc<str>, &Kept)> {
        self.runs.iter().filter(|(_, kept)| kept.ends == 0).collect()
    }

    /// The last lines, or all lines of the runs that have not ended and those at the moments in which they were first seen.
    pub(super) fn story(&self) -> String {
        let unended = self.unended();
        if unended.is_empty() {
            return self.lines[self.lines.len().saturating_sub(SHOWN)..].join("\n");
        }
        let lines = self.lines.iter().filter(|line| {
            unended.iter().any(|(run, _)| line.contains(&***run))
                || line.contains("life")
                || line.contains("poison")
        });
        lines.cloned().collect::<Vec<_>>().join("\n")
    }

    /// A row was handed to the store, and this came of it.
    pub(super) fn admitted(&mut self, run: &NewRun, outcome: &Result<Admitted, StoreError>) {
        let ended = run.progress.ended.as_ref();
        self.line(&format!("admit {} {} {outcome:?}", run.flow, run.run));
        if !matches!(outcome, Ok(Admitted::Kept { .. })) {
            return;
        }
        if !self.runs.contains_key(&run.run) {
            for claim in &run.claims {
                let key = (Arc::clone(&claim.scope), Arc::clone(&claim.key));
                if let Some(holder) = self.claims.insert(key, Arc::clone(&run.run)) {
                    self.wrong(format!("{} claims what the unfinished {holder} holds", run.run));
                }
            }
            if let Some(order) = run.order.clone() {
                self.lanes.entry((Arc::clone(&run.flow), order)).or_default().push_back(Arc::clone(&run.run));
            }
            let (flow, order) = (Arc::clone(&run.flow), run.order.clone());
            self.runs.insert(Arc::clone(&run.run), Kept { flow, order, cancelled: false, ends: 0 });
        }
        if let Some(ended) = ended {
            self.ended(&run.run, &ended.end);
        }
    }

    /// The store has written a run's end.
    pub(super) fn ended(&mut self, run: &Arc<str>, end: &End) {
        self.line(&format!("end {run} {end:?}"));
        self.claims.retain(|_, holder| holder != run);
        let Some(kept) = self.runs.get_mut(run) else {
            return self.wrong(format!("{run} ends and was never kept"));
        };
        kept.ends += 1;
        let Kept { flow, order, cancelled, ends } = kept.clone();
        if ends > 1 {
            self.wrong(format!("{run} has {ends} ends"));
        }
        if let Some(lane) = order.and_then(|order| self.lanes.get_mut(&(flow, order))) {
            let first = lane.front() == Some(run);
            lane.retain(|other| other != run);
            if !first && !cancelled {
                self.wrong(format!("{run} ends before one that came before it"));
            }
        }
        self.poisoned |= matches!(end, End::Failed(fault) if fault.code == "run.poison");
        if let End::Failed(fault) = end
            && ["run.bug", "run.diverged", "run.journal-full"].contains(&&*fault.code)
        {
            self.wrong(format!("{run} ends by {}: {}", fault.code, fault.message));
        }
    }

    /// A call arrives outside. Returns how many of it there were, with this one.
    pub(super) fn called(&mut self, run: &str, path: &str) -> u64 {
        let count = self.calls.entry((run.to_owned(), path.to_owned())).or_default();
        *count += 1;
        let count = *count;
        self.line(&format!("call {run} {path} {count}"));
        let mut parts = path.split(['/', '?']).skip(1);
        let (method, tries) = (parts.next().unwrap(), parts.nth(1).unwrap().parse::<u64>().unwrap());
        // What harms nobody is sent again when its outcome was lost with the node.
        let most = if method == "GET" { tries + self.lives } else { tries };
        if count > most {
            self.wrong(format!("{run} has sent {path} {count} times"));
        }
        match self.runs.get(run) {
            None => self.wrong(format!("{run} calls {path} and is not kept")),
            Some(Kept { ends: 1.., .. }) => self.wrong(format!("{run} calls {path} after its end")),
            Some(Kept { order: Some(order), flow, .. }) => {
                let first = self.lanes.get(&(Arc::clone(flow), Arc::clone(order))).and_then(VecDeque::front);
                if first.is_none_or(|first| **first != *run) {
                    self.wrong(format!("{run} calls {path} before one that came before it has ended"));
                }
            }
            Some(_) => {}
        }
        count
    }
}
