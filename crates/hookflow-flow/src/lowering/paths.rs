//! The ways through a plan: whether an answer can be reached, and where a run can end without one.

use crate::StepNumber;
use crate::plan::{Branch, Instruction, Over, Pc};

/// Which instructions a run can reach, from the beginning or through the flow's `on_error`.
pub(super) fn reached(code: &[Instruction], on_error: Option<Pc>) -> Vec<bool> {
    let mut reached = vec![false; code.len()];
    for start in [Some(0), on_error].into_iter().flatten() {
        walk(code, start, true, |pc, _| {
            if let Some(reached) = reached.get_mut(pc) {
                *reached = true;
            }
            Step::On
        });
    }
    reached
}

/// Whether a `respond` can be reached from `start`.
pub(super) fn reaches_answer(code: &[Instruction], start: Pc) -> bool {
    walk(code, start, true, |_, instruction| match instruction {
        Instruction::Tell { telling, .. } if telling.answers() => Step::Found,
        _ => Step::On,
    })
    .is_some()
}

/// The last step before each place where a run that began at 0 can end well without having answered.
pub(super) fn ends_without_answer(code: &[Instruction], main_end: Pc) -> Vec<StepNumber> {
    let mut ends = Vec::new();
    walk(code, 0, false, |pc, instruction| match instruction {
        Instruction::Tell { telling, .. } if telling.answers() => Step::Stop,
        Instruction::End { step, .. } => {
            // At the end of the list: the step that comes before it in the file.
            let before = || code.get(..pc)?.iter().rev().find_map(step_of);
            ends.extend(step.or_else(before));
            Step::Stop
        }
        _ if pc >= main_end => Step::Stop,
        _ => Step::On,
    });
    ends.sort_unstable();
    ends.dedup();
    ends
}

enum Step {
    On,
    Stop,
    Found,
}

/// `faults`: whether the ways into a `finally` that end in a fault count too.
fn walk(
    code: &[Instruction],
    start: Pc,
    faults: bool,
    mut visit: impl FnMut(Pc, &Instruction) -> Step,
) -> Option<Pc> {
    let mut seen = vec![false; code.len()];
    let mut todo = vec![start];
    while let Some(pc) = todo.pop() {
        let Some((seen, instruction)) = seen.get_mut(pc).zip(code.get(pc)) else { continue };
        if std::mem::replace(seen, true) {
            continue;
        }
        match visit(pc, instruction) {
            Step::Found => return Some(pc),
            Step::Stop => continue,
            Step::On => {}
        }
        match instruction {
            // The end of a turn goes nowhere: the fork has gone on already.
            Instruction::End { .. } | Instruction::Raise { .. } | Instruction::Join { .. } => {}
            Instruction::Branch { branch: Branch::Always(to), .. } => todo.push(*to),
            Instruction::Branch { branch: Branch::Unless(_, to), .. } => todo.extend([*to, pc + 1]),
            Instruction::Branch { branch: Branch::Switch { cases, default, .. }, .. } => {
                todo.extend(cases.values().copied());
                todo.push(*default);
            }
            Instruction::Enter(scope) => {
                todo.extend(scope.handler);
                todo.extend(scope.finally.filter(|_| faults));
                todo.push(pc + 1);
            }
            Instruction::Fork { over: Over::Each(_), after, .. } => todo.extend([*after, pc + 1]),
            // All of them run, so what comes after them is reached through each.
            Instruction::Fork { over: Over::Branches(branches), after, .. } => {
                todo.push(*after);
                todo.extend(branches);
            }
            Instruction::Eval { .. }
            | Instruction::Ask { .. }
            | Instruction::Tell { .. }
            | Instruction::Leave => {
                todo.push(pc + 1);
            }
        }
    }
    None
}

fn step_of(instruction: &Instruction) -> Option<StepNumber> {
    match instruction {
        Instruction::Eval { step, .. }
        | Instruction::Branch { step, .. }
        | Instruction::Ask { step, .. }
        | Instruction::Tell { step, .. }
        | Instruction::Fork { step, .. }
        | Instruction::Join { step, .. }
        | Instruction::Raise { step, .. } => Some(*step),
        Instruction::End { step, .. } => *step,
        Instruction::Enter(_) | Instruction::Leave => None,
    }
}
