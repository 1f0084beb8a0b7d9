//! What is kept of runs, as JSON: for the endpoints, and for whoever reads a store without a server.
//!
//! Only outcomes are kept. The values between them are computed again on the version that the run was on; when that
//! cannot be had, the rest is shown and it is said why.

mod attempts;
mod deliveries;
mod merged;
mod run_json;
mod shown;

use crate::asked::{Asked, word};
pub use attempts::ExportFormat;
pub(crate) use deliveries::delivery_line;
use hookflow_engine::{Engine, VersionFault, Versions};
use hookflow_flow::{End, Start, retrace};
use hookflow_runtime::Tasks;
use hookflow_store::{
    Ended, Erasure, Journal, Page, Pruned, RejectedPage, RunFilter, RunLine, Store, StoreError,
};
use hookflow_text::{Code, Json};
use jiff::Timestamp;
use merged::{Cursor, merge};
use run_json::{RunJson, mask};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many runs of the flow are looked at for replays of one.
const REPLAYS_LOOKED_FOR: usize = 1_000;

/// How many runs are listed unless asked for more or fewer.
const USUAL: usize = 50;
/// How many at most.
const MOST: usize = 1_000;

/// Why the history is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryFault {
    /// What is asked for cannot be read.
    #[error("{0}")]
    Query(String),
    /// The store does not have it, or does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HistoryFault {
    /// The code that problems carry.
    pub const fn code(&self) -> Code {
        match self {
            Self::Query(_) => Code("ops.query"),
            Self::Store(StoreError::UnknownRun) => Code("run.unknown"),
            Self::Store(StoreError::Damaged(_)) => Code("run.unreadable"),
            Self::Store(_) => Code("store.unavailable"),
        }
    }
}

/// The runs that a store keeps.
#[derive(Debug)]
pub struct History {
    store: Arc<dyn Store>,
    versions: Versions,
    tasks: Tasks,
}

impl History {
    /// Of a store.
    pub fn new(store: Arc<dyn Store>, tasks: Tasks) -> Self {
        Self { versions: Versions::new(Arc::clone(&store), tasks.clone()), store, tasks }
    }

    /// A page of runs, `{"items": […], "next": cursor or null}`, as the fields of a query ask for it.
    ///
    /// # Errors
    /// When a field is not known or cannot be read, or the store does not answer.
    pub async fn runs(&self, query: BTreeMap<String, String>, now: Timestamp) -> Result<Json, HistoryFault> {
        self.runs_beside(None, query, now).await
    }

    /// The same with the runs that an engine has in memory only.
    pub(crate) async fn runs_beside(
        &self,
        engine: Option<&Engine>,
        query: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<Json, HistoryFault> {
        let mut asked = Asked::query(query);
        let filter = asked.filter(now)?;
        let cursor: Cursor = asked.read("before", "a cursor")?.unwrap_or_default();
        let limit = asked.read("limit", "a number")?.unwrap_or(USUAL).min(MOST);
        asked.finish()?;
        let page = self.store.find(&filter, cursor.kept, limit).await?;
        let in_memory = match engine.cloned() {
            Some(engine) => {
                let (below, most) = (cursor.below.clone(), limit.saturating_add(1));
                let look = move || engine.relaxed_runs(&filter, below.as_ref(), most);
                self.tasks.blocking("history", look).await
            }
            None => Vec::new(),
        };
        let (items, next) = merge(page, in_memory, cursor, limit);
        Ok(json!({"items": items, "next": next.map(|next| next.to_string())}))
    }

    /// A page of requests that were refused, as [`History::runs`].
    ///
    /// # Errors
    /// When a field is not known or cannot be read, or the store does not answer.
    pub async fn rejected(&self, query: BTreeMap<String, String>) -> Result<Json, HistoryFault> {
        let mut asked = Asked::query(query);
        let (flow, before) = (asked.text("flow"), asked.read("before", "a cursor")?);
        let limit = asked.read("limit", "a number")?.unwrap_or(USUAL).min(MOST);
        asked.finish()?;
        let RejectedPage { rejected, next } = self.store.rejected(flow.as_deref(), before, limit).await?;
        Ok(json!({
            "items": rejected.into_iter().map(|rejected| rejected.told).collect::<Vec<_>>(),
            "next": next.map(|next| next.to_string()),
        }))
    }

    /// A page as the store gives it.
    pub(crate) async fn page(
        &self,
        filter: &RunFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.store.find(filter, before, limit).await
    }

    /// Forgets ended runs, so many at most; with all runs of a flow also its refused requests, which have no key.
    pub(crate) async fn erase(&self, what: &Erasure, limit: usize) -> Result<Pruned, StoreError> {
        if what.key.is_none() {
            self.store.forget_rejected(Some(&what.flow), Timestamp::MAX).await?;
        }
        self.store.erase(what, limit).await
    }

    /// Everything that is known of a run.
    ///
    /// # Errors
    /// When no such run is kept, or the store does not answer.
    pub async fn run(&self, run: &str) -> Result<Json, HistoryFault> {
        let journal = self.store.load(run).await?;
        let replays = self.replays_of(&journal).await?;
        let emitted = self.emitted_by(run).await?;
        let (was, progress) = (&journal.run, &journal.run.progress);
        let flow = match self.versions.of(&was.flow, &progress.version).await {
            Ok(flow) => Ok(flow),
            Err(VersionFault::Store(error)) => return Err(error.into()),
            Err(why) => Err(why.to_string()),
        };
        let start = Start {
            run: Arc::clone(&was.run),
            started_at: progress.begun_at.unwrap_or(was.started_at),
            seed: was.seed,
            event: Arc::clone(&was.event),
            attempt: was.attempt,
            deadline: None,
        };
        let shown = move || {
            // A run that has not begun has done nothing, whatever its plan would do.
            let has_begun = journal.run.progress.begun_at.is_some();
            let retraced = flow.map(|flow| {
                let plan = Arc::clone(&flow.plan);
                let facts = &journal.run.progress.facts;
                (flow, has_begun.then(|| retrace(plan, start, facts)))
            });
            RunJson { journal, retraced, replays, emitted }.write()
        };
        Ok(self.tasks.blocking("history", shown).await)
    }

    async fn replays_of(&self, journal: &Journal) -> Result<Vec<Arc<str>>, StoreError> {
        let run = &journal.run;
        let filter = RunFilter {
            flow: Some(Arc::clone(&run.flow)),
            since: Some(run.started_at),
            ..RunFilter::default()
        };
        let page = self.store.find(&filter, None, REPLAYS_LOOKED_FOR).await?;
        let replays = page.runs.into_iter().rev().filter(|line| line.replays.as_ref() == Some(&run.run));
        Ok(replays.map(|line| line.run).collect())
    }
}

/// What is known of a run that is in memory only: that it ended well.
pub(crate) fn in_memory_only(engine: &Engine, run: &str) -> Option<Json> {
    let filter = RunFilter { search: Some(run.to_owned()), ..RunFilter::default() };
    let found = engine.relaxed_runs(&filter, None, MOST).into_iter().find(|line| *line.run == *run)?;
    let mut shown = line(&found);
    if let Json::Object(shown) = &mut shown {
        let why = "its flow has `durability: relaxed`, and nothing of a run that succeeds is written";
        shown.insert("not_computed".into(), why.into());
        shown.insert("steps".into(), json!([]));
    }
    Some(shown)
}

/// A run in a list. One without a position is in memory only.
pub(crate) fn line(line: &RunLine) -> Json {
    json!({
        "run": &*line.run,
        "flow": &*line.flow,
        "status": word(line.status),
        "attempt": line.attempt,
        "started_at": line.started_at.to_string(),
        "ended_at": line.ended.as_ref().map(|ended| ended.at.to_string()),
        "version": &*line.version,
        "replays": line.replays.as_deref(),
        "durability": if line.position == 0 { "relaxed" } else { "full" },
        "error": line.ended.as_ref().and_then(error),
    })
}

fn error(ended: &Ended) -> Option<Json> {
    match &*ended.end {
        End::Failed(fault) => {
            let mut shown = fault.to_json();
            mask(&mut shown);
            Some(shown)
        }
        End::Succeeded(_) => None,
    }
}
