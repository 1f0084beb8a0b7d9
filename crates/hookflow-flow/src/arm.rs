//! The ways that a run may take where its flow lets it choose: what a test has to have seen to have seen all of it.

use crate::plan::Pc;
use crate::{Place, Plan, StepNumber};
use hookflow_expr::{Env, Expression};
use hookflow_text::{Json, Span};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many choices of a run are kept in their order.
const MAX_CHOICES: usize = 10_000;
/// How many values are kept that choices were made by.
const MAX_READS: usize = 10_000;
/// Of how many steps it is kept when they began; a loop has as many as it has turns.
const MAX_TIMES: usize = 10_000;
/// How much of a value is kept that a choice was made by: so many texts, numbers and names, and so many bytes.
const SHOWN: usize = 500;

/// One way of a choice.
#[derive(Debug)]
pub struct Arm {
    /// The step that chooses.
    pub step: StepNumber,
    /// What it is, in the words of the file: `then`, `else`, `when`, a case.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// What is decided by; nothing decides where a fault goes.
    pub test: Option<Span>,
    pub(crate) at: Pc,
    pub(crate) way: Way,
}

/// Which way it went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Yes,
    No,
    Case(String),
    Otherwise,
    /// A fault has come here.
    Caught,
}

/// A choice that a run has made.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Its arm, by its position in [`crate::Plan::arms`].
    pub arm: usize,
    /// In which turns of the loops around the step.
    pub turns: Vec<u32>,
    /// The value that it was made by; of a `for` how many items there are, of a `catch` the fault.
    pub value: Json,
    /// What was read for it: each path, as it is written, and its value. What is large is described.
    pub reads: Vec<(String, Json)>,
}

/// When a step was at work, by the run's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Its first instruction.
    pub began: Timestamp,
    /// It has its result.
    pub ended: Option<Timestamp>,
}

/// What a run has done that leaves no result.
#[derive(Debug, Default)]
pub struct Seen {
    /// The steps that began.
    pub steps: BTreeSet<StepNumber>,
    /// The arms that were taken, by their position in [`crate::Plan::arms`].
    pub arms: BTreeSet<usize>,
    /// The first choices, in their order.
    pub choices: Vec<Choice>,
    /// When the first steps began and ended.
    pub times: BTreeMap<Place, Times>,
}

/// Looks on while a run is executed.
#[derive(Debug)]
pub(crate) struct Watch {
    executed: BTreeSet<Pc>,
    went: BTreeSet<(Pc, Way)>,
    choices: Vec<(Pc, Way, Made)>,
    reads: usize,
    times: BTreeMap<Place, Times>,
    /// The steps that begin at an instruction.
    begin: HashMap<Pc, Vec<StepNumber>>,
}

/// What a choice was made by.
#[derive(Debug)]
pub(crate) struct Made {
    pub turns: Vec<u32>,
    pub value: Json,
    pub reads: Vec<(String, Json)>,
}

impl Watch {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut begin = HashMap::<_, Vec<_>>::new();
        for (step, number) in plan.steps.iter().zip(0..) {
            if let Some(pc) = step.begins {
                begin.entry(pc).or_default().push(StepNumber(number));
            }
        }
        let (executed, went) = (BTreeSet::new(), BTreeSet::new());
        Self { executed, went, choices: Vec::new(), reads: 0, times: BTreeMap::new(), begin }
    }

    /// An instruction is executed. Returns the steps that begin with it.
    pub(crate) fn execute(&mut self, pc: Pc) -> Vec<StepNumber> {
        self.executed.insert(pc);
        self.begin.get(&pc).cloned().unwrap_or_default()
    }

    pub(crate) fn begins(&mut self, place: Place, at: Timestamp) {
        if self.times.len() < MAX_TIMES {
            self.times.entry(place).or_insert(Times { began: at, ended: None });
        }
    }

    pub(crate) fn ends(&mut self, place: &Place, at: Timestamp) {
        if let Some(times) = self.times.get_mut(place) {
            times.ended = Some(at);
        }
    }

    pub(crate) fn choose(&mut self, at: Pc, way: Way, made: impl FnOnce() -> Made) {
        if self.choices.len() < MAX_CHOICES {
            let mut made = made();
            made.reads.truncate(MAX_READS.saturating_sub(self.reads));
            self.reads += made.reads.len();
            self.choices.push((at, way.clone(), made));
        }
        self.went.insert((at, way));
    }

    /// The same in the plan's own terms.
    pub(crate) fn seen(self, plan: &Plan) -> Seen {
        let arm_of = |at: Pc, way: &Way| plan.arms.iter().position(|arm| arm.at == at && arm.way == *way);
        let begins = |begins: Option<Pc>| begins.is_some_and(|pc| self.executed.contains(&pc));
        let begun = plan.steps.iter().zip(0..).filter(|(step, _)| begins(step.begins));
        let choice = |(at, way, made): (Pc, Way, Made)| {
            let arm = arm_of(at, &way)?;
            let Made { mut turns, value, reads } = made;
            turns.truncate(plan.step(plan.arms.get(arm)?.step)?.depth);
            Some(Choice { arm, turns, value, reads })
        };
        Seen {
            steps: begun.map(|(_, number)| StepNumber(number)).collect(),
            arms: self.went.iter().filter_map(|(at, way)| arm_of(*at, way)).collect(),
            choices: self.choices.into_iter().filter_map(choice).collect(),
            times: self.times,
        }
    }
}

impl Made {
    /// By an expression's value.
    pub(crate) fn by(expression: &Expression, env: &Env, turns: Vec<u32>, value: &Json) -> Self {
        let mut reads = Vec::new();
        expression.each_read(&*env.scope, &mut |path, value| reads.push((path, brief(value))));
        Self { turns, value: brief(value), reads }
    }
}

/// A value, or what it is when it is large.
fn brief(value: &Json) -> Json {
    if fits(value, &mut SHOWN.clone()) {
        return value.clone();
    }
    match value {
        Json::Array(items) => format!("(a list of {})", items.len()).into(),
        Json::Object(fields) => format!("(an object of {} fields)", fields.len()).into(),
        Json::String(text) => text.chars().take(SHOWN).chain(['…']).collect::<String>().into(),
        other => other.clone(),
    }
}

/// Whether a value takes no more room than there is; looks no further than that.
fn fits(value: &Json, left: &mut usize) -> bool {
    let own = if let Json::String(text) = value { 1 + text.len() } else { 1 };
    let Some(rest) = left.checked_sub(own) else { return false };
    *left = rest;
    match value {
        Json::Array(items) => items.iter().all(|item| fits(item, left)),
        Json::Object(fields) => fields.iter().all(|(name, value)| match left.checked_sub(name.len()) {
            Some(rest) => {
                *left = rest;
                fits(value, left)
            }
            None => false,
        }),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_large_is_described() {
        for small in [json!(null), json!([1, {"a": "b"}]), json!("x".repeat(SHOWN - 1))] {
            assert_eq!(brief(&small), small);
        }
        let long = vec![0; SHOWN];
        assert_eq!(brief(&json!(long)), json!(format!("(a list of {SHOWN})")));
        assert_eq!(brief(&json!({"a": long, "b": 1})), json!("(an object of 2 fields)"));
        assert_eq!(brief(&json!({"n".repeat(SHOWN): 1})), json!("(an object of 1 fields)"));
        assert_eq!(brief(&json!("ö".repeat(SHOWN))), json!(format!("{}…", "ö".repeat(SHOWN))));
    }
}
