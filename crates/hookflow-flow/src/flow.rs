//! A flow: the document, read and compiled. Everything wrong with it is a diagnostic, all at once.

mod ack;
mod dedupe;
mod durability;
mod event_key;
mod expects;
mod foreseen;
mod order;
mod sample;
mod stored;
mod test_case;
mod webhook;

pub use ack::Ack;
pub(crate) use ack::{add_content_type, fixed_reply};
pub use dedupe::Dedupe;
pub use durability::Durability;
use event_key::EventKey;
pub use expects::{Expects, Mismatch};
pub(crate) use foreseen::{Data, Foreseen};
pub use order::Order;
pub use sample::Sample;
use test_case::Tested;
pub use test_case::{
    Expect, ExpectedCall, ExpectedCalls, ExpectedEmit, ExpectedError, ExpectedLog, Mock, MockOutcome,
    Signing, TestCase, TestRequest, Took,
};
pub use webhook::{OnTimeout, Webhook};

use crate::integration::{Integrations, definitions};
use crate::lowering::{self, Document};
use crate::written::{FLOW_ID, STEPS};
use crate::{Plan, Reply};
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, Schema, Span};
use hookflow_trigger::{Credentials, DecodeRefusal, Event};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// A flow's file.
pub static FLOW: MapSchema = MapSchema {
    name: "flow",
    about: "A flow: how the outside world starts it, and what a run of it does.",
    keys: Cow::Borrowed(&[
        Key::may("flow", FLOW_ID, "its ID, and the first part of its URL (the file's name)"),
        Key::may("title", Schema::Text, "what people call it"),
        Key::may(
            "enabled",
            Schema::AnyOf(&[Schema::Bool, Schema::Word(&["paused"])]),
            "`false`: it answers 404 like an unknown flow; `paused`: without `respond` it accepts and runs later (true)",
        ),
        Key::may(
            "durability",
            Schema::Word(&["full", "relaxed"]),
            "whether an event is on disk before anything else: `full`, or `relaxed` (full)",
        ),
        Key::may(
            "webhook",
            Schema::Map(&webhook::WEBHOOK),
            "how the outside world starts it; without it, it is reached by `run` alone",
        ),
        Key::may("queue", Schema::Map(&QUEUE), "the bounds of its queue, and how it is worked off"),
        Key::may("steps", STEPS, "what a run does"),
        Key::may("on_error", STEPS, "steps that run when the flow fails, with `error` in scope"),
        Key::may("tests", Schema::List(&Schema::Map(&test_case::TEST)), "what `hookflow test` tries"),
    ]),
    rules: &[],
};

static QUEUE: MapSchema = MapSchema {
    name: "queue",
    about: "The bounds of a flow's queue, and how it is worked off.",
    keys: Cow::Borrowed(&[
        Key::may(
            "capacity",
            Schema::Integer(1, MOST_CAPACITY),
            "events accepted and not yet started (10000)",
        ),
        Key::may("bytes", Schema::SIZE, "their bytes (64MiB)"),
        Key::may("workers", Schema::Integer(1, MOST_WORKERS), "runs of this flow at the same time (8)"),
        Key::may(
            "order_by",
            Schema::Text,
            "a template over the event: those for which it gives the same are run one after the other",
        ),
        Key::may(
            "on_full",
            Schema::AnyOf(&[Schema::Integer(429, 429), Schema::Integer(503, 503)]),
            "the status when it is full: 429 or 503 (429)",
        ),
    ]),
    rules: &[],
};

/// The most that `queue.capacity` may be.
const MOST_CAPACITY: u64 = 10_000_000;
/// The most that `queue.workers` may be.
const MOST_WORKERS: u64 = 1_000;

/// A flow: the document, read and compiled.
#[derive(Debug)]
pub struct Flow {
    /// `[a-z0-9][a-z0-9-]*`.
    pub id: Arc<str>,
    /// What people call it.
    pub title: Option<String>,
    /// Whether it takes events.
    pub enabled: Enabled,
    /// Whether its events are written before anything else.
    pub durability: Durability,
    /// How the outside world starts it.
    pub webhook: Option<Webhook>,
    /// Its queue.
    pub queue: Queue,
    /// Which of its events are run one after the other.
    pub order: Option<Order>,
    /// What a run does.
    pub plan: Arc<Plan>,
    /// What its webhook expects, when it is a version that was kept.
    pub(crate) kept_expects: Option<Expects>,
    /// What is to be kept of it so that it can be compiled again: its text, that of the files that its steps name, and the
    /// definitions of the outbound webhooks that they call.
    pub document: Arc<str>,
    /// What it is tested by.
    pub tests: Vec<TestCase>,
    /// Where its ID, or else its document, stands.
    pub span: Span,
}

/// Why a flow's sample is not an event.
#[derive(Debug, thiserror::Error)]
pub enum SampleRefused {
    /// Nothing comes in from outside.
    #[error("the flow has no webhook")]
    NoWebhook,
    /// The path wants something else after the flow's ID.
    #[error("the webhook's path does not take the sample's suffix `{0}`: write `suffix: …` in the sample")]
    Path(String),
    /// The body is none that the webhook takes.
    #[error("the webhook does not take the sample's body: {0}")]
    Body(#[source] DecodeRefusal),
}

/// Whether a flow takes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enabled {
    /// It does.
    #[default]
    Yes,
    /// It answers 404 like an unknown flow.
    No,
    /// Without `respond` it accepts and holds; with it, it refuses for now.
    Paused,
}

/// The bounds of a flow's queue, and how it is worked off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Events accepted and not yet started.
    pub capacity: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Runs of this flow at the same time.
    pub workers: usize,
    /// The status when it is full: 429 or 503.
    pub on_full: u16,
}

impl Default for Queue {
    fn default() -> Self {
        Self { capacity: 10_000, bytes: 64 << 20, workers: 8, on_full: 429 }
    }
}

/// What a flow's file is read against.
pub struct Surroundings<'a> {
    /// The credentials in force.
    pub credentials: &'a Credentials,
    /// The outside services that steps may go to.
    pub integrations: &'a Integrations,
    /// `public.limits.body`, in bytes.
    pub body_limit: u64,
    /// Reads a file that the flow names, relative to the folder; the core touches no disk itself.
    pub read_file: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
}

impl Flow {
    /// Reads a flow's document. Returns it only when nothing stops it.
    pub fn load(root: &Node, surroundings: &Surroundings<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let (errors_before, _) = diagnostics.counts();
        let mut fields = Fields::of(root, "a flow", diagnostics)?;
        let (id, span) = read_id(root, &mut fields, diagnostics);
        let title = fields.take("title").and_then(|node| node.as_str(diagnostics)).map(str::to_owned);
        let enabled =
            fields.take("enabled").and_then(|node| read_enabled(node, diagnostics)).unwrap_or_default();
        let durability_node = fields.take("durability");
        let durability =
            durability_node.and_then(|node| Durability::load(node, diagnostics)).unwrap_or_default();
        let mut hash = Sha256::new_with_prefix(root.span.source.text.as_bytes());
        let read =
            fields.take("webhook").and_then(|node| Webhook::load(node, surroundings, &mut hash, diagnostics));
        let (webhook, foreseen) = read.unzip();
        let foreseen = foreseen.unwrap_or_default();
        if let Some(webhook) = &webhook {
            sample::check(&id, webhook, diagnostics);
        }
        let queue_node = fields.take("queue");
        let (queue, order_by) = match queue_node {
            Some(node) => Queue::load(node, &foreseen, diagnostics),
            None => (Queue::default(), None),
        };
        let steps = fields.take("steps");
        let (on_error, tests) = (fields.take("on_error"), fields.take("tests"));
        fields.finish(diagnostics);
        let params = webhook.as_ref().map(|webhook| webhook.path.params().map(str::to_owned).collect());
        let flow = Arc::clone(&id);
        let document = Document { flow, hash, steps, on_error, params, foreseen: Some(foreseen) };
        let plan = lowering::lower(document, surroundings, diagnostics);
        if let Some(node) = durability_node {
            durability.check(&node.span, webhook.as_ref(), &plan, diagnostics);
        }
        let one_worker = queue_node.filter(|_| queue.workers == 1 && order_by.is_none());
        if let Some((node, wait)) = one_worker.zip(plan.wait_steps().next()) {
            warn_of_one_worker(node, wait, diagnostics);
        }
        if let Some(ack) = webhook.as_ref().and_then(|webhook| webhook.ack.as_ref())
            && plan.sync
        {
            diagnostics
                .error(
                    Code("flow.ack-beside-respond"),
                    &ack.span,
                    "this flow answers with `respond`, so `ack` is never sent",
                )
                .help("remove `ack`, or the `respond` steps");
        }
        let tested = Tested { webhook: webhook.as_ref(), plan: &plan, surroundings };
        let tests = tests.map(|node| TestCase::load_all(node, &tested, diagnostics)).unwrap_or_default();
        let (errors_after, _) = diagnostics.counts();
        (errors_after == errors_before).then(|| Self {
            id,
            title,
            enabled,
            durability,
            webhook,
            order: Order::of(order_by, &queue, &plan),
            queue,
            document: stored::document(
                &span.source.text,
                &plan.files,
                definitions(plan.calls(), surroundings.integrations),
            ),
            plan: Arc::new(plan),
            kept_expects: None,
            tests,
            span,
        })
    }

    /// The event of the flow's own sample, or of an empty request when it has none.
    ///
    /// # Errors
    /// When the webhook does not take the sample: its path does not match, or its body is of another type.
    pub fn sample_event(&self, id: Arc<str>, at: Timestamp, base_url: &str) -> Result<Event, SampleRefused> {
        let webhook = self.webhook.as_ref().ok_or(SampleRefused::NoWebhook)?;
        webhook.sample_event(&self.id, id, at, base_url)
    }

    /// What its webhook expects of an event.
    pub fn expects(&self) -> Option<&Expects> {
        self.webhook.as_ref().and_then(|webhook| webhook.expects.as_ref()).or(self.kept_expects.as_ref())
    }

    /// The answer of a flow without `respond`, when it writes its own.
    pub fn ack(&self) -> Option<&Reply> {
        Some(&self.webhook.as_ref()?.ack.as_ref()?.reply)
    }
}

fn read_id(root: &Node, fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> (Arc<str>, Span) {
    let node = fields.take("flow");
    let stem =
        Path::new(&root.span.source.name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let id = node.and_then(|node| node.as_str(diagnostics)).unwrap_or(stem);
    let span = node.map_or_else(|| root.key_span(), |node| node.span.clone());
    if !is_flow_id(id) {
        let diagnostic = diagnostics.error(Code("flow.id"), &span, format!("`{id}` cannot be a flow ID"));
        let near = id.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let near = Some(near).filter(|near| is_flow_id(near)).map(|near| format!("did you mean `{near}`? "));
        diagnostic.help(near.unwrap_or_default() + "a flow ID is made of a–z, 0–9 and `-`, begins with a letter or digit, and has at most 100 of them");
        if node.is_none() {
            diagnostic.label("taken from the file's name; `flow: …` would set it");
        }
    }
    (id.into(), span)
}

/// Whether a text can be a flow's ID.
pub(crate) fn is_flow_id(id: &str) -> bool {
    id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !id.is_empty()
        && !id.starts_with('-')
        && id.len() <= 100
}

fn warn_of_one_worker(queue: &Node, wait: &Span, diagnostics: &mut Diagnostics) {
    diagnostics
        .warning(
            Code("flow.one-worker-waits"),
            &queue.key_span(),
            "with one worker the events of a flow are run one after the other, and this flow has a `wait`",
        )
        .also(wait, "it waits here")
        .help("while a run waits, all later events do: take more workers, with `order_by` for what must keep its order");
}

fn read_enabled(node: &Node, diagnostics: &mut Diagnostics) -> Option<Enabled> {
    match node.plain() {
        Some("true") => Some(Enabled::Yes),
        Some("false") => Some(Enabled::No),
        Some("paused") => Some(Enabled::Paused),
        _ => node.mistyped("`true`, `false` or `paused`", diagnostics),
    }
}

impl Queue {
    fn load(node: &Node, foreseen: &Foreseen, diagnostics: &mut Diagnostics) -> (Self, Option<EventKey>) {
        let mut queue = Self::default();
        let Some(mut fields) = Fields::of(node, "a queue", diagnostics) else { return (queue, None) };
        if let Some(capacity) =
            fields.take("capacity").and_then(|node| node.as_integer(1, MOST_CAPACITY, diagnostics))
        {
            queue.capacity = capacity;
        }
        if let Some(bytes) = fields.take("bytes").and_then(|node| node.as_size(diagnostics)) {
            queue.bytes = bytes.max(1);
        }
        if let Some(workers) =
            fields.take("workers").and_then(|node| node.as_integer(1, MOST_WORKERS, diagnostics))
        {
            queue.workers = usize::try_from(workers).unwrap_or(1);
        }
        if let Some(node) = fields.take("on_full") {
            match node.plain() {
                Some("429") => queue.on_full = 429,
                Some("503") => queue.on_full = 503,
                _ => drop(node.mistyped::<()>("`429` or `503`", diagnostics)),
            }
        }
        let order_by = fields.take("order_by");
        let order_by =
            order_by.and_then(|node| EventKey::load(node, Code("flow.order-by"), foreseen, diagnostics));
        fields.finish(diagnostics);
        (queue, order_by)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
