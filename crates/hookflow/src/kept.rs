//! What the store of a folder holds, read beside the server that writes to it or without one: by the same code as the
//! ops listener answers by, and without a secret.

use crate::assembly::open_store;
use crate::command::{dir, switch, word};
use crate::config::Config;
use crate::project::{Project, SecretMode};
use crate::sections::Ops;
use crate::terminal::Terminal;
use crate::{ops_client, report};
use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches, value_parser};
use hookflow_console::{History, HistoryFault};
use hookflow_runtime::{Chance, Clock, Tasks};
use hookflow_store::StoreError;
use hookflow_store::backends::{Access, Opened};
use hookflow_text::Json;
use std::collections::BTreeMap;
use std::path::Path;
use tokio::runtime::{Builder, Runtime};
use url::form_urlencoded::Serializer;

/// Where what is kept is read.
pub(crate) enum Kept {
    /// The store's file.
    File {
        /// Of its store.
        history: History,
        /// Tells since when.
        clock: Clock,
        /// Where the store answers.
        runtime: Runtime,
    },
    /// The running server, which also knows what is in its memory alone.
    Server(Ops),
}

/// `--server`.
pub(crate) fn server_arg() -> Arg {
    switch("server", "Ask the running server, which also knows what is in its memory alone")
}

/// What every list has: how much of it, where it goes on, and who is asked.
pub(crate) fn list_args(limit: &'static str, most: i64) -> [Arg; 3] {
    let limit = word("limit", "NUMBER", "How many at most").default_value(limit);
    let limit = limit.value_parser(value_parser!(u16).range(1..=most));
    [limit, word("before", "CURSOR", "The next page of a former list"), server_arg()]
}

/// What was asked for, or why it is not to be had, in one line.
pub(crate) type Told = Result<Json, String>;

/// The configuration of a folder, for who only reads what is kept.
pub(crate) fn config(folder: &Path, terminal: &mut Terminal) -> anyhow::Result<Config> {
    read_config(folder, SecretMode::Invent, "store", terminal)
}

/// The configuration of a folder, for who asks the running server.
pub(crate) fn server_config(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Config> {
    read_config(dir(matches), SecretMode::Read, "server", terminal)
}

fn read_config(
    folder: &Path,
    mode: SecretMode,
    what: &str,
    terminal: &mut Terminal,
) -> anyhow::Result<Config> {
    let (config, diagnostics) = Project::read_service(folder, &terminal.environment, mode)?;
    if diagnostics.has_errors() {
        report::write(&diagnostics, terminal)?;
        bail!("the configuration does not say where the {what} is");
    }
    Ok(config)
}

impl Kept {
    pub(crate) fn open(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Self> {
        if matches.get_flag("server") {
            return Ok(Self::Server(server_config(matches, terminal)?.ops));
        }
        let config = config(dir(matches), terminal)?;
        if !config.store.is_durable() {
            let backend = config.store.backend;
            bail!(
                "the store is `{backend}`, which nobody but the running server can read: ask it with `--server`"
            );
        }
        let clock = Clock::system();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("the system has no threads left")?;
        let entered = runtime.enter();
        let chance = Chance::system(clock.clone());
        let Opened { store, .. } = open_store(&config, dir(matches), Access::Read, &chance)?;
        drop(entered);
        Ok(Self::File { history: History::new(store, Tasks::new(clock.clone())), clock, runtime })
    }

    /// A page of runs.
    pub(crate) fn runs(&self, query: &[(&str, &str)]) -> anyhow::Result<Told> {
        match self {
            Self::File { history, clock, runtime } => {
                told(runtime.block_on(history.runs(fields(query), clock.now())))
            }
            Self::Server(ops) => ask(ops, &format!("/api/runs?{}", written(query))),
        }
    }

    /// A run.
    pub(crate) fn run(&self, run: &str) -> anyhow::Result<Told> {
        match self {
            Self::File { history, runtime, .. } => told(runtime.block_on(history.run(run))),
            Self::Server(ops) => ask(ops, &ops_client::run_path(run, "")),
        }
    }

    /// A page of tries of calls.
    pub(crate) fn attempts(&self, query: &[(&str, &str)]) -> anyhow::Result<Told> {
        match self {
            Self::File { history, clock, runtime } => {
                told(runtime.block_on(history.attempts(fields(query), clock.now())))
            }
            Self::Server(ops) => ask(ops, &format!("/api/attempts?{}", written(query))),
        }
    }

    /// A try of a call.
    pub(crate) fn attempt(&self, id: &str) -> anyhow::Result<Told> {
        match self {
            Self::File { history, runtime, .. } => {
                match told(runtime.block_on(history.attempt(id)).map(Json::from))? {
                    Ok(Json::Null) => Ok(Err("no such attempt is kept (attempt.unknown)".into())),
                    answer => Ok(answer),
                }
            }
            Self::Server(ops) => ask(ops, &ops_client::path("attempts", id, "")),
        }
    }

    /// A page of deliveries.
    pub(crate) fn deliveries(&self, query: &[(&str, &str)]) -> anyhow::Result<Told> {
        match self {
            Self::File { history, clock, runtime } => {
                told(runtime.block_on(history.deliveries(fields(query), clock.now())))
            }
            Self::Server(ops) => ask(ops, &format!("/api/deliveries?{}", written(query))),
        }
    }

    /// A delivery.
    pub(crate) fn delivery(&self, id: &str) -> anyhow::Result<Told> {
        match self {
            Self::File { history, runtime, .. } => {
                match told(runtime.block_on(history.delivery(id)).map(Json::from))? {
                    Ok(Json::Null) => Ok(Err("no such delivery is kept (delivery.unknown)".into())),
                    answer => Ok(answer),
                }
            }
            Self::Server(ops) => ask(ops, &ops_client::path("deliveries", id, "")),
        }
    }

    /// A page of requests that were refused.
    pub(crate) fn rejected(&self, query: &[(&str, &str)]) -> anyhow::Result<Told> {
        match self {
            Self::File { history, runtime, .. } => told(runtime.block_on(history.rejected(fields(query)))),
            Self::Server(ops) => ask(ops, &format!("/api/rejected?{}", written(query))),
        }
    }
}

fn ask(ops: &Ops, path: &str) -> anyhow::Result<Told> {
    Ok(ops_client::ask(ops, path)?.judge())
}

fn written(query: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(query).finish()
}

fn fields(query: &[(&str, &str)]) -> BTreeMap<String, String> {
    query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn told(answer: Result<Json, HistoryFault>) -> anyhow::Result<Told> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(fault @ (HistoryFault::Query(_) | HistoryFault::Store(StoreError::UnknownRun))) => {
            Ok(Err(format!("{fault} ({})", fault.code())))
        }
        Err(fault) => Err(fault.into()),
    }
}
