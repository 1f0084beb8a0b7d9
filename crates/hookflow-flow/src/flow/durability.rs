//! A flow's `durability:`: whether its events are written before anything else.

use super::Webhook;
use crate::Plan;
use hookflow_text::{Code, Diagnostics, Node, Span};

/// What a crash may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Nothing that was acknowledged.
    #[default]
    Full,
    /// Events whose runs have neither failed nor asked the world for anything: they are in memory only.
    Relaxed,
}

impl Durability {
    pub(super) fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match node.plain() {
            Some("full") => Some(Self::Full),
            Some("relaxed") => Some(Self::Relaxed),
            _ => node.mistyped("`full` or `relaxed`", diagnostics),
        }
    }

    /// What is promised for days is not kept in memory only.
    pub(super) fn check(
        self,
        span: &Span,
        webhook: Option<&Webhook>,
        plan: &Plan,
        diagnostics: &mut Diagnostics,
    ) {
        if self == Self::Full {
            return;
        }
        if webhook.is_some_and(|webhook| webhook.dedupe.is_some()) {
            let message = "with `durability: relaxed` no key of a `dedupe` is kept";
            diagnostics
                .error(Code("flow.relaxed"), span, message)
                .help("write `durability: full`, or remove `dedupe`");
        }
        if let Some(wait) = plan.wait_steps().next() {
            let message = "with `durability: relaxed` a flow cannot `wait`";
            diagnostics
                .error(Code("flow.relaxed"), span, message)
                .also(wait, "it waits here")
                .help("write `durability: full`, or remove the `wait`");
        }
    }
}
