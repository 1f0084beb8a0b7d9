//! `hookflow serve`: the service itself.

use crate::assembly::Service;
use crate::command::{Command, Verdict, dir, dir_arg};
use crate::project::{Project, SecretMode};
use crate::secrets::NewSecret;
use crate::terminal::Terminal;
use crate::{listing, logging, report};
use anyhow::Context as _;
use clap::ArgMatches;
use hookflow_runtime::Tasks;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// With more flows than this, only the first few are printed.
const LISTED: usize = 50;
const FIRST_FEW: usize = 5;

pub(super) static COMMAND: Command = Command {
    name: "serve",
    about: "Receives webhooks and runs the flows of a folder (also without a command)",
    examples: "  hookflow serve\n  hookflow serve --dir shop\n  HOOKFLOW_PUBLIC__LISTEN=0.0.0.0:80 hookflow serve",
    args: |command| command.arg(dir_arg()),
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let folder = dir(matches);
    let project = Project::load(folder, &terminal.environment, SecretMode::Make)?;
    report::write(&project.diagnostics, terminal)?;
    if project.diagnostics.has_errors() {
        writeln!(terminal.err, "hookflow serve: not started: {}", report::counts(&project.diagnostics))?;
        return Ok(Verdict::DoesNot);
    }
    logging::start(project.config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("hookflow").enable_all().build();
    let runtime = runtime.context("the system has no threads left")?;
    let served = runtime.block_on(serve(project, folder, terminal));
    // A lookup of a name that hangs in the system does not hold up the end.
    runtime.shutdown_background();
    served.map(|()| Verdict::Holds)
}

async fn serve(project: Project, folder: &Path, terminal: &mut Terminal) -> anyhow::Result<()> {
    // From here on a signal is not the end, but its beginning.
    let signals = Signals::new().context("the system does not tell of signals")?;
    let mut service = Service::assemble(&project, folder, &terminal.environment).await?;
    // Nothing stands in the way any more: a start that is refused leaves no secrets behind.
    let made = project.new_secrets.iter().map(NewSecret::write).collect::<anyhow::Result<Vec<_>>>()?;
    service.reloader.made(&made);
    write!(terminal.out, "{}", greeting(&project, folder, &service, &made))?;
    terminal.out.flush()?;

    let Service { public, ops, engine, reloader, tasks, blobs, rejections, .. } = service;
    let Signals { hang_up, mut stopping } = signals;
    let grace = project.config.shutdown.grace;
    drop(project);
    tasks.spawn("door", public.serve());
    tasks.spawn("reload", reloader.run(hang_up));
    let until_stopped = async {
        stopping.come().await;
        tracing::info!(?grace, "shutting down; a second signal ends it at once");
        stop(&tasks, grace, &mut stopping).await;
    };
    // The ops listener answers until the last moment: it says that the service drains.
    tokio::select! {
        () = until_stopped => {}
        () = ops.serve() => tracing::error!("the ops listener has ended"),
    }
    rejections.flush().await;
    engine.close().await;
    blobs.close();
    Ok(())
}

/// What is printed once when the service has started.
fn greeting(project: &Project, folder: &Path, service: &Service, made: &[&Path]) -> String {
    let lines = listing::lines(project, &service.base_url);
    let shown = if lines.len() > LISTED { FIRST_FEW } else { lines.len() };
    let flows = report::count(project.flows.len(), "flow");
    let mut text = format!("hookflow {} serves {flows}\n\n", env!("CARGO_PKG_VERSION"));
    text.push_str(&listing::table(lines.get(..shown).unwrap_or_default()));
    if shown < lines.len() {
        let more = lines.len() - shown;
        text.push_str(&format!("  … and {more} more: `hookflow urls --dir {}`\n", folder.display()));
    }
    if lines.is_empty() {
        text.push_str(
            "  No flow has a webhook: flows stand in flows/*.yaml, `hookflow init` makes a first one.\n",
        );
    }
    text.push('\n');
    if let Some(warning) = listing::open_doors(&lines) {
        text.push_str(&format!("{warning}\n"));
    }
    if let Some(relaxed) = listing::relaxed(project) {
        text.push_str(&format!("{relaxed}\n"));
    }
    text.push_str(&format!("ops: http://{} (/healthz /readyz /metrics /version)\n", service.ops.addr));
    for path in made {
        text.push_str(&format!("made a random secret: {}\n", path.display()));
    }
    let store = &project.config.store;
    if store.is_durable() {
        text.push_str(&format!("Events are kept in {}.\n", store.path(folder).display()));
    } else {
        text.push_str("Events live in memory and are lost when the process ends.\n");
    }
    text
}

/// Both steps of the shutdown; a further signal skips the wait between them.
async fn stop(tasks: &Tasks, grace: Duration, stopping: &mut Stopping) {
    let left = tokio::select! {
        left = tasks.drain(grace) => left,
        () = stopping.come() => tasks.drain(Duration::ZERO).await,
    };
    if !left.is_empty() {
        tracing::warn!(left = left.join(", "), "not everything had ended");
    }
}

/// The signals that mean something to the service.
struct Signals {
    hang_up: Signal,
    stopping: Stopping,
}

/// Those that end it.
struct Stopping {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let stopping = Stopping {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        Ok(Self { hang_up: signal(SignalKind::hangup())?, stopping })
    }
}

impl Stopping {
    /// Waits for one.
    async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
