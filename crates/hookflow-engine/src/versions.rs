//! The versions that runs are on: those in force are at hand, others are compiled again from what the store keeps.

use crate::engine::Inner;
use arc_swap::ArcSwap;
use hookflow_flow::Flow;
use hookflow_runtime::Tasks;
use hookflow_store::{Store, StoreError};
use hookflow_trigger::Credentials;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};

/// How many versions are held compiled.
const HELD: usize = 64;

/// Flows as they are at a version, compiled from what a store keeps. The latest used are held.
pub struct Versions {
    store: Arc<dyn Store>,
    tasks: Tasks,
    credentials: ArcSwap<Credentials>,
    /// The latest used first. Whoever compiles holds the lock, so each is compiled once, and one at a time.
    held: Mutex<VecDeque<Arc<Flow>>>,
}

/// Why there is no plan for a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionFault {
    /// The store did not say what it keeps.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not kept.
    #[error("the version {0} of the flow is not kept")]
    NotKept(Arc<str>),
    /// This build does not read it.
    #[error("the version {0} of the flow cannot be compiled any more: {1}")]
    NotCompiled(Arc<str>, String),
}

impl Versions {
    /// Those that a store keeps.
    pub fn new(store: Arc<dyn Store>, tasks: Tasks) -> Self {
        Self { store, tasks, credentials: ArcSwap::default(), held: Mutex::default() }
    }

    /// Which credentials `wait` steps know from now on: those in force, whatever a version was written with.
    pub async fn trust(&self, credentials: Arc<Credentials>) {
        let mut held = self.held.lock().await;
        self.credentials.store(credentials);
        held.clear();
    }

    /// The credentials in force.
    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        self.credentials.load_full()
    }

    /// The flow as it is at a version. It has no webhook: nobody comes in by it.
    ///
    /// # Errors
    /// When the version is not kept, or this build does not read it.
    pub async fn of(&self, flow: &Arc<str>, version: &str) -> Result<Arc<Flow>, VersionFault> {
        let mut held = self.held.lock().await;
        let known = held.iter().position(|other| is(other, flow, version)).and_then(|at| held.remove(at));
        let found = match known {
            Some(found) => found,
            None => self.compile(flow, version.into()).await?,
        };
        held.push_front(Arc::clone(&found));
        held.truncate(HELD);
        Ok(found)
    }

    async fn compile(&self, flow: &Arc<str>, version: Arc<str>) -> Result<Arc<Flow>, VersionFault> {
        let document = self.store.version(flow, &version).await?;
        let document = document.ok_or_else(|| VersionFault::NotKept(Arc::clone(&version)))?;
        let (sender, compiled) = oneshot::channel();
        let (id, of, credentials) = (Arc::clone(flow), Arc::clone(&version), self.credentials.load_full());
        // A thread of its own has the stack that a deep document needs.
        let thread = self.tasks.thread("compile", move || {
            // Nobody listens when the caller has gone.
            drop(sender.send(Flow::of_version(&id, &of, &document, &credentials)));
        });
        let compiled = match thread {
            Ok(()) => compiled.await.unwrap_or_else(|_| Err("compiling it is a bug".into())),
            Err(error) => Err(format!("the system has no thread left: {error}")),
        };
        compiled.map(Arc::new).map_err(|why| VersionFault::NotCompiled(version, why))
    }
}

impl Inner {
    /// The flow as it is at a version. One that is not in force has no webhook.
    pub(crate) async fn plan_of(&self, flow: &Arc<str>, version: &str) -> Result<Arc<Flow>, VersionFault> {
        match self.generation().flows.get(flow).filter(|live| is(&live.flow, flow, version)) {
            Some(live) => Ok(Arc::clone(&live.flow)),
            None => self.versions.of(flow, version).await,
        }
    }
}

fn is(flow: &Flow, id: &str, version: &str) -> bool {
    *flow.id == *id && *flow.plan.version == *version
}

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Versions").field("store", &self.store).finish_non_exhaustive()
    }
}
