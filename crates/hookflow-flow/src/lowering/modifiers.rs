//! The modifiers that any step may have, put around the verb's own instructions.

use super::{Lowering, StepNode, names};
use crate::arm::Way;
use crate::plan::{Branch, Instruction, Pc, Scope};
use crate::retry::{RETRY, Retry};
use crate::step_kind::Asking;
use crate::written::{NAME, STEPS};
use crate::{StepKind, StepNumber};
use hookflow_text::{Code, Key, Node, NodeValue, Schema, Span};
use std::sync::Arc;
use std::time::Duration;

/// What every step may have beside its verb; `timeout` and `retry` only where they mean something.
pub(crate) const MODIFIERS: [Key; 7] = [
    Key::may("id", NAME, "its name: its result is `steps.<id>`"),
    Key::may("title", Schema::Text, "what people call it"),
    Key::may(
        "when",
        Schema::Expression,
        "an expression: when it is false the step is skipped, and its result is null",
    ),
    Key::may("timeout", Schema::DURATION, "how long it may take, each try of it by itself"),
    Key::may("retry", Schema::Map(&RETRY), "how often it is tried, and after which outcomes"),
    Key::may(
        "on_error",
        Schema::AnyOf(&[Schema::Word(&["continue"]), STEPS]),
        "what happens when it fails: `continue`, or steps with `error` in scope, behind which the flow goes on",
    ),
    Key::may("disabled", Schema::Bool, "whether it is left out (false)"),
];

impl Lowering<'_> {
    /// Puts the common modifiers around the verb's instructions.
    pub(super) fn modified(
        &mut self,
        kind: &'static StepKind,
        mut step: StepNode<'_>,
        path: &str,
        id: Option<Arc<str>>,
    ) {
        let when_node = step.fields.take("when");
        let when = when_node.and_then(|node| self.expression(node));
        let disabled =
            step.fields.take("disabled").and_then(|node| node.as_bool(self.diagnostics)).unwrap_or(false);
        let timeout = step.fields.take_entry("timeout").and_then(|(key, node)| self.timeout(kind, key, node));
        let retry = step.fields.take_entry("retry").and_then(|(key, node)| self.retry(kind, key, node));
        let on_error = step.fields.take("on_error");

        let skip_disabled =
            disabled.then(|| self.emit(Instruction::Branch { step: step.number, branch: Branch::Always(0) }));
        let skip_when = when.map(|test| {
            let branch = Branch::Unless(test, 0);
            self.emit(Instruction::Branch { step: step.number, branch })
        });
        self.disabled += usize::from(disabled);
        if let (Some(at), Some(test)) = (skip_when, when_node) {
            let spans = (&test.span, Some(&test.span));
            self.arm(step.number, (at, Way::Yes), "when true", spans);
            self.arm(step.number, (at, Way::No), "when false", spans);
        }
        self.begins(step.number);
        // Whether it is tried again by itself is not known before it has been read.
        let scope = (on_error.is_some() || timeout.is_some() || kind.asks == Asking::Again)
            .then(|| self.emit(Instruction::Enter(Scope { timeout, ..Scope::default() })));
        let number = step.number;
        // The path of nested steps begins with the step's own.
        let before = std::mem::replace(&mut self.names.path, path.to_owned());
        let lowered = (kind.lower)(self, &mut step);
        self.names.path = before;
        let StepNode { fields, result, retry: its_own, .. } = step;
        // A verb that gave up has not asked for all of its keys, so nothing can be said about the others.
        if lowered.is_some() {
            fields.finish(self.diagnostics);
        }
        // Its own `on_error` reads what there is of its result.
        if let Some(id) = id {
            self.names.show(id, result);
        }
        if let Some(scope) = scope {
            let retry = match (retry, its_own) {
                (Some(retry), Some(_)) => Some(retry.of_what_is_known_again()),
                (retry, its_own) => retry.or(its_own),
            };
            self.aim_scope(scope, |scope| scope.retry = retry.map(Arc::new));
            self.emit(Instruction::Leave);
            if let Some(node) = on_error {
                self.on_error(number, scope, node, path);
            }
        }
        self.disabled -= usize::from(disabled);
        let here = self.here();
        for skip in [skip_disabled, skip_when].into_iter().flatten() {
            self.aim(skip, here);
        }
    }

    /// `on_error: continue` or a list of steps, for the scope that was entered at `scope`.
    fn on_error(&mut self, step: StepNumber, scope: Pc, node: &Node, path: &str) {
        let is_word = matches!(node.value, NodeValue::Scalar(_));
        if is_word && node.text() != "continue" {
            node.mistyped::<()>("`continue` or a list of steps", self.diagnostics);
        }
        let steps = (!is_word).then_some(node);
        self.handler(step, scope, steps, ("on_error", &node.span), &format!("{path}.on_error"));
    }

    /// The steps that a fault goes to, from the scope that was entered at `scope` and has just been left.
    pub fn handler(
        &mut self,
        step: StepNumber,
        scope: Pc,
        steps: Option<&Node>,
        (name, span): (&str, &Span),
        path: &str,
    ) {
        let over = self.emit(Instruction::Branch { step, branch: Branch::Always(0) });
        let start = self.here();
        self.arm(step, (start, Way::Caught), name, (span, None));
        if let Some(steps) = steps {
            self.names.enter_handler();
            self.block(steps, path);
            self.names.leave_handler();
        }
        self.emit(Instruction::Leave);
        self.aim_scope(scope, |scope| scope.handler = Some(start));
        let here = self.here();
        self.aim(over, here);
    }

    /// The steps that run whichever way the scope that was entered at `scope`, and has just been left, is left.
    pub fn finally(&mut self, scope: Pc, steps: &Node, path: &str) {
        let start = self.here();
        self.finalizing += 1;
        self.block(steps, path);
        self.finalizing -= 1;
        self.emit(Instruction::Leave);
        self.aim_scope(scope, |scope| scope.finally = Some(start));
    }

    /// A verb that ends the run has no place in a `finally`, which runs because something has already ended.
    pub fn may_end(&mut self, verb: &str) -> Option<()> {
        if self.finalizing == 0 {
            return Some(());
        }
        let step = self.steps.last()?.span.clone();
        self.diagnostics
            .error(Code("flow.end-in-finally"), &step, format!("`{verb}` cannot stand in a `finally`"))
            .help("a `finally` runs on every way out and does not choose another; end the run after it");
        None
    }

    fn aim_scope(&mut self, at: Pc, change: impl FnOnce(&mut Scope)) {
        if let Some(Instruction::Enter(scope)) = self.code.get_mut(at) {
            change(scope);
        }
    }

    fn timeout(&mut self, kind: &StepKind, key: &Node, node: &Node) -> Option<Duration> {
        let why = match kind.asks {
            Asking::Nothing if kind.blocks.is_empty() => "it asks nobody for anything",
            Asking::Waits => "it has its own",
            _ => {
                let timeout = node.as_duration(self.diagnostics)?;
                // Nothing is ever done in no time.
                if timeout.is_zero() {
                    return node.mistyped("a duration above zero", self.diagnostics);
                }
                return Some(timeout);
            }
        };
        self.means_nothing("timeout", kind, key, why)
    }

    fn retry(&mut self, kind: &StepKind, key: &Node, node: &Node) -> Option<Retry> {
        if kind.asks == Asking::Again {
            return Retry::load(node, self.diagnostics);
        }
        self.means_nothing("retry", kind, key, "there is no try of it that could be made again")
    }

    fn means_nothing<T>(&mut self, modifier: &str, kind: &StepKind, key: &Node, why: &str) -> Option<T> {
        let message = format!("`{modifier}` means nothing on `{}`: {why}", kind.verb);
        self.diagnostics.error(Code("flow.modifier"), &key.span, message);
        None
    }

    /// Checks a name that a flow gives to something of its own.
    pub fn own_name(&mut self, node: &Node) -> Option<Arc<str>> {
        names::read_id(node, self.diagnostics)
    }
}
