//! A compiled filter.

use super::bounds::{GUARDED, NEST, REGEX, STEP, TIMES, WEIGH, bounded_def};
use super::meter::{BUDGET, Met, Meter, give};
use crate::deep_stack::on_deep_stack;
use hookflow_text::{Json, nearest};
use jaq_core::box_iter::box_once;
use jaq_core::compile::Undefined;
use jaq_core::data::HasLut;
use jaq_core::load::parse::{Def, Parser, Term};
use jaq_core::load::{Arena, File, Loader, lex, span};
use jaq_core::native::{Filter as NativeFilter, Fun, v};
use jaq_core::{Compiler, Ctx, Cv, DataT, Exn, Lut, Native, RunPtr, ValX, ValXs, Vars};
use jaq_json::Val;
use jaq_std::ValT as _;
use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::ops::Range;

/// How long a filter may be.
const MAX_SOURCE: usize = 8 << 10;
/// How much of what a filter says went wrong is kept.
const MAX_MESSAGE: usize = 500;
/// What reads or changes the world around a filter, ends the program, or differs between two machines.
const WITHOUT: &[&str] = &[
    "debug",
    "debug_empty",
    "env",
    "halt",
    "halt_error",
    "input",
    "inputs",
    "localtime",
    "now",
    "stderr",
    "stderr_empty",
    "strflocaltime",
];
/// What the filter of the step is called among the definitions.
const MAIN: &str = "__main";
/// The exit code by which a bound ends a filter: no `try` catches it.
const BOUND: i32 = 1;

/// A filter that can be run any number of times.
pub(super) struct Filter(jaq_core::Filter<Metered>);

/// What is wrong with a filter, and where in it.
#[derive(Debug)]
pub(super) struct Problem {
    pub range: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

/// Why a filter did not give a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// A bound was met.
    Limit(String),
    /// It failed.
    Failed(String),
}

/// Filters over JSON, with a meter.
pub(super) struct Metered;

#[derive(Clone)]
pub(super) struct Data<'a> {
    lut: &'a Lut<Metered>,
    meter: &'a Meter,
}

impl DataT for Metered {
    type V<'a> = Val;
    type Data<'a> = Data<'a>;
}

impl<'a> HasLut<'a, Metered> for Data<'a> {
    fn lut(&self) -> &'a Lut<Metered> {
        self.lut
    }
}

impl Filter {
    pub(super) fn compile(text: &str) -> Result<Self, Vec<Problem>> {
        if text.len() > MAX_SOURCE {
            let message = format!("a filter has up to {MAX_SOURCE} bytes, and this one {}", text.len());
            return Err(vec![Problem { range: 0..0, message, help: None }]);
        }
        on_deep_stack(|| {
            let term = parse(text)?;
            build(text, term).map(Self)
        })
    }

    /// The filter's one output.
    pub(super) fn run(&self, value: &Json) -> Result<Json, Stopped> {
        self.run_within(BUDGET, value)
    }

    pub(super) fn run_within(&self, budget: u64, value: &Json) -> Result<Json, Stopped> {
        on_deep_stack(|| {
            let meter = Meter::new(budget);
            let stopped = |_: Met| meter.stopped();
            let input = meter.take(value, 0).map_err(stopped)?;
            let context = Ctx::<Metered>::new(Data { lut: &self.0.lut, meter: &meter }, Vars::new([]));
            let mut outputs = self.0.id.run((context, input)).map(|output| {
                output.map_err(|exception| match exception.get_err() {
                    Ok(error) => Stopped::Failed(said(&error)),
                    Err(_) => meter.stopped(),
                })
            });
            let Some(first) = outputs.next().transpose()? else { return Ok(Json::Null) };
            if outputs.next().transpose()?.is_some() {
                let message = "the filter has more than one output; put `[ ]` around it to get a list";
                return Err(Stopped::Failed(message.to_owned()));
            }
            meter.weigh(&first).map_err(stopped)?;
            Ok(give(&first))
        })
    }
}

/// Reads a filter; what it may not hold (`include`, `import`) is no filter.
fn parse(text: &str) -> Result<Term<&str>, Vec<Problem>> {
    let problem = |at: &str, expected: &str| {
        let range = within(text, at);
        let found = match at.chars().next() {
            None => "the end".to_owned(),
            Some(_) => format!("`{}`", at.split_whitespace().next().unwrap_or(at)),
        };
        let help = text
            .contains("${")
            .then(|| "a filter holds no templates; it sees what `of` gives as `.`".to_owned());
        Problem { range, message: format!("the filter has {found} where {expected} belongs"), help }
    };
    let tokens = lex::Lexer::new(text).lex().map_err(|errors| {
        let problems = errors.iter().map(|(expected, at)| problem(at, &one(expected.as_str())));
        problems.collect::<Vec<_>>()
    })?;
    Parser::new(&tokens).parse(Parser::term).map_err(|errors| {
        let problems = errors.iter().map(|(expected, found)| {
            let at = lex::Token::opt_as_str(*found, text);
            match expected.as_str() {
                "nothing" => problem(at, "nothing more"),
                word if word.chars().all(|letter| letter.is_ascii_alphabetic()) => problem(at, &one(word)),
                word => problem(at, &format!("`{word}`")),
            }
        });
        problems.collect()
    })
}

/// A word with its article.
fn one(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {word}")
}

fn build(text: &str, term: Term<&str>) -> Result<jaq_core::Filter<Metered>, Vec<Problem>> {
    let natives = natives();
    let names: Vec<_> = natives.iter().map(|(name, ..)| *name).collect();
    let mut defs: Vec<Def<&str>> = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .filter(|def| !WITHOUT.contains(&def.name))
        .collect();
    let known: Vec<_> = defs.iter().map(|def| def.name).chain(names.iter().copied()).collect();
    defs.push(Def { name: "fromjson", args: Vec::new(), body: Term::Call("fromjson", Vec::new()) });
    defs.push(Def { name: MAIN, args: Vec::new(), body: term });
    let defs = defs.into_iter().map(|def| bounded_def(def, &names));
    let arena = Arena::default();
    let modules = Loader::new(defs).load(&arena, File { code: MAIN, path: () }).map_err(|_| Vec::new())?;
    Compiler::default().with_funs(natives).compile(modules).map_err(|files| {
        let errors = files.iter().flat_map(|(_, errors)| errors);
        errors.map(|(name, undefined)| unknown(text, name, undefined, &known)).collect()
    })
}

fn unknown(text: &str, name: &str, undefined: &Undefined, known: &[&str]) -> Problem {
    let what = match undefined {
        Undefined::Filter(arguments) => format!("there is no filter `{name}` with {arguments} arguments"),
        other => format!("there is no {} `{name}`", other.as_str()),
    };
    let help = if WITHOUT.contains(&name) {
        Some("a filter sees nothing but what `of` gives".to_owned())
    } else {
        let words = known.iter().copied().filter(|known| !known.starts_with('!') && *known != name);
        nearest(name, words).map(|near| format!("did you mean `{near}`?"))
    };
    Problem { range: within(text, name), message: what, help }
}

/// Where a part stands in the whole; nowhere when it is none of it.
fn within(whole: &str, part: &str) -> Range<usize> {
    let (outer, inner) = (whole.as_bytes().as_ptr_range(), part.as_bytes().as_ptr_range());
    if inner.start >= outer.start && inner.end <= outer.end { span(whole, part) } else { 0..0 }
}

/// The start of what an error says: it may tell a whole value.
fn said(error: &jaq_json::Error) -> String {
    struct Start(String);
    impl fmt::Write for Start {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = MAX_MESSAGE.saturating_sub(self.0.len());
            let kept = text.get(..text.floor_char_boundary(room)).unwrap_or_default();
            self.0.push_str(kept);
            if kept.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut start = Start(String::new());
    if write!(start, "{error}").is_err() {
        start.0.push('…');
    }
    start.0
}

fn bound<'a, T>(_: Met) -> ValX<'a, T, Val> {
    Err(Exn::halt(BOUND))
}

/// The interpreter's natives without those that are left out, and ours.
fn natives() -> Vec<Fun<Metered>> {
    let theirs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let kept = theirs.filter(|(name, ..)| !WITHOUT.contains(name) && *name != "range").map(
        |(name, arguments, native)| {
            let guarded = GUARDED.iter().find(|(native, _)| *native == name);
            (guarded.map_or(name, |(_, behind)| behind), arguments, native)
        },
    );
    let ours: [NativeFilter<RunPtr<Metered>>; 6] = [
        (STEP, v(0), |cv| box_once(cv.0.data().meter.step(&cv.1).map_or_else(bound, |()| Ok(Val::Null)))),
        (WEIGH, v(0), |cv| box_once(cv.0.data().meter.weigh(&cv.1).map_or_else(bound, |()| Ok(cv.1)))),
        (REGEX, v(1), |mut cv| {
            let pattern = cv.0.pop_var();
            let (text, written) = (cv.1.as_bytes().unwrap_or_default(), pattern.as_bytes());
            let cost = cv.0.data().meter.regex(text.len(), written.unwrap_or_default());
            box_once(cost.map_or_else(bound, |()| Ok(pattern)))
        }),
        (NEST, v(0), |cv| {
            let nested = cv.0.data().meter.nests(cv.1.as_bytes().unwrap_or_default());
            box_once(nested.map_or_else(bound, |()| Ok(cv.1)))
        }),
        (TIMES, v(2), |mut cv| {
            let (left, right) = (cv.0.pop_var(), cv.0.pop_var());
            let meter = cv.0.data().meter;
            box_once(match meter.times(&left, &right).and_then(|()| meter.times(&right, &left)) {
                Ok(()) => (left * right).map_err(Exn::from),
                Err(met) => bound(met),
            })
        }),
        ("range", v(3), range),
    ];
    kept.chain(ours.into_iter().map(|(name, arguments, run)| (name, arguments, Native::<Metered>::new(run))))
        .collect()
}

/// As the interpreter's own, with a step for each number.
fn range(mut cv: Cv<'_, Metered>) -> ValXs<'_, Val> {
    let (by, to, from) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
    let meter = cv.0.data().meter;
    let ahead = by.partial_cmp(&Val::from(0_isize)).unwrap_or(Ordering::Equal);
    let mut next = Some(from);
    Box::new(std::iter::from_fn(move || {
        let now = next.take()?;
        if let Err(met) = meter.step(&now) {
            return Some(bound(met));
        }
        let goes_on = match ahead {
            Ordering::Greater => now < to,
            Ordering::Less => now > to,
            Ordering::Equal => now != to,
        };
        if !goes_on {
            return None;
        }
        match now.clone() + by.clone() {
            Ok(after) => next = Some(after),
            Err(error) => return Some(Err(error.into())),
        }
        Some(Ok(now))
    }))
}
