//! `call`: a webhook of an integration, by its name.

use super::http::check_sign;
use crate::integration::unknown_integration;
use crate::lowering::{Lowering, StepNode};
use crate::plan::Instruction;
use crate::step_kind::{Asking, Asks, Example, StepKind, Stop};
use crate::{Ask, Effect, Fault, OutboundWebhook, Outcome, Via};
use hookflow_expr::{Env, Found, Lookup, Template};
use hookflow_text::{Code, Json, Key, Node, Schema, nearest};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) static KIND: StepKind = StepKind {
    verb: "call",
    summary: "Calls an outbound webhook that an integration's file defines: `integration.webhook`. In its templates stand the names of `with`, bare and in `vars`, and nothing else of the flow.",
    result: "as that of `http`",
    value: Schema::Like("^[A-Za-z_][A-Za-z0-9_]*[.][A-Za-z_][A-Za-z0-9_]*$"),
    companions: &[Key::may("with", Schema::ANY_MAP, "a map: what the webhook's templates read, by name")],
    blocks: &[],
    asks: Asking::Again,
    example: Example {
        flow: r"
flow: hold
webhook:
  auth: none
  sample: {body: {sku: A 1}}
steps:
  - id: stock
    call: warehouse.reserve_stock
    with: {sku: '${ webhook.body.sku }'}
  - respond:
      status: 201
      json: {reservation: '${ steps.stock.order_no }'}
",
        mocks: &[("stock", 201, r#"{"data":[{"id":"R-7"}]}"#)],
        answer: (201, r#"{"reservation":"R-7"}"#),
    },
    lower,
};

#[derive(Debug)]
struct Call {
    webhook: Arc<OutboundWebhook>,
    with: BTreeMap<Arc<str>, Template>,
}

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let webhook = find(cx, step.value)?;
    let mut with = BTreeMap::new();
    let entries = step.fields.take("with").map(|node| node.as_map(cx.diagnostics));
    let mut sound = true;
    for (key, value) in entries.unwrap_or(Some(&[]))? {
        match cx.own_name(key).and_then(|name| Some((name, cx.template(value)?))) {
            Some((name, value)) => {
                unread(cx, &webhook, key);
                with.insert(name, value);
            }
            None => sound = false,
        }
    }
    if !sound {
        return None;
    }
    if let Some(missing) = webhook.variables.iter().find(|name| !with.contains_key(name.as_str())) {
        let message = format!("`{}` reads `{missing}`, which `with` does not give", webhook.name);
        let help = format!("add `{missing}` to `with`, or let the webhook do without it: `default(…)`");
        cx.diagnostics
            .warning(Code("call.missing-variable"), &step.value.span, message)
            .also(&webhook.span, "read in here")
            .help(help);
    }
    if let Some(name) = &webhook.http.sign {
        check_sign(name, step.value, cx);
    }
    step.retry.clone_from(&webhook.retry);
    step.result = webhook.http.result();
    cx.emit(Instruction::Ask { step: step.number, request: Arc::new(Call { webhook, with }) });
    Some(())
}

/// The webhook that `integration.webhook` names.
fn find(cx: &mut Lowering<'_>, node: &Node) -> Option<Arc<OutboundWebhook>> {
    let written = node.as_str(cx.diagnostics)?;
    let integrations = cx.surroundings.integrations;
    let Some((name, webhook)) = written.split_once('.') else {
        cx.diagnostics
            .error(Code("call.name"), &node.span, format!("`{written}` does not name an outbound webhook"))
            .help("write the integration and its webhook: `warehouse.reserve_stock`");
        return None;
    };
    let Some(integration) = integrations.get(name) else {
        unknown_integration(node, name, integrations, cx.diagnostics);
        return None;
    };
    let Some(found) = integration.webhooks.get(webhook) else {
        let message = format!("the integration `{name}` has no webhook `{webhook}`");
        let diagnostic = cx.diagnostics.error(Code("call.unknown-webhook"), &node.span, message);
        let near = nearest(webhook, integration.webhooks.keys().map(AsRef::as_ref));
        if let Some(near) = near {
            diagnostic.help(format!("did you mean `{name}.{near}`?"));
        }
        return None;
    };
    integration.hash(Some(found), &mut cx.hash);
    Some(Arc::clone(found))
}

/// Says so of a variable that the webhook does not read.
fn unread(cx: &mut Lowering<'_>, webhook: &OutboundWebhook, key: &Node) {
    let (name, known) = (key.text(), &webhook.variables);
    if known.iter().any(|read| read == name) {
        return;
    }
    let message = format!("`{}` does not read `{name}`", webhook.name);
    let diagnostic = cx.diagnostics.warning(Code("call.unread-variable"), &key.span, message);
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help("remove it, or read it in the webhook's `url`, `headers` or body"),
    };
}

impl Asks for Call {
    fn ask(&self, env: &Env, ask: Ask) -> Result<Effect, Stop> {
        let mut values = BTreeMap::new();
        for (name, template) in &self.with {
            values.insert(Arc::clone(name), template.eval(env)?);
        }
        let scope = Arc::new(Variables { values: Arc::new(values), flow: Arc::clone(&env.scope) });
        self.webhook.http.ask(&Env { scope, ..env.clone() }, ask)
    }

    fn settle(&self, outcome: &Outcome, attempt: u32) -> (Json, Option<Fault>) {
        self.webhook.http.settle(outcome, attempt)
    }

    fn signs(&self) -> Option<&Arc<str>> {
        self.webhook.http.sign.as_ref()
    }

    fn calls(&self) -> Option<&Via> {
        self.webhook.http.calls()
    }
}

/// What the templates of a webhook see: the values that they were given, the run, and what the call is known by.
#[derive(Debug)]
struct Variables {
    values: Arc<BTreeMap<Arc<str>, Arc<Json>>>,
    flow: Arc<dyn Lookup>,
}

impl Lookup for Variables {
    fn get(&self, name: &str) -> Option<Found> {
        match name {
            // No template names `webhook` here; files are found again in it.
            "run" | "WebhookRequest" | "webhook" => self.flow.get(name),
            "vars" => Some(Found::Part(Arc::new(Given(Arc::clone(&self.values))))),
            name => self.values.get(name).cloned().map(Found::Value),
        }
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.values.keys().cloned().chain(["run", "vars"].map(Arc::from)).collect()
    }
}

#[derive(Debug)]
struct Given(Arc<BTreeMap<Arc<str>, Arc<Json>>>);

impl Lookup for Given {
    fn get(&self, name: &str) -> Option<Found> {
        self.0.get(name).cloned().map(Found::Value)
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.keys().cloned().collect()
    }
}
