//! From the YAML tree of a flow's steps to a plan: reads, checks and emits in one pass, so there is no second
//! description of a step that could disagree.

mod names;
mod paths;

use names::Names;
pub(crate) use names::{AtTheDoor, Fields as ResultFields, RUN};

use crate::plan::{Branch, Instruction, Pc};
use crate::{Plan, StepInfo, StepKind, StepNumber, step_kinds};
use hookflow_expr::{Escape, Expression, Template, Text};
use hookflow_text::{Code, Diagnostics, Fields, Node, NodeValue, Span, nearest};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How many steps a flow may hold.
const MAX_STEPS: usize = 2_000;
/// How deep steps may nest.
const MAX_NESTING: usize = 32;
/// What every step may have beside its verb.
const MODIFIERS: &[&str] = &["id", "title", "when", "timeout", "on_error", "disabled"];

/// Compiles a flow's `steps` and `on_error`; `params` are those of the webhook's path, when it has a sound one.
pub(crate) fn lower(
    flow: &Arc<str>,
    version: &str,
    steps: Option<&Node>,
    on_error: Option<&Node>,
    params: Option<Vec<String>>,
    diagnostics: &mut Diagnostics,
) -> Plan {
    let mut ids = HashMap::new();
    for node in [steps, on_error].into_iter().flatten() {
        names::collect_ids(node, &mut ids, diagnostics);
    }
    let mut lowering = Lowering {
        diagnostics,
        code: Vec::new(),
        steps: Vec::new(),
        by_id: HashMap::new(),
        names: Names::new(ids, params),
        depth: 0,
        nesting: 0,
    };
    lowering.main(steps);
    let main_end = lowering.code.len();
    let on_error = on_error.map(|node| lowering.flow_on_error(node));
    let Lowering { mut code, mut steps, by_id, .. } = lowering;
    // A plan lives as long as its flow.
    code.shrink_to_fit();
    steps.shrink_to_fit();
    let sync = paths::reaches_answer(&code, 0);
    if sync
        && let Some(step) =
            paths::end_without_answer(&code, main_end).and_then(|step| steps.get(step.0 as usize))
    {
        diagnostics
            .warning(
                Code("flow.path-without-respond"),
                &step.span,
                "a run can end here without reaching a `respond`",
            )
            .help("such a caller gets 200 with the run's ID; add a `respond` to every path to say more");
    }
    Plan { flow: Arc::clone(flow), version: version.into(), code, on_error, steps, by_id, sync }
}

/// What is known while steps are being lowered.
pub(crate) struct Lowering<'d> {
    pub diagnostics: &'d mut Diagnostics,
    code: Vec<Instruction>,
    steps: Vec<StepInfo>,
    by_id: HashMap<Arc<str>, StepNumber>,
    names: Names,
    depth: usize,
    nesting: usize,
}

/// One step as it is being lowered.
pub(crate) struct StepNode<'n> {
    /// Its number in the plan.
    pub number: StepNumber,
    /// The value beside the verb.
    pub value: &'n Node,
    /// Everything else in the step's map; the step kind takes its companions from it.
    pub fields: Fields<'n>,
    /// What its result holds, when that is known while loading.
    pub result: ResultFields,
}

impl Lowering<'_> {
    fn main(&mut self, steps: Option<&Node>) {
        if let Some(node) = steps {
            self.block(node, "");
        }
        self.emit(Instruction::End { step: None, value: None });
    }

    fn flow_on_error(&mut self, node: &Node) -> Pc {
        let start = self.here();
        // What ran before the failure is readable; what did not is null.
        self.names.enter_handler();
        self.block(node, "on_error");
        self.names.leave_handler();
        self.emit(Instruction::End { step: None, value: None });
        start
    }

    /// Lowers a list of steps. Their IDs stay in scope after it, except out of a loop.
    pub fn block(&mut self, node: &Node, path: &str) {
        let Some(items) = node.as_list(self.diagnostics) else { return };
        if self.nesting >= MAX_NESTING {
            let message = format!("steps nest deeper than {MAX_NESTING} levels");
            self.diagnostics.error(Code("flow.too-deep"), &node.span, message);
            return;
        }
        self.nesting += 1;
        for (index, item) in items.iter().enumerate() {
            let path = if path.is_empty() { index.to_string() } else { format!("{path}.{index}") };
            self.step(item, &path);
        }
        self.nesting -= 1;
    }

    fn step(&mut self, node: &Node, path: &str) -> Option<()> {
        let mut fields = Fields::of(node, "a step", self.diagnostics)?;
        fields.know(MODIFIERS);
        let (kind, verb, value) = self.verb(node, &mut fields)?;
        if self.steps.len() >= MAX_STEPS {
            self.diagnostics.error(
                Code("flow.too-many-steps"),
                &verb,
                format!("a flow holds up to {MAX_STEPS} steps"),
            );
            return None;
        }
        let number = StepNumber(u32::try_from(self.steps.len()).unwrap_or(u32::MAX));
        let id = fields.take("id").and_then(|node| names::read_id(node, self.diagnostics));
        let title = fields.take("title").and_then(|node| node.as_str(self.diagnostics)).map(str::to_owned);
        self.steps.push(StepInfo {
            name: id.clone().unwrap_or_else(|| path.into()),
            id: id.clone(),
            title,
            verb: kind.verb,
            depth: self.depth,
            span: verb,
        });
        if let Some(id) = &id {
            self.by_id.insert(Arc::clone(id), number);
        }
        let step = StepNode { number, value, fields, result: ResultFields::Unknown };
        self.modified(kind, step, path, id);
        Some(())
    }

    /// The step's verb: the one key of its map that is a verb.
    fn verb<'n>(
        &mut self,
        node: &'n Node,
        fields: &mut Fields<'n>,
    ) -> Option<(&'static StepKind, Span, &'n Node)> {
        let mut found: Option<(_, Span, _)> = None;
        for kind in step_kinds::ALL {
            let Some((key, value)) = fields.take_entry(kind.verb) else { continue };
            if let Some((_, other, _)) = &found {
                // In the order of the file, which is not that of the table.
                let (first, second) = if key.span.range.start < other.range.start {
                    (&key.span, other)
                } else {
                    (other, &key.span)
                };
                self.diagnostics
                    .error(Code("flow.two-verbs"), second, "a step has one verb")
                    .label("a second verb")
                    .also(first, "the first")
                    .help("make two steps of it");
                return None;
            }
            found = Some((*kind, key.span.clone(), value));
        }
        if found.is_none() {
            self.no_verb(node);
        }
        found
    }

    fn no_verb(&mut self, node: &Node) {
        let verbs = step_kinds::ALL.iter().map(|kind| kind.verb);
        let NodeValue::Map(entries) = &node.value else { return };
        let unknown = entries.iter().find(|(key, _)| !MODIFIERS.contains(&key.text()));
        let span = unknown.map_or_else(|| node.key_span(), |(key, _)| key.span.clone());
        let word = span.text().to_owned();
        let diagnostic =
            self.diagnostics.error(Code("flow.no-verb"), &span, "this step has no verb that is known");
        match unknown.and_then(|_| nearest(&word, verbs.clone())) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!("a step has one of {}", verbs.collect::<Vec<_>>().join(", "))),
        };
    }

    /// Puts the common modifiers around the verb's instructions.
    fn modified(
        &mut self,
        kind: &'static StepKind,
        mut step: StepNode<'_>,
        path: &str,
        id: Option<Arc<str>>,
    ) {
        let when = step.fields.take("when").map(|node| self.expression(node));
        let disabled =
            step.fields.take("disabled").and_then(|node| node.as_bool(self.diagnostics)).unwrap_or(false);
        let timeout = step.fields.take_entry("timeout").and_then(|(key, node)| self.timeout(kind, key, node));
        let on_error = step.fields.take("on_error");

        let skip_disabled =
            disabled.then(|| self.emit(Instruction::Branch { step: step.number, branch: Branch::Always(0) }));
        let skip_when = when.flatten().map(|test| {
            let branch = Branch::Unless(test, 0);
            self.emit(Instruction::Branch { step: step.number, branch })
        });
        let scope = (on_error.is_some() || timeout.is_some())
            .then(|| self.emit(Instruction::Enter { handler: None, timeout }));
        let number = step.number;
        // The path of nested steps begins with the step's own.
        let before = std::mem::replace(&mut self.names.path, path.to_owned());
        let lowered = (kind.lower)(self, &mut step);
        self.names.path = before;
        let StepNode { fields, result, .. } = step;
        // A verb that gave up has not asked for all of its keys, so nothing can be said about the others.
        if lowered.is_some() {
            fields.finish(self.diagnostics);
        }
        // Its own `on_error` reads what there is of its result.
        if let Some(id) = id {
            self.names.show(id, result);
        }
        if let Some(scope) = scope {
            self.emit(Instruction::Leave);
            if let Some(node) = on_error {
                self.handler(number, scope, node, path);
            }
        }
        let here = self.here();
        for skip in [skip_disabled, skip_when].into_iter().flatten() {
            self.aim(skip, here);
        }
    }

    /// `on_error: continue` or a list of steps, for the scope that was entered at `scope`.
    fn handler(&mut self, step: StepNumber, scope: Pc, node: &Node, path: &str) {
        let over = self.emit(Instruction::Branch { step, branch: Branch::Always(0) });
        let start = self.here();
        if node.text() != "continue" {
            self.names.enter_handler();
            self.block(node, &format!("{path}.on_error"));
            self.names.leave_handler();
        }
        self.emit(Instruction::Leave);
        if let Some(Instruction::Enter { handler, .. }) = self.code.get_mut(scope) {
            *handler = Some(start);
        }
        let here = self.here();
        self.aim(over, here);
    }

    fn timeout(&mut self, kind: &StepKind, key: &Node, node: &Node) -> Option<Duration> {
        if !kind.asks && kind.blocks.is_empty() {
            let message = format!("`timeout` means nothing on `{}`: it asks nobody for anything", kind.verb);
            self.diagnostics.error(Code("flow.modifier"), &key.span, message);
            return None;
        }
        node.as_duration(self.diagnostics)
    }

    /// Appends an instruction and says where it stands.
    pub fn emit(&mut self, instruction: Instruction) -> Pc {
        self.code.push(instruction);
        self.code.len() - 1
    }

    /// Where the next instruction will stand.
    pub fn here(&self) -> Pc {
        self.code.len()
    }

    /// Sets where the branch or fork at `at` leads.
    pub fn aim(&mut self, at: Pc, target: Pc) {
        match self.code.get_mut(at) {
            Some(Instruction::Branch { branch: Branch::Always(to) | Branch::Unless(_, to), .. }) => {
                *to = target;
            }
            Some(Instruction::Fork { after, .. }) => *after = target,
            _ => {}
        }
    }

    /// Aims a `switch`.
    pub fn aim_switch(&mut self, at: Pc, targets: HashMap<String, Pc>, otherwise: Pc) {
        if let Some(Instruction::Branch { branch: Branch::Switch { cases, default, .. }, .. }) =
            self.code.get_mut(at)
        {
            *cases = targets;
            *default = otherwise;
        }
    }

    /// The path of the step that is being lowered, for the paths of the steps within it.
    pub fn path(&self, block: &str) -> String {
        format!("{}.{block}", self.names.path)
    }

    /// Lowers a loop's body with its item in scope, and returns what it reads of `collect` there.
    pub fn turn<T>(&mut self, item: &Arc<str>, body: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let mark = self.names.enter_turn(item);
        let out = body(self);
        self.names.leave_turn(mark);
        self.depth -= 1;
        out
    }

    /// An expression field.
    pub fn expression(&mut self, node: &Node) -> Option<Expression> {
        Expression::compile(node, &self.names, self.diagnostics)
    }

    /// Any value.
    pub fn template(&mut self, node: &Node) -> Option<Template> {
        Template::compile(node, &self.names, self.diagnostics)
    }

    /// Text.
    pub fn text(&mut self, node: &Node, escape: Escape) -> Option<Text> {
        Text::compile(node, escape, &self.names, self.diagnostics)
    }

    /// Checks a name that a flow gives to something of its own.
    pub fn own_name(&mut self, node: &Node) -> Option<Arc<str>> {
        names::read_id(node, self.diagnostics)
    }
}

#[cfg(test)]
mod tests;
