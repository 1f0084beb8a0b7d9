//! Who may come in: flows that are open to anyone, and credentials that nobody asks for.

use super::{LoadedFlow, value_of};
use crate::config::Config;
use hookflow_flow::{Enabled, Flow};
use hookflow_text::{Code, Diagnostics, Node, NodeValue};
use hookflow_trigger::Auth;
use std::collections::HashSet;

/// Warns of a flow that anyone may call. One that is open to some addresses only, or behind client certificates, is not.
pub(super) fn warn_if_open(flow: &Flow, root: &Node, config: &Config, diagnostics: &mut Diagnostics) {
    let Some(webhook) = &flow.webhook else { return };
    let is_guarded = config.public.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let is_open = webhook.auth.is_open() && webhook.allow_from.is_anyone();
    if !is_open || is_guarded || flow.enabled == Enabled::No {
        return;
    }
    let auth = value_of(root, "webhook").and_then(|webhook| value_of(webhook, "auth"));
    diagnostics
        .warning(Code("flow.open"), auth.map_or(&flow.span, |node| &node.span), "anyone may call this flow")
        .help("name a credential in `auth`, or say who may call with `allow_from`");
}

/// Warns of credentials that no flow asks for or signs with.
pub(super) fn warn_of_unused(credentials: &Node, flows: &[LoadedFlow], diagnostics: &mut Diagnostics) {
    // A flow with a mistake is not among them, and may name any.
    if diagnostics.has_errors() {
        return;
    }
    let flows = flows.iter().map(|loaded| &loaded.flow);
    let signs: Vec<_> = flows.clone().flat_map(|flow| flow.plan.signs()).collect();
    let auths = flows.flat_map(|flow| flow.webhook.iter().map(|it| &it.auth).chain(flow.plan.auths()));
    let mut used: HashSet<_> = auths.flat_map(Auth::names).collect();
    used.extend(signs.iter().map(|name| &***name));
    let NodeValue::Map(entries) = &credentials.value else { return };
    for (name, _) in entries.iter().filter(|(name, _)| !used.contains(name.text())) {
        diagnostics
            .warning(
                Code("auth.unused-credential"),
                &name.span,
                format!("no flow asks for the credential `{}`", name.text()),
            )
            .help("remove it, or name it in a webhook's `auth`");
    }
}
