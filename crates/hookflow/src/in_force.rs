//! The board: what is in force, and what became of the last reload, for whoever asks on the ops listener.

use crate::inventory::Inventory;
use crate::listing;
use crate::project::Project;
use hookflow_console::{InForce, Reloaded};
use hookflow_runtime::Clock;
use hookflow_text::Json;
use jiff::Timestamp;
use serde_json::json;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many may wait for a reload. More wait until there is room.
const ASKING: usize = 16;
/// How long who asks for a reload waits for its outcome.
const PATIENCE: Duration = Duration::from_mins(1);

/// What operators may hear.
pub(crate) struct Board {
    told: Mutex<Told>,
    asking: mpsc::Sender<Asked>,
    clock: Clock,
}

/// Somebody who asked for a reload and hears what became of it.
pub(crate) type Asked = oneshot::Sender<Reloaded>;

#[derive(Default)]
struct Told {
    standing: Arc<Standing>,
    trouble: Option<Arc<Trouble>>,
}

/// A generation in force.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Counts from 1; 0 is before the first.
    pub(crate) generation: u64,
    pub(crate) since: Timestamp,
    flows: Vec<Json>,
    pub(crate) inventory: Inventory,
}

/// Why the last reload put nothing in force.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) at: Timestamp,
    /// In one line.
    pub(crate) why: String,
    /// Of the files.
    pub(crate) diagnostics: Vec<Json>,
}

impl Board {
    /// A board with nothing on it, and the place where it is asked for reloads.
    pub(crate) fn new(clock: Clock) -> (Arc<Self>, mpsc::Receiver<Asked>) {
        let (asking, asked) = mpsc::channel(ASKING);
        (Arc::new(Self { told: Mutex::default(), asking, clock }), asked)
    }

    /// What is in force.
    pub(crate) fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.told().standing)
    }

    /// A generation is in force, and the last reload went well.
    pub(crate) fn stand(&self, standing: Standing) {
        *self.told() = Told { standing: Arc::new(standing), trouble: None };
    }

    /// A reload put nothing in force.
    pub(crate) fn fail(&self, trouble: Trouble) {
        self.told().trouble = Some(Arc::new(trouble));
    }

    /// What `/readyz?verbose` says of reloads. The former generation serves, so nothing is unready.
    pub(crate) fn last_reload(&self) -> String {
        let told = self.told();
        let trouble = told.trouble.as_ref();
        trouble.map_or_else(String::new, |trouble| {
            let generation = told.standing.generation;
            format!("refused at {}: {}; generation {generation} stays in force", trouble.at, trouble.why)
        })
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Nothing under the lock can panic half way.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// A project under its number.
    pub(crate) fn new(generation: u64, since: Timestamp, project: &Project, base_url: &str) -> Self {
        let flows = listing::versions(project, base_url);
        Self { generation, since, flows, inventory: project.inventory.clone() }
    }
}

impl InForce for Board {
    fn flows(&self) -> Vec<Json> {
        self.standing().flows.clone()
    }

    fn generation(&self) -> Json {
        let (standing, trouble) = {
            let told = self.told();
            (Arc::clone(&told.standing), told.trouble.clone())
        };
        let refused = trouble.map(|trouble| {
            json!({"at": trouble.at.to_string(), "why": trouble.why, "diagnostics": trouble.diagnostics})
        });
        let mut told = json!({"generation": standing.generation, "since": standing.since.to_string()});
        if let Json::Object(told) = &mut told {
            told.extend(standing.inventory.to_json());
            told.insert("refused".into(), refused.into());
        }
        told
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Reloaded> + Send>> {
        let (asking, clock) = (self.asking.clone(), self.clock.clone());
        Box::pin(async move {
            let (sender, outcome) = oneshot::channel();
            let asked = async {
                asking.send(sender).await.ok()?;
                outcome.await.ok()
            };
            match clock.timeout(PATIENCE, asked).await {
                Ok(Some(reloaded)) => reloaded,
                Ok(None) => Reloaded::Impossible("the service is shutting down".into()),
                Err(_) => {
                    Reloaded::Impossible("it takes long; `/api/generation` tells what becomes of it".into())
                }
            }
        })
    }
}
