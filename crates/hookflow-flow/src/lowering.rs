//! From the YAML tree of a flow's steps to a plan: reads, checks and emits in one pass, so there is no second
//! description of a step that could disagree.

mod arms;
mod modifiers;
mod names;
mod paths;

pub(crate) use modifiers::MODIFIERS;
use names::Names;
pub(crate) use names::{AtTheDoor, CALL, Fields as ResultFields, RUN, read_id};

use crate::arm::Arm;
use crate::flow::{Data, Foreseen, hex};
use crate::plan::{Branch, Instruction, Over, Pc, StepIds};
use crate::reading::Reading;
use crate::retry::Retry;
use crate::{Plan, StepInfo, StepKind, StepNumber, Surroundings, step_kinds};
use hookflow_expr::{Escape, Expression, Template, Text};
use hookflow_text::{Code, Diagnostics, Fields, Node, NodeValue, Span, nearest};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How many steps a flow may hold.
const MAX_STEPS: usize = 2_000;
/// How deep steps may nest.
const MAX_NESTING: usize = 32;
/// A flow's steps, to be compiled.
pub(crate) struct Document<'n> {
    pub flow: Arc<str>,
    /// Of all that the plan is compiled from so far.
    pub hash: Sha256,
    pub steps: Option<&'n Node>,
    pub on_error: Option<&'n Node>,
    /// What the webhook's path holds, when it has a sound one.
    pub params: Option<Vec<String>>,
    /// What is known of its events; `None` for a version that was kept, which was judged when it was new.
    pub foreseen: Option<Foreseen>,
}

/// Compiles a flow's `steps` and `on_error`.
pub(crate) fn lower(
    document: Document<'_>,
    surroundings: &Surroundings<'_>,
    diagnostics: &mut Diagnostics,
) -> Plan {
    let Document { flow, hash, steps, on_error, params, foreseen } = document;
    let is_new = foreseen.is_some();
    let (errors_before, _) = diagnostics.counts();
    let mut ids = names::Ids::default();
    for node in [steps, on_error].into_iter().flatten() {
        names::collect_ids(node, &mut ids, diagnostics);
    }
    let mut lowering = Lowering {
        diagnostics,
        surroundings,
        hash,
        files: BTreeMap::new(),
        code: Vec::new(),
        steps: Vec::new(),
        by_id: StepIds::default(),
        arms: Vec::new(),
        names: Names::new(ids, params, foreseen.unwrap_or_default()),
        starts: Vec::new(),
        depth: 0,
        nesting: 0,
        finalizing: 0,
        disabled: 0,
    };
    lowering.main(steps);
    let main_end = lowering.code.len();
    let on_error = on_error.map(|node| lowering.flow_on_error(node));
    let Lowering { mut code, mut steps, by_id, mut arms, hash, files, starts, .. } = lowering;
    // A plan lives as long as its flow.
    code.shrink_to_fit();
    steps.shrink_to_fit();
    arms.shrink_to_fit();
    arms.sort_by_key(|arm| arm.span.range.start);
    let sync = paths::reaches_answer(&code, 0);
    // What could not be read is not among the code, so nothing can be said about the ways through it.
    let is_whole = diagnostics.counts().0 == errors_before;
    if is_new && is_whole {
        tell_unreachable(&code, &steps, &starts, on_error, diagnostics);
    }
    if sync && is_whole {
        tell_unanswered(&paths::ends_without_answer(&code, main_end), &steps, diagnostics);
    }
    let version = hex(&hash.finalize()).into();
    Plan { flow, version, code, on_error, steps, by_id, arms, sync, files }
}

/// Who waits for an answer may wait in vain.
fn tell_unanswered(ends: &[StepNumber], steps: &[StepInfo], diagnostics: &mut Diagnostics) {
    for step in ends.iter().filter_map(|step| steps.get(step.0 as usize)) {
        diagnostics
            .warning(
                Code("flow.path-without-respond"),
                &step.span,
                "a run can end here without reaching a `respond`",
            )
            .help("such a caller gets 200 with the run's ID; add a `respond` to every path to say more");
    }
}

/// Steps that no run can reach are not what their author thinks.
fn tell_unreachable(
    code: &[Instruction],
    steps: &[StepInfo],
    starts: &[Start],
    on_error: Option<Pc>,
    diagnostics: &mut Diagnostics,
) {
    let reached = paths::reached(code, on_error);
    let is_reached = |start: &Start| reached.get(start.at).copied().unwrap_or(true);
    for (step, start) in steps.iter().zip(starts) {
        // What stands within a step that is not reached, or behind one, is told with it.
        let before = start.before.and_then(|before| starts.get(before).zip(steps.get(before)));
        if let Some((_, before)) = before.filter(|(before, _)| is_reached(before) && !is_reached(start)) {
            diagnostics
                .error(Code("flow.unreachable-step"), &step.span, "no run reaches this step")
                .also(&before.span, "every way through this step ends before it")
                .help("remove it, or put it before the step that ends the run");
        }
    }
}

/// Where the instructions of a step begin.
struct Start {
    at: Pc,
    /// The step before it in its list.
    before: Option<usize>,
}

/// What is known while steps are being lowered.
pub(crate) struct Lowering<'d> {
    pub diagnostics: &'d mut Diagnostics,
    pub surroundings: &'d Surroundings<'d>,
    /// What it is compiled from, the files that steps name too.
    pub hash: Sha256,
    /// What stands in those files.
    pub files: BTreeMap<String, String>,
    code: Vec<Instruction>,
    steps: Vec<StepInfo>,
    /// One for each of the steps.
    starts: Vec<Start>,
    by_id: StepIds,
    arms: Vec<Arm>,
    names: Names,
    depth: usize,
    nesting: usize,
    /// How many `finally` are around.
    finalizing: usize,
    /// How many disabled steps are around, the current one among them.
    disabled: usize,
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
    /// When it is tried again, unless the flow says.
    pub retry: Option<Retry>,
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
        let mut before = None;
        for (index, item) in items.iter().enumerate() {
            let path = if path.is_empty() { index.to_string() } else { format!("{path}.{index}") };
            before = self.step(item, &path, before);
        }
        self.nesting -= 1;
    }

    /// Returns where it stands among the steps, for the one behind it.
    fn step(&mut self, node: &Node, path: &str, before: Option<usize>) -> Option<usize> {
        let mut fields = Fields::of(node, "a step", self.diagnostics)?;
        fields.know(&MODIFIERS.map(|modifier| modifier.key));
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
        fields.describe(format!("a step with `{}`", kind.verb));
        let id = fields.take("id").and_then(|node| names::read_id(node, self.diagnostics));
        let title = fields.take("title").and_then(|node| node.as_str(self.diagnostics)).map(str::to_owned);
        let index = self.steps.len();
        self.starts.push(Start { at: self.here(), before });
        self.steps.push(StepInfo {
            name: id.clone().unwrap_or_else(|| path.into()),
            id: id.clone(),
            title,
            verb: kind.verb,
            depth: self.depth,
            span: verb,
            begins: None,
        });
        if let Some(id) = &id {
            self.by_id.insert(Arc::clone(id), number);
        }
        let step = StepNode { number, value, fields, result: ResultFields::Unknown, retry: None };
        self.modified(kind, step, path, id);
        Some(index)
    }

    /// The step's verb: the one key of its map that is a verb.
    fn verb<'n>(
        &mut self,
        node: &'n Node,
        fields: &mut Fields<'n>,
    ) -> Option<(&'static StepKind, Span, &'n Node)> {
        let mut found: Option<(_, Span, _)> = None;
        let written: Vec<_> = step_kinds::ALL.iter().filter(|kind| fields.has(kind.verb)).collect();
        // `parallel` beside `for` is how many turns run side by side.
        let belongs = |kind: &StepKind| {
            written.iter().any(|other| {
                other.verb != kind.verb && other.companions.iter().any(|companion| companion.key == kind.verb)
            })
        };
        for kind in step_kinds::ALL {
            if belongs(kind) {
                continue;
            }
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
        let unknown = entries.iter().find(|(key, _)| !MODIFIERS.iter().any(|it| it.key == key.text()));
        let span = unknown.map_or_else(|| node.key_span(), |(key, _)| key.span.clone());
        let word = span.text().to_owned();
        let diagnostic =
            self.diagnostics.error(Code("flow.no-verb"), &span, "this step has no verb that is known");
        match unknown.and_then(|_| nearest(&word, verbs.clone())) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!("a step has one of {}", verbs.collect::<Vec<_>>().join(", "))),
        };
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

    /// What is known of the items of a list.
    pub fn items_of(&self, list: Option<&Expression>) -> Data {
        list.and_then(Expression::path).map_or(Data::Any, |path| self.names.items_of(&path))
    }

    /// Lowers a loop's body with its item in scope, and returns what it reads of `collect` there.
    /// `data`: what is known of the item.
    pub fn turn<T>(&mut self, item: &Arc<str>, data: Data, body: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let mark = self.names.enter_turn(item, data);
        let out = body(self);
        self.names.leave_turn(mark);
        self.depth -= 1;
        out
    }

    /// Reads a call, and says whether it holds its transactional ID, which is in scope there.
    pub fn call<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> (T, bool) {
        self.names.enter_call();
        let out = read(self);
        (out, self.names.leave_call())
    }

    /// Lowers branches side by side: none sees another's steps, and what follows sees all of them.
    pub fn branches(&mut self, branches: &[(Node, Node)], mut each: impl FnMut(&mut Self, &Node, &Node)) {
        let mut seen = Vec::new();
        for (name, steps) in branches {
            let mark = self.names.mark();
            each(self, name, steps);
            seen.append(&mut self.names.hide(mark));
        }
        for (id, fields) in seen {
            self.names.show(id, fields);
        }
    }

    /// Sets where the lines of the fork at `at` begin.
    pub fn aim_branches(&mut self, at: Pc, starts: Vec<Pc>) {
        if let Some(Instruction::Fork { over, .. }) = self.code.get_mut(at) {
            *over = Over::Branches(starts);
        }
    }

    /// What is in scope here, for what reads itself.
    pub fn reading(&mut self) -> Reading<'_> {
        Reading { known: &self.names, diagnostics: self.diagnostics }
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
}

#[cfg(test)]
mod tests;
