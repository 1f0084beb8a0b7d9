//! A filter, rewritten so that it counts: the interpreter itself has no bounds. Every place where a filter can go round
//! or fan out calls `!step`, and every value that it builds goes through `!weigh`. No filter can write these names.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

/// Counts a step, and what lies in `.`; gives null.
pub(super) const STEP: &str = "!step";
/// Counts all that `.` consists of, and gives it on.
pub(super) const WEIGH: &str = "!weigh";
/// Gives its argument, a regular expression, when it is cheap enough for the text in `.`.
pub(super) const REGEX: &str = "!regex";
/// Gives `.` on, a text, when it nests no deeper than a value may.
pub(super) const NEST: &str = "!nest";
/// Multiplies its second argument by its first, unless that makes a text too long.
pub(super) const TIMES: &str = "!times";
/// The natives that are called behind one of these, and what they are called then.
pub(super) const GUARDED: &[(&str, &str)] = &[
    ("fromjson", "!fromjson"),
    ("matches", "!matches"),
    ("split_", "!split"),
    ("split_matches", "!split-matches"),
];

type Written<'s> = Term<&'s str>;

pub(super) fn bounded_def<'s>(def: Def<&'s str>, natives: &[&str]) -> Def<&'s str> {
    let body = counted(bounded(def.body, natives));
    Def { name: def.name, args: def.args, body }
}

/// Everything within a term, bounded.
fn bounded<'s>(term: Written<'s>, natives: &[&str]) -> Written<'s> {
    let inner = |term: Written<'s>| bounded(term, natives);
    let boxed = |term: Box<Written<'s>>| Box::new(bounded(*term, natives));
    let step = |term: Written<'s>| counted(bounded(term, natives));
    match term {
        Term::Recurse => passing(Term::Recurse),
        Term::Str(format, parts) if parts.iter().any(|part| matches!(part, StrPart::Term(_))) => {
            weighed(Term::Str(format, bounded_text(parts, natives)))
        }
        Term::Id | Term::Num(_) | Term::Var(_) | Term::Break(_) | Term::Arr(None) | Term::Str(..) => term,
        Term::Arr(Some(each)) => weighed(Term::Arr(Some(boxed(each)))),
        Term::Obj(entries) => weighed(Term::Obj(
            entries
                .into_iter()
                .map(|(key, value)| match (key, value) {
                    // What such a key means depends on how it is written.
                    (Term::Str(format, parts), None) => {
                        (Term::Str(format, bounded_text(parts, natives)), None)
                    }
                    (key, None) => (key, None),
                    (key, Some(value)) => (inner(key), Some(inner(value))),
                })
                .collect(),
        )),
        Term::Neg(of) => Term::Neg(boxed(of)),
        Term::BinOp(left, op, right) => match op {
            BinaryOp::Pipe(pattern) => {
                let pattern = pattern.map(|pattern| bounded_pattern(pattern, natives));
                Term::BinOp(boxed(left), BinaryOp::Pipe(pattern), Box::new(step(*right)))
            }
            BinaryOp::Math(Math::Mul) => weighed(Term::Call(TIMES, vec![step(*right), inner(*left)])),
            BinaryOp::Comma | BinaryOp::Alt => Term::BinOp(boxed(left), op, boxed(right)),
            _ => weighed(Term::BinOp(boxed(left), op, Box::new(step(*right)))),
        },
        Term::Label(name, body) => Term::Label(name, boxed(body)),
        Term::TryCatch(body, catch) => {
            // What failed is told as a text, which may be long.
            let catch = catch.map_or_else(|| counted(call("!empty")), |catch| step(*catch));
            Term::TryCatch(boxed(body), Some(Box::new(catch)))
        }
        Term::Fold(name, each, pattern, arguments) => {
            let arguments = arguments.into_iter().map(step).collect();
            Term::Fold(name, boxed(each), bounded_pattern(pattern, natives), arguments)
        }
        Term::IfThenElse(branches, otherwise) => {
            let branches = branches.into_iter().map(|(test, then)| (inner(test), inner(then))).collect();
            Term::IfThenElse(branches, otherwise.map(boxed))
        }
        Term::Def(defs, body) => {
            let defs = defs.into_iter().map(|def| bounded_def(def, natives)).collect();
            Term::Def(defs, boxed(body))
        }
        Term::Call(name, arguments) => {
            bounded_call(name, arguments.into_iter().map(inner).collect(), natives)
        }
        Term::Path(of, Path(parts)) => {
            let fans_out = parts.iter().any(|(part, _)| match part {
                Part::Index(at) => !is_one(at),
                Part::Range(from, to) => [from, to].into_iter().flatten().any(|at| !is_one(at)),
            });
            let parts = parts.into_iter().map(|(part, opt)| match part {
                Part::Index(at) => (Part::Index(inner(at)), opt),
                Part::Range(from, to) => (Part::Range(from.map(inner), to.map(inner)), opt),
            });
            let path = Term::Path(boxed(of), Path(parts.collect()));
            if fans_out { passing(path) } else { path }
        }
    }
}

fn bounded_call<'s>(name: &'s str, mut arguments: Vec<Written<'s>>, natives: &[&str]) -> Written<'s> {
    let guarded = GUARDED.iter().find(|(native, _)| *native == name && !natives.contains(native));
    match guarded {
        Some((_, behind)) if arguments.is_empty() => pipe(call(NEST), call(behind)),
        Some((_, behind)) if arguments.len() == 2 => {
            let flags = arguments.pop().unwrap_or_default();
            Term::Call(behind, vec![Term::Call(REGEX, arguments), flags])
        }
        // Each combination of what its arguments give is one output.
        None if arguments.len() > 1 && natives.contains(&name) => passing(Term::Call(name, arguments)),
        _ => Term::Call(name, arguments),
    }
}

fn bounded_pattern<'s>(pattern: Pattern<&'s str>, natives: &[&str]) -> Pattern<&'s str> {
    match pattern {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(parts) => {
            Pattern::Arr(parts.into_iter().map(|part| bounded_pattern(part, natives)).collect())
        }
        Pattern::Obj(parts) => Pattern::Obj(
            parts
                .into_iter()
                .map(|(key, part)| (counted(bounded(key, natives)), bounded_pattern(part, natives)))
                .collect(),
        ),
    }
}

type Parts<'s> = Vec<StrPart<&'s str, Written<'s>>>;

fn bounded_text<'s>(parts: Parts<'s>, natives: &[&str]) -> Parts<'s> {
    let parts = parts.into_iter().map(|part| match part {
        StrPart::Term(term) => StrPart::Term(bounded(term, natives)),
        other => other,
    });
    parts.collect()
}

/// Whether it has exactly one output, which costs nothing.
fn is_one(term: &Written<'_>) -> bool {
    match term {
        Term::Num(_) | Term::Var(_) => true,
        Term::Str(None, parts) => !parts.iter().any(|part| matches!(part, StrPart::Term(_))),
        _ => false,
    }
}

fn call(name: &'static str) -> Written<'static> {
    Term::Call(name, Vec::new())
}

fn pipe<'s>(left: Written<'s>, right: Written<'s>) -> Written<'s> {
    Term::BinOp(Box::new(left), BinaryOp::Pipe(None), Box::new(right))
}

/// `!step as $! | term`: leaves paths and tail calls what they are.
fn counted(term: Written<'_>) -> Written<'_> {
    Term::BinOp(Box::new(call(STEP)), BinaryOp::Pipe(Some(Pattern::Var("$!"))), Box::new(term))
}

/// Counts each output of a term.
fn passing(term: Written<'_>) -> Written<'_> {
    pipe(term, counted(Term::Id))
}

/// Weighs each output of a term that builds values.
fn weighed(term: Written<'_>) -> Written<'_> {
    pipe(term, call(WEIGH))
}
