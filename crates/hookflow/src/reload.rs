//! Reading the folder again while the service runs: when, and what becomes of it.
//!
//! A new generation is read and checked whole, as at a start, and then put in force behind one pointer; with a mistake
//! anywhere nothing changes. One task does it, one reload after the other, whoever asks: a signal, the ops listener, or
//! the files, which are looked at again and again.

use crate::config::Config;
use crate::environment::Environment;
use crate::in_force::{Asked, Board, Standing, Trouble};
use crate::inventory::Changes;
use crate::outlets;
use crate::project::{Project, SecretMode};
use crate::report;
use crate::secrets::NewSecret;
use crate::sections::Public;
use crate::seen::Seen;
use anyhow::bail;
use hookflow_console::Reloaded;
use hookflow_engine::Engine;
use hookflow_outbound::Policy;
use hookflow_runtime::{Clock, Heartbeats, Tasks};
use hookflow_text::{Code, Diagnostics, Json, Severity, Source, Span};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::json;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How much longer than a look takes is the pause behind it, so that ten thousand files cost no more than ten.
const PAUSES: u32 = 400;
/// How long changed files have to rest before they are read: who changes one often changes more.
const REST: Duration = Duration::from_millis(500);
/// After how many looks files are read that never rest.
const RESTLESS: u32 = 20;
/// How often files are read that change while they are read, and how long in between.
const TRIES: (u32, Duration) = (5, Duration::from_millis(100));
/// How many mistakes of one reload are logged.
const LOGGED: usize = 50;

/// What reloads are made with.
pub(crate) struct Reloader {
    pub(crate) origin: Origin,
    /// Where the public listener is.
    pub(crate) public: SocketAddr,
    /// The rules for calls, as at the start.
    pub(crate) policy: Policy,
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) metrics: ReloadMetrics,
    pub(crate) board: Arc<Board>,
    pub(crate) asked: mpsc::Receiver<Asked>,
}

/// Where generations come from.
pub(crate) struct Origin {
    folder: PathBuf,
    environment: Environment,
    /// What the service was started with.
    config: Config,
    /// Whether changed files are read by themselves, as the generation in force has it.
    watch: bool,
    /// The files as they were read last, with success or without.
    seen: Seen,
    /// The files that hold secrets in force.
    secret_files: Seen,
}

/// What is counted.
pub(crate) struct ReloadMetrics {
    reloads: Family<[(&'static str, &'static str); 1], Counter>,
    generation: Gauge,
    failed: Gauge,
}

/// Why the folder is read again, or at least looked at.
enum Cause {
    Asked(Asked),
    Signal,
    Look,
    Shutdown,
}

/// The files between two looks.
#[derive(Default)]
struct Unrest {
    /// As they were at the last look, when that was not as they were read.
    files: Option<Seen>,
    looks: u32,
}

impl Origin {
    /// The folder that the service was started on.
    pub(crate) fn new(project: &Project, folder: &Path, environment: &Environment) -> Self {
        Self {
            folder: folder.to_owned(),
            environment: environment.clone(),
            config: project.config.clone(),
            watch: project.config.reload.watch,
            seen: project.seen.clone(),
            secret_files: project.secret_files.clone(),
        }
    }
}

impl Reloader {
    /// Reloads until the shutdown begins.
    pub(crate) async fn run(mut self, mut hang_up: Signal) {
        let heartbeat = self.heartbeats.register("reload");
        let (mut pause, mut unrest) = (LOOK, Unrest::default());
        loop {
            match heartbeat.wait(self.cause(&mut hang_up, pause)).await {
                Cause::Asked(asked) => {
                    let reloaded = heartbeat.wait(self.reload("asked for")).await;
                    // Who has gone does not want to know.
                    drop(asked.send(reloaded));
                }
                Cause::Signal => drop(heartbeat.wait(self.reload("SIGHUP")).await),
                Cause::Look => pause = heartbeat.wait(self.look(&mut unrest)).await,
                Cause::Shutdown => return heartbeat.end(),
            }
        }
    }

    async fn cause(&mut self, hang_up: &mut Signal, pause: Duration) -> Cause {
        let mut soft = self.tasks.soft();
        tokio::select! {
            biased;
            () = soft.wait() => Cause::Shutdown,
            Some(asked) = self.asked.recv() => Cause::Asked(asked),
            _ = hang_up.recv() => Cause::Signal,
            () = self.clock.sleep(pause), if self.origin.watch => Cause::Look,
        }
    }

    /// Looks at the files, and reads them when they have changed and rest. How long to wait until the next look.
    async fn look(&mut self, unrest: &mut Unrest) -> Duration {
        let began = self.clock.monotonic();
        let seen = self.origin.seen.clone();
        let now = self.tasks.blocking("look", move || seen.look_again()).await;
        let next = unrest.next(&self.origin.seen, now);
        let took = self.clock.monotonic().saturating_duration_since(began);
        let pause = LOOK.max(took.saturating_mul(PAUSES));
        match next {
            Next::Rest => return REST,
            Next::Read => drop(self.reload("changed files").await),
            Next::Nothing => {}
        }
        pause
    }

    /// Reads the folder and puts it in force, if it is sound.
    async fn reload(&mut self, cause: &'static str) -> Reloaded {
        let (outcome, reloaded) = match self.load().await {
            Ok(project) => self.judge(project, cause).await,
            Err(error) => self.impossible(cause, format!("{error:#}")),
        };
        self.metrics.reloads.get_or_create(&[("outcome", outcome)]).inc();
        self.metrics.failed.set(i64::from(outcome != "swapped"));
        reloaded
    }

    /// Reads the folder as a start does. Nothing is made of files that change meanwhile: some would be old, others new.
    async fn load(&mut self) -> anyhow::Result<Project> {
        let (tries, between) = TRIES;
        for attempt in 0..tries {
            if attempt > 0 {
                self.clock.sleep(between).await;
            }
            let (folder, environment, seen) =
                (self.origin.folder.clone(), self.origin.environment.clone(), self.origin.seen.clone());
            let work = move || {
                let load = || Project::load(&folder, &environment, SecretMode::Make);
                // The service goes on without what a bug in the reading keeps away.
                let project = catch_unwind(AssertUnwindSafe(load));
                let project = project.unwrap_or_else(|_| bail!("the reading panicked; this is a bug"));
                let now = project.as_ref().map_or(&seen, |project| &project.seen).look_again();
                (project, now)
            };
            let (project, now) = self.tasks.blocking("load", work).await;
            let settled = project.as_ref().map_or(true, |project| project.seen == now);
            if settled {
                self.origin.seen = now;
                return project;
            }
        }
        bail!("the files change while they are read")
    }

    async fn judge(&mut self, mut project: Project, cause: &'static str) -> (&'static str, Reloaded) {
        if !self.origin.folder.join("flows").is_dir() && !self.board.standing().inventory.flows.is_empty() {
            // A volume that went away, or a deployment that is half done.
            return self.impossible(cause, "the folder `flows` is gone".into());
        }
        self.miss_secrets(&mut project);
        log(&project.diagnostics);
        if project.diagnostics.has_errors() {
            return self.refused(&project.diagnostics, cause);
        }
        if let Err(error) = self.make_secrets(&project.new_secrets) {
            return self.impossible(cause, format!("{error:#}"));
        }
        let base_url: Arc<str> = self.root(&project.config).into();
        let flows = project.flows.iter().map(|loaded| Arc::clone(&loaded.flow)).collect();
        let generation = match self.engine.install(flows, Arc::clone(&base_url)).await {
            Ok(generation) => generation.number,
            Err(error) => return self.impossible(cause, format!("the flows cannot be kept: {error}")),
        };
        self.engine.trust(Arc::clone(&project.credentials)).await;
        outlets::put_in_force(&self.engine, &project, &self.policy, &self.clock);
        let former = self.board.standing();
        let changes = Changes::between(&former.inventory, &project.inventory);
        // Until a restart these are as they were at the start.
        project.inventory.settings.clone_from(&former.inventory.settings);
        self.origin.secret_files = project.secret_files.clone();
        self.origin.watch = project.config.reload.watch;
        self.board.stand(Standing::new(generation, self.clock.now(), &project, &base_url));
        self.metrics.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        tracing::info!(target: "reload", cause, generation, changes = changes.summary(), "a new generation is in force");
        if !changes.restart().is_empty() {
            let keys = changes.restart().join(", ");
            tracing::warn!(target: "reload", keys, "these settings change at the next start only");
        }
        let mut answer = changes.to_json();
        if let Json::Object(answer) = &mut answer {
            answer.insert("generation".into(), json!(generation));
            answer.insert("diagnostics".into(), report::to_json(&project.diagnostics).into());
        }
        ("swapped", Reloaded::Swapped(answer))
    }

    /// A secret that was there is not made anew: its senders know the former one.
    fn miss_secrets(&self, project: &mut Project) {
        for new in project.new_secrets.iter().filter(|new| self.origin.secret_files.has(new.path())) {
            let name =
                new.path().strip_prefix(&self.origin.folder).unwrap_or(new.path()).display().to_string();
            let span = Span::new(&Source::new(name.clone(), ""), 0..0);
            project
                .diagnostics
                .error(Code("secret.missing"), &span, format!("the file `{name}` was there, and is gone"))
                .help("put it back; `create` makes a new secret at the next start only");
        }
    }

    fn make_secrets(&mut self, new: &[NewSecret]) -> anyhow::Result<()> {
        for new in new {
            let path = new.write()?;
            self.origin.seen.note_made(path);
            tracing::info!(target: "reload", path = %path.display(), "made a random secret");
        }
        Ok(())
    }

    /// What serve has made itself is no change.
    pub(crate) fn made(&mut self, paths: &[&Path]) {
        for path in paths {
            self.origin.seen.note_made(path);
        }
    }

    /// The root of our own URLs. Whether it is `https` changes with the listener, at a restart.
    fn root(&self, config: &Config) -> String {
        let base_url = config.public.base_url.clone();
        Public { base_url, ..self.origin.config.public.clone() }.root(self.public)
    }

    fn refused(&self, diagnostics: &Diagnostics, cause: &'static str) -> (&'static str, Reloaded) {
        let generation = self.board.standing().generation;
        let counts = report::counts(diagnostics);
        let first = diagnostics.iter().find(|it| it.severity == Severity::Error);
        let first = first.map(|it| {
            let position = it.span.position();
            format!(": {}:{}:{} {}", it.span.source.name, position.line, position.column, it.code)
        });
        tracing::error!(target: "reload", cause, generation, "a reload was refused, {counts}; the former generation stays in force");
        let diagnostics = report::to_json(diagnostics);
        let answer = json!({"generation": generation, "diagnostics": diagnostics});
        let why = format!("{counts}{}", first.unwrap_or_default());
        self.board.fail(Trouble { at: self.clock.now(), why, diagnostics });
        ("refused", Reloaded::Refused(answer))
    }

    fn impossible(&self, cause: &'static str, why: String) -> (&'static str, Reloaded) {
        let generation = self.board.standing().generation;
        tracing::error!(target: "reload", cause, generation, why, "a reload was not possible; the former generation stays in force");
        self.board.fail(Trouble { at: self.clock.now(), why: why.clone(), diagnostics: Vec::new() });
        ("impossible", Reloaded::Impossible(why))
    }
}

/// What a look leads to.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// They have changed, and may go on changing.
    Rest,
    Read,
}

impl Unrest {
    /// What to do about files that are so `now` and were so when they were `read`.
    fn next(&mut self, read: &Seen, now: Seen) -> Next {
        if now == *read {
            *self = Self::default();
            return Next::Nothing;
        }
        if self.files.as_ref() == Some(&now) || self.looks >= RESTLESS {
            *self = Self::default();
            return Next::Read;
        }
        *self = Self { files: Some(now), looks: self.looks + 1 };
        Next::Rest
    }
}

impl ReloadMetrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics =
            Self { reloads: Family::default(), generation: Gauge::default(), failed: Gauge::default() };
        registry.register("hookflow_reloads", "Reloads, by outcome", metrics.reloads.clone());
        let help = "The number of the generation in force";
        registry.register("hookflow_generation", help, metrics.generation.clone());
        let help = "1 when the last reload left the former generation in force";
        registry.register("hookflow_last_reload_failed", help, metrics.failed.clone());
        for outcome in ["impossible", "refused", "swapped"] {
            drop(metrics.reloads.get_or_create(&[("outcome", outcome)]));
        }
        metrics.generation.set(1);
        metrics
    }
}

/// The mistakes of a reload, each a line.
fn log(diagnostics: &Diagnostics) {
    for diagnostic in diagnostics.iter().take(LOGGED) {
        let position = diagnostic.span.position();
        let (line, column) = (position.line, position.column);
        let (code, file, what) = (diagnostic.code, &*diagnostic.span.source.name, &diagnostic.message);
        match diagnostic.severity {
            Severity::Error => tracing::error!(target: "reload", %code, file, line, column, "{what}"),
            Severity::Warning => tracing::warn!(target: "reload", %code, file, line, column, "{what}"),
        }
    }
    let more = diagnostics.iter().count().saturating_sub(LOGGED);
    if more > 0 {
        tracing::warn!(target: "reload", more, "there are more: `hookflow check` tells all");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_are_read_once_they_rest_or_when_they_never_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let mut length = 0;
        let mut changed = || {
            length += 1;
            fs::write(&file, vec![b'x'; length]).unwrap();
            let mut seen = Seen::default();
            seen.note(&file);
            seen
        };
        let (read, once) = (changed(), changed());
        let mut unrest = Unrest::default();
        assert_eq!(unrest.next(&read, read.clone()), Next::Nothing);
        assert_eq!(unrest.next(&read, once.clone()), Next::Rest);
        assert_eq!(unrest.next(&read, once.clone()), Next::Read);
        assert_eq!(unrest.next(&once, once.clone()), Next::Nothing);
        for _ in 0..RESTLESS {
            assert_eq!(unrest.next(&once, changed()), Next::Rest);
        }
        assert_eq!(unrest.next(&once, changed()), Next::Read);
        assert_eq!(unrest.next(&once, changed()), Next::Rest, "it counts anew");
    }
}
