//! Which names an expression may read at the place where it stands.

use crate::flow::{Data, Foreseen};
use crate::step_kind::Asking;
use crate::step_kinds;
use hookflow_expr::{Known, Unknown};
use hookflow_text::{Code, Diagnostics, Node, NodeValue, Severity, Span, nearest};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

/// What `webhook` holds.
const WEBHOOK: &[&str] = &hookflow_trigger::Event::NAMES;
/// What `run` holds.
pub(crate) const RUN: &[&str] = &["id", "flow", "version", "attempt", "started_at"];
/// What `WebhookRequest` holds.
pub(crate) const CALL: &[&str] = &["TransactionalId"];
/// What `error` holds.
const ERROR: &[&str] = &["kind", "code", "step", "status", "message", "attempts", "cause"];
/// What `loop` holds.
const LOOP: &[&str] = &["index", "first", "last"];
/// The words that a flow cannot give to something of its own.
const SCOPE_WORDS: &[&str] = &["webhook", "steps", "run", "error", "loop", "vars", "WebhookRequest"];

/// What is known of a step's result while loading.
#[derive(Debug, Clone)]
pub(crate) enum Fields {
    /// Nothing.
    Unknown,
    /// Exactly these fields.
    Known(Vec<String>),
}

/// The names in scope.
#[derive(Debug)]
pub(crate) struct Names {
    /// Every step ID of the flow, in scope or not.
    all: HashMap<String, Span>,
    /// Those that wait for a call.
    waits: Vec<String>,
    /// What `webhook.params` holds; `None` when that is not known.
    params: Option<Vec<String>>,
    visible: Vec<(Arc<str>, Fields)>,
    /// The items of the loops around, with what is known of them.
    items: Vec<(Arc<str>, Data)>,
    foreseen: Foreseen,
    handlers: usize,
    /// Within a call: whether it has read what it is known by.
    call: Cell<Option<bool>>,
    /// The path of the step that is being lowered.
    pub path: String,
}

impl Names {
    pub fn new(all: Ids, params: Option<Vec<String>>, foreseen: Foreseen) -> Self {
        Self {
            all: all.ids,
            waits: all.waits,
            params,
            visible: Vec::new(),
            items: Vec::new(),
            foreseen,
            handlers: 0,
            call: Cell::new(None),
            path: String::new(),
        }
    }

    /// A step has been lowered: what follows may read it.
    pub fn show(&mut self, id: Arc<str>, fields: Fields) {
        self.visible.push((id, fields));
    }

    /// What is in scope now, for [`Names::hide`].
    pub fn mark(&self) -> usize {
        self.visible.len()
    }

    /// Takes out of scope what has come into it since `mark`.
    pub fn hide(&mut self, mark: usize) -> Vec<(Arc<str>, Fields)> {
        self.visible.split_off(mark)
    }

    /// Within an `on_error` or a `catch`, `error` is in scope.
    pub fn enter_handler(&mut self) {
        self.handlers += 1;
    }

    pub fn leave_handler(&mut self) {
        self.handlers -= 1;
    }

    /// Within a call, `WebhookRequest` is in scope.
    pub fn enter_call(&mut self) {
        self.call.set(Some(false));
    }

    /// After a call: whether it has read any of that.
    pub fn leave_call(&mut self) -> bool {
        self.call.take() == Some(true)
    }

    /// Within a loop, its item and `loop` are in scope.
    pub fn enter_turn(&mut self, item: &Arc<str>, data: Data) -> usize {
        self.items.push((Arc::clone(item), data));
        self.visible.len()
    }

    /// What is known of the items of the list that a path leads to.
    pub fn items_of(&self, path: &[String]) -> Data {
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        match path.split_first() {
            Some((&"webhook", rest)) => self.foreseen.items(rest),
            Some((root, rest)) => {
                self.item(root).map(|data| self.foreseen.items_within(data, rest)).unwrap_or_default()
            }
            None => Data::Any,
        }
    }

    /// What is known of a loop's item.
    fn item(&self, name: &str) -> Option<&Data> {
        self.items.iter().rev().find(|(item, _)| **item == *name).map(|(_, data)| data)
    }

    /// After a loop, nothing of its turns is.
    pub fn leave_turn(&mut self, mark: usize) {
        self.items.pop();
        self.visible.truncate(mark);
    }

    fn param(&self, rest: &[&str]) -> Result<(), Unknown> {
        match (rest, &self.params) {
            (["params", name, ..], Some(params)) if !params.iter().any(|param| param == name) => {
                let near = nearest(name, params.iter().map(String::as_str));
                let help = near.map(|near| format!("did you mean `webhook.params.{near}`?"));
                Err(unknown(
                    Code("expr.unknown-name"),
                    format!("the webhook's `path` has no parameter `{name}`"),
                    help.or_else(|| Some(format!("a parameter is a part of the path: `path: /{{{name}}}`"))),
                ))
            }
            _ => Ok(()),
        }
    }

    /// `wait_url('approval')`, from anywhere in the flow.
    fn wait(&self, rest: &[&str]) -> Result<(), Unknown> {
        match rest.first() {
            Some(id) if !self.waits.iter().any(|wait| wait == id) => {
                let near = nearest(id, self.waits.iter().map(String::as_str));
                let help = near.map(|near| format!("did you mean `wait_url('{near}')`?"));
                let help = help.or_else(|| Some("a `wait` step with an `id` has a URL".into()));
                Err(unknown(Code("flow.unknown-step"), format!("there is no `wait` step `{id}`"), help))
            }
            _ => Ok(()),
        }
    }

    fn step(&self, rest: &[&str]) -> Result<(), Unknown> {
        let Some((id, rest)) = rest.split_first() else { return Ok(()) };
        let Some((_, fields)) = self.visible.iter().rev().find(|(name, _)| **name == **id) else {
            return Err(if self.all.contains_key(*id) {
                unknown(
                    Code("flow.step-not-in-scope"),
                    format!("the step `{id}` is not in scope here"),
                    Some("a step reads the steps before it: those of a loop only within their turn (use `collect`), those of another branch only after all of them".into()),
                )
            } else {
                let near = nearest(id, self.all.keys().map(String::as_str));
                let none = "no step of this flow has an `id`";
                let help = near.map(|near| format!("did you mean `steps.{near}`?"));
                let help = help.or_else(|| self.all.is_empty().then(|| none.to_owned()));
                unknown(Code("flow.unknown-step"), format!("there is no step `{id}`"), help)
            });
        };
        match (fields, rest.first()) {
            (Fields::Known(known), Some(field)) if !known.iter().any(|name| name == field) => {
                let near = nearest(field, known.iter().map(String::as_str));
                let help = near.map(|near| format!("did you mean `steps.{id}.{near}`?"));
                Err(unknown(
                    Code("flow.unknown-field"),
                    format!("the result of `{id}` has no field `{field}`"),
                    help.or_else(|| Some(format!("it has: {}", known.join(", ")))),
                ))
            }
            _ => Ok(()),
        }
    }
}

impl Known for Names {
    fn check(&self, path: &[&str]) -> Result<(), Unknown> {
        let Some((root, rest)) = path.split_first() else { return Ok(()) };
        match *root {
            "webhook" => one_of("webhook", WEBHOOK, rest)
                .and_then(|()| self.param(rest))
                .and_then(|()| self.foreseen.check(rest)),
            "run" => one_of("run", RUN, rest),
            "steps" => self.step(rest),
            "wait_url" => self.wait(rest),
            "loop" if !self.items.is_empty() => one_of("loop", LOOP, rest),
            "error" if self.handlers > 0 => one_of("error", ERROR, rest),
            "WebhookRequest" if self.call.get().is_some() => {
                self.call.set(Some(true));
                one_of("WebhookRequest", CALL, rest)
            }
            "WebhookRequest" => Err(unknown(
                Code("expr.unknown-name"),
                "`WebhookRequest` is in scope only within a call".into(),
                Some("it stands in the `url`, `query`, `headers` or body of an `http` step or an outbound webhook".into()),
            )),
            "loop" => {
                Err(unknown(Code("expr.unknown-name"), "`loop` is in scope only within a `for`".into(), None))
            }
            "error" => Err(unknown(
                Code("expr.unknown-name"),
                "`error` is in scope only within an `on_error` or a `catch`".into(),
                None,
            )),
            name => {
                if let Some(data) = self.item(name) {
                    return self.foreseen.check_item(name, data, rest);
                }
                let items = self.items.iter().map(|(item, _)| item.as_ref());
                let roots = ["webhook", "steps", "run"].into_iter().chain(items);
                let help = if self.all.contains_key(name) {
                    Some(format!("the result of a step is read as `steps.{name}`"))
                } else if WEBHOOK.contains(&name) {
                    Some(format!("did you mean `webhook.{name}`?"))
                } else {
                    nearest(name, roots).map(|near| format!("did you mean `{near}`?"))
                };
                Err(unknown(Code("expr.unknown-name"), format!("there is no `{name}` here"), help))
            }
        }
    }
}

/// What is in scope before there is a run: `webhook`, and nothing else.
pub(crate) struct AtTheDoor<'f>(pub &'f Foreseen);

impl Known for AtTheDoor<'_> {
    fn check(&self, path: &[&str]) -> Result<(), Unknown> {
        match path.split_first() {
            None => Ok(()),
            Some((&"webhook", rest)) => one_of("webhook", WEBHOOK, rest).and_then(|()| self.0.check(rest)),
            Some((name, _)) => {
                let near = WEBHOOK.contains(name).then(|| format!("did you mean `webhook.{name}`?"));
                let help = near.or_else(|| Some("only `webhook` is there before a run begins".into()));
                Err(unknown(Code("expr.unknown-name"), format!("there is no `{name}` here"), help))
            }
        }
    }
}

fn one_of(root: &str, known: &[&'static str], rest: &[&str]) -> Result<(), Unknown> {
    match rest.first() {
        Some(field) if !known.contains(field) => {
            let help =
                nearest(field, known.iter().copied()).map(|near| format!("did you mean `{root}.{near}`?"));
            let help = help.or_else(|| Some(format!("it has: {}", known.join(", "))));
            Err(unknown(Code("expr.unknown-name"), format!("`{root}` has no `{field}`"), help))
        }
        _ => Ok(()),
    }
}

fn unknown(code: Code, message: String, help: Option<String>) -> Unknown {
    Unknown { code, severity: Severity::Error, message, help }
}

/// Reads a step's `id`, or a name that a flow gives to something of its own.
pub(crate) fn read_id(node: &Node, diagnostics: &mut Diagnostics) -> Option<Arc<str>> {
    let id = node.as_str(diagnostics)?;
    let mut bytes = id.bytes();
    let valid = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && id.len() <= 100;
    if !valid {
        diagnostics.error(Code("flow.name"), &node.span, format!("`{id}` cannot be a name")).help(
            near_name(id) + "a name is made of letters, digits and `_`, and begins with a letter or `_`",
        );
        return None;
    }
    if SCOPE_WORDS.contains(&id) {
        diagnostics.error(
            Code("flow.name"),
            &node.span,
            format!("`{id}` already means something in expressions"),
        );
        return None;
    }
    Some(id.into())
}

/// A name that can be one and looks like this.
fn near_name(id: &str) -> String {
    let near = id.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let near = if near.starts_with(|c: char| c.is_ascii_digit()) { format!("_{near}") } else { near };
    if near.is_empty() || near.len() > 100 { String::new() } else { format!("did you mean `{near}`? ") }
}

/// The step IDs of a flow.
#[derive(Debug, Default)]
pub(super) struct Ids {
    ids: HashMap<String, Span>,
    waits: Vec<String>,
}

/// Collects every step ID of a list of steps and of the lists within; an ID that stands twice is an error.
pub(super) fn collect_ids(node: &Node, all: &mut Ids, diagnostics: &mut Diagnostics) {
    let NodeValue::Seq(items) = &node.value else { return };
    for item in items {
        let NodeValue::Map(entries) = &item.value else { continue };
        for (key, value) in entries {
            if key.text() == "id" {
                if let Some(first) = all.ids.get(value.text()) {
                    diagnostics
                        .error(
                            Code("flow.duplicate-step"),
                            &value.span,
                            format!("the step ID `{}` stands twice", value.text()),
                        )
                        .also(first, "first here");
                } else {
                    all.ids.insert(value.text().to_owned(), value.span.clone());
                    if is_called(entries) {
                        all.waits.push(value.text().to_owned());
                    }
                }
            }
            let nests = key.text() == "on_error"
                || step_kinds::ALL.iter().any(|kind| kind.blocks.contains(&key.text()));
            match &value.value {
                NodeValue::Seq(_) if nests => collect_ids(value, all, diagnostics),
                // The cases of a `switch` are a map of lists.
                NodeValue::Map(cases) if nests => {
                    for (_, steps) in cases {
                        collect_ids(steps, all, diagnostics);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether a step has a URL of its own.
fn is_called(step: &[(Node, Node)]) -> bool {
    let waits = step_kinds::ALL.iter().filter(|kind| kind.asks == Asking::Waits);
    waits.into_iter().any(|kind| step.iter().any(|(key, _)| key.text() == kind.verb))
}
