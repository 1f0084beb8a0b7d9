//! A folder: `config/hookflow.yaml`, `config/credentials.yaml` and `flows/**/*.yaml`, read whole, with everything that
//! is wrong with it at once.

mod doors;
mod files;
mod integrations;
mod runs;
mod subscriptions;

use crate::config::Config;
use crate::environment::Environment;
use crate::inventory::Inventory;
use crate::secrets::{FolderSecrets, NewSecret};
use crate::seen::Seen;
use anyhow::{Context as _, bail};
use files::Files;
use hookflow_flow::{Enabled, Flow, Integrations, Subscriptions, Surroundings};
use hookflow_ingress::Tls;
use hookflow_outbound::Tls as OutboundTls;
use hookflow_text::{Code, Diagnostics, Node, NodeValue, Source, Span, nearest, parse};
use hookflow_trigger::Credentials;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// Compiling an expression recurses as deep as the expression nests, in this thread's stack. Only what is touched is
/// used.
const STACK: usize = 16 << 20;
const CREDENTIALS: &str = "config/credentials.yaml";
/// What may stand in `config/`.
const CONFIG: &[&str] = &["credentials.yaml", "hookflow.yaml", "integrations", "subscriptions"];

/// Where the secrets of a folder come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretMode {
    /// From where the files say; a file with `create: true` that is missing gets a new secret.
    Make,
    /// From where the files say; nothing is made.
    Read,
    /// From where the files say, and nothing stands in for what would be made.
    Exact,
    /// None is read: all are invented.
    Invent,
}

/// A folder as it was read.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) config: Config,
    /// The public listener's certificate, where it has one and secrets are read.
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) credentials: Arc<Credentials>,
    /// The outside services.
    pub(crate) integrations: Integrations,
    /// The TLS settings of those that have their own, where secrets are read.
    pub(crate) integration_tls: BTreeMap<Arc<str>, OutboundTls>,
    /// Who gets the events that go out.
    pub(crate) subscriptions: Subscriptions,
    /// Those that nothing stops, in the order of their files.
    pub(crate) flows: Vec<LoadedFlow>,
    /// How many files were read.
    pub(crate) files: usize,
    /// The secrets whose files are still to be made.
    pub(crate) new_secrets: Vec<NewSecret>,
    /// The files that secrets were read from or are to be made in.
    pub(crate) secret_files: Seen,
    /// Everything that was looked at.
    pub(crate) seen: Seen,
    /// What it puts in force, by name.
    pub(crate) inventory: Inventory,
    /// Everything that is wrong with it.
    pub(crate) diagnostics: Diagnostics,
}

/// A flow and what its document says beyond what it compiles to.
#[derive(Debug)]
pub(crate) struct LoadedFlow {
    pub(crate) flow: Arc<Flow>,
    /// `webhook.path` as written: what follows the flow's ID in its URL.
    pub(crate) path: String,
}

impl Project {
    /// Reads the folder.
    pub(crate) fn load(folder: &Path, environment: &Environment, mode: SecretMode) -> anyhow::Result<Self> {
        if !folder.is_dir() {
            bail!("there is no folder `{}`", folder.display());
        }
        with_deep_stack(|| Self::read(folder, environment, mode))
    }

    /// Reads the folder's configuration and nothing else; of secrets only what the configuration names.
    pub(crate) fn read_service(
        folder: &Path,
        environment: &Environment,
        mode: SecretMode,
    ) -> anyhow::Result<(Config, Diagnostics)> {
        if !folder.is_dir() {
            bail!("there is no folder `{}`", folder.display());
        }
        let mut diagnostics = Diagnostics::default();
        let secrets = FolderSecrets::new(folder, environment, mode);
        let config = config_of(&mut Files::new(folder), environment, &secrets, &mut diagnostics);
        Ok((config, diagnostics))
    }

    /// The flow of this ID.
    pub(crate) fn flow(&self, id: &str) -> Option<&LoadedFlow> {
        self.flows.iter().find(|loaded| &*loaded.flow.id == id)
    }

    /// The flow whose ID is nearest to a word.
    pub(crate) fn nearest_flow(&self, id: &str) -> Option<&str> {
        nearest(id, self.flows.iter().map(|loaded| &*loaded.flow.id))
    }

    fn read(folder: &Path, environment: &Environment, mode: SecretMode) -> Self {
        let mut diagnostics = Diagnostics::default();
        let mut files = Files::new(folder);
        let secrets = FolderSecrets::new(folder, environment, mode);
        check_config_folder(&files, &mut diagnostics);
        let config = config_of(&mut files, environment, &secrets, &mut diagnostics);
        let root = read_or_empty(&mut files, CREDENTIALS, &mut diagnostics);
        let credentials = Arc::new(Credentials::load(&root, &secrets, &mut diagnostics));
        let mut seen = secrets.seen();
        let tls = read_tls(folder, &config, mode, &mut seen, &mut diagnostics);
        let outside = integrations::read(&mut files, &secrets, mode, &mut diagnostics);
        let subscribed = subscriptions::read(&mut files, &secrets, &mut diagnostics);
        seen.extend(secrets.seen());
        let against = (&*credentials, &outside.integrations);
        let flows = read_flows(&mut files, against, &config, &mut diagnostics);
        runs::check(&flows, &mut diagnostics);
        doors::warn_of_unused(&root, &flows, &mut diagnostics);
        integrations::check(&outside.integrations, &flows, &mut diagnostics);
        let inventory = Inventory::of(
            &config,
            (&root, &outside.documents, &subscribed.documents),
            flows.iter().map(|loaded| &*loaded.flow),
            &secrets,
        );
        let (count, secret_files) = (files.count(), secrets.seen());
        seen.extend(files.seen());
        let new_secrets = secrets.new_secrets();
        Self {
            config,
            tls,
            credentials,
            integrations: outside.integrations,
            integration_tls: outside.tls,
            subscriptions: subscribed.subscriptions,
            flows,
            files: count,
            new_secrets,
            secret_files,
            seen,
            inventory,
            diagnostics,
        }
    }
}

/// Reads the configuration and the credentials of a folder, and nothing else of it.
pub(crate) fn read_credentials(
    folder: &Path,
    environment: &Environment,
    mode: SecretMode,
    diagnostics: &mut Diagnostics,
) -> anyhow::Result<(Config, Credentials)> {
    if !folder.is_dir() {
        bail!("there is no folder `{}`", folder.display());
    }
    let secrets = FolderSecrets::new(folder, environment, mode);
    Ok(read_config(&mut Files::new(folder), environment, &secrets, diagnostics))
}

fn read_config(
    files: &mut Files,
    environment: &Environment,
    secrets: &FolderSecrets,
    diagnostics: &mut Diagnostics,
) -> (Config, Credentials) {
    let config = config_of(files, environment, secrets, diagnostics);
    let root = read_or_empty(files, CREDENTIALS, diagnostics);
    let credentials = Credentials::load(&root, secrets, diagnostics);
    (config, credentials)
}

/// Runs `work` with a stack that deep expressions do not exhaust.
pub(crate) fn with_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("load".into())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .context("the system has no thread left")?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn config_of(
    files: &mut Files,
    environment: &Environment,
    secrets: &FolderSecrets,
    diagnostics: &mut Diagnostics,
) -> Config {
    let mut root = read_or_empty(files, "config/hookflow.yaml", diagnostics);
    environment.overlay(&mut root, diagnostics);
    Config::read(&root, secrets, diagnostics)
}

fn read_or_empty(files: &mut Files, name: &str, diagnostics: &mut Diagnostics) -> Node {
    let source = if files.exists(name) { files.read_source(name, diagnostics) } else { None };
    source.and_then(|source| parse(&source, diagnostics)).unwrap_or_else(|| {
        let span = Span::new(&Source::new(name, ""), 0..0);
        Node { span, value: NodeValue::Map(Vec::new()) }
    })
}

fn read_tls(
    folder: &Path,
    config: &Config,
    mode: SecretMode,
    seen: &mut Seen,
    diagnostics: &mut Diagnostics,
) -> Option<Arc<Tls>> {
    // A private key is a secret as well.
    let tls = config.public.tls.as_ref().filter(|_| mode != SecretMode::Invent)?;
    let files = tls.files(folder);
    [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()]
        .into_iter()
        .flatten()
        .for_each(|path| seen.note(path));
    match Tls::load(files) {
        Ok(loaded) => Some(loaded),
        Err(error) => {
            diagnostics.error(Code("config.tls"), &tls.span, error.to_string());
            None
        }
    }
}

/// Nothing that somebody put there to be read is passed over in silence.
fn check_config_folder(files: &Files, diagnostics: &mut Diagnostics) {
    for name in files.names("config") {
        let path = format!("config/{name}");
        let span = Span::new(&Source::new(path.clone(), ""), 0..0);
        if CONFIG.contains(&name.as_str()) {
            continue;
        }
        let message = format!("`{path}` is not a file that the service reads");
        let diagnostic = diagnostics.warning(Code("config.unknown-file"), &span, message);
        if let Some(near) = nearest(&name, CONFIG.iter().copied()) {
            diagnostic.help(format!("did you mean `config/{near}`?"));
        }
    }
}

fn read_flows(
    files: &mut Files,
    (credentials, integrations): (&Credentials, &Integrations),
    config: &Config,
    diagnostics: &mut Diagnostics,
) -> Vec<LoadedFlow> {
    let body_limit = config.public.limits.body;
    let names = files.flows(diagnostics);
    let mut flows = Vec::with_capacity(names.len());
    let mut seen: HashMap<Arc<str>, Span> = HashMap::with_capacity(names.len());
    for name in names {
        // A list of its own for each file: reading a flow counts what was found before it.
        let mut found = Diagnostics::default();
        let source = files.read_source(&name, &mut found);
        let root = source.and_then(|source| parse(&source, &mut found));
        let read_file = |path: &str| files.read_sample(path);
        let surroundings = Surroundings { credentials, integrations, body_limit, read_file: &read_file };
        if let Some(root) = root
            && let Some(flow) = Flow::load(&root, &surroundings, &mut found)
        {
            if let Some(first) = seen.get(&flow.id) {
                found
                    .error(
                        Code("flow.duplicate-id"),
                        &flow.span,
                        format!("two flows have the ID `{}`", flow.id),
                    )
                    .label("again here")
                    .also(first, "first here")
                    .help("give one of them another ID with `flow: …`, or rename its file");
            } else {
                let is_lost = !config.store.is_durable();
                if is_lost && flow.enabled == Enabled::Paused && !flow.plan.is_sync() {
                    let span = value_of(&root, "enabled").map_or(&flow.span, |node| &node.span);
                    found
                        .warning(
                            Code("flow.paused-in-memory"),
                            span,
                            "what this flow holds while it is paused is gone when the service stops",
                        )
                        .help("the store is in memory: let the flow go on before you restart the service");
                }
                doors::warn_if_open(&flow, &root, config, &mut found);
                seen.insert(Arc::clone(&flow.id), flow.span.clone());
                flows.push(LoadedFlow { flow: Arc::new(flow), path: webhook_path(&root) });
            }
        }
        diagnostics.extend(found);
    }
    flows
}

fn webhook_path(root: &Node) -> String {
    value_of(root, "webhook")
        .and_then(|webhook| value_of(webhook, "path"))
        .map(Node::text)
        .unwrap_or_default()
        .into()
}

fn value_of<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let NodeValue::Map(entries) = &node.value else { return None };
    entries.iter().find(|(name, _)| name.text() == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
