//! One compiled expression, and what it makes.

use crate::chain::{Chain, Place};
use crate::compiled::{Compiled, compiled};
use crate::eval_error::{EvalError, Failure};
use crate::evaluation::{EVALUATION, Env, Evaluation};
use crate::known::Known;
use crate::lookup::Lookup;
use crate::path::label;
use crate::rewrite::{Rewritten, rewrite};
use crate::scan::{Prepared, Wrong, slip};
use crate::site::Site;
use crate::value::{self, to_json};
use hookflow_text::{Code, Diagnostics, Json, Severity, Span};
use minijinja::machinery::parse_expr;
use minijinja::value::{DynObject, Object};
use minijinja::{Error, Value};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What evaluating costs before anything is done.
const BASE_COST: usize = 20;

/// A compiled expression. It holds no state and is shared by every evaluation.
pub(crate) struct Program {
    site: Site,
    /// Where it stands, found once: it is asked for by every evaluation.
    span: Span,
    prepared: Prepared,
    chains: Arc<[Chain]>,
    places: Box<[(Range<usize>, Range<usize>)]>,
    /// `None` when the expression is one path: that is followed without `MiniJinja`.
    compiled: Option<Compiled>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.site.text())
    }
}

/// A name that a loop has bound, and those around it.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) name: String,
    pub(crate) value: Value,
    pub(crate) around: Locals,
}

pub(crate) type Locals = Option<Arc<Local>>;

impl Program {
    /// Compiles the text at `site`; `bound` are the names of the loops around it.
    pub(crate) fn compile(
        site: Site,
        bound: &[String],
        known: &dyn Known,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let site = site.trimmed();
        if site.text().is_empty() {
            diagnostics.error(Code("expr.empty"), &site.span(), "an expression is missing here");
            return None;
        }
        let prepared = Prepared::new(site.text())
            .map_err(|wrong| report(&site, &wrong, wrong.range.clone(), diagnostics))
            .ok()?;
        let tree = parse_expr(&prepared.source).map_err(|error| Wrong::of(&error));
        let tree = tree
            .map_err(|wrong| report(&site, &wrong, prepared.original(wrong.range.clone()), diagnostics))
            .ok()?;
        let Rewritten { source, chains, places, problems } = rewrite(&tree, &prepared.source, bound, known);
        drop(tree);
        let mut failed = false;
        for problem in problems {
            let span = site.span_of(prepared.original(problem.range));
            failed |= problem.severity == Severity::Error;
            let diagnostic = match problem.severity {
                Severity::Error => diagnostics.error(problem.code, &span, problem.message),
                Severity::Warning => diagnostics.warning(problem.code, &span, problem.message),
            };
            if let Some(help) = problem.help {
                diagnostic.help(help);
            }
        }
        if failed {
            return None;
        }
        let compiled = if source == "_0" {
            None
        } else {
            let compiled = compiled(source).map_err(|error| Wrong::of(&error));
            Some(compiled.map_err(|wrong| report(&site, &wrong, 0..site.text().len(), diagnostics)).ok()?)
        };
        let (span, prepared) = (site.span(), prepared.without_source());
        Some(Self { site, span, prepared, chains: chains.into(), places: places.into(), compiled })
    }

    /// Evaluates it on its own.
    pub(crate) fn eval(&self, env: &Env) -> Result<Made, EvalError> {
        match self.path() {
            Some(chain) if !chain.local => {
                chain.find(&*env.scope).map(Made::Place).map_err(|failure| self.locate(failure))
            }
            _ => self.eval_in(&Evaluation::new(env, &self.span), &None),
        }
    }

    /// Evaluates it as a part of an evaluation, within its loops.
    pub(crate) fn eval_in(&self, evaluation: &Arc<Evaluation>, locals: &Locals) -> Result<Made, EvalError> {
        self.run(evaluation, locals).map_err(|failure| self.locate(failure))
    }

    fn run(&self, evaluation: &Arc<Evaluation>, locals: &Locals) -> Result<Made, Failure> {
        evaluation.charge(BASE_COST)?;
        if let Some(chain) = self.path() {
            if chain.local {
                return local(locals, chain).map(Made::Value);
            }
            return chain.find(&*evaluation.env.scope).map(Made::Place);
        }
        let Some(compiled) = &self.compiled else {
            return Err(Failure::failed("the expression is not compiled"));
        };
        let (chains, evaluation, locals) = (Arc::clone(&self.chains), Arc::clone(evaluation), locals.clone());
        let names = Value::from_object(Names { chains, evaluation, locals });
        // MiniJinja panics at some backward slices, such as `''[::-1]`. Nothing of ours is changed half way by then.
        let result = catch_unwind(AssertUnwindSafe(|| compiled.eval(names)));
        let Ok(result) = result else { return Err(Failure::failed("this cannot be computed")) };
        match result {
            Ok(value) if value.is_undefined() => Err(Failure::missing("the expression has no value")),
            Ok(value) => Ok(Made::Value(value)),
            Err(error) => Err(self.placed(&error)),
        }
    }

    /// The parts of the path that it is.
    pub(crate) fn parts(&self) -> Option<Vec<String>> {
        let chain = self.path().filter(|chain| !chain.local)?;
        let parts = chain.segments.iter().map(|segment| segment.key().into_owned());
        Some([chain.root.clone()].into_iter().chain(parts).collect())
    }

    /// Each path that it reads in the scope, once, with the value there.
    pub(crate) fn each_read(&self, scope: &dyn Lookup, told: &mut dyn FnMut(String, &Json)) {
        let mut known = HashSet::new();
        for chain in self.chains.iter().filter(|chain| !chain.local) {
            let path = label(&chain.root, &chain.segments);
            if known.contains(&path) {
                continue;
            }
            match chain.find(scope) {
                Ok(Place::Json(view)) => told(path.clone(), view.get()),
                Ok(Place::DidNotRun) => told(path.clone(), &Json::Null),
                Ok(Place::Part(_)) | Err(_) => {}
            }
            known.insert(path);
        }
    }

    fn path(&self) -> Option<&Chain> {
        self.chains.first().filter(|_| self.compiled.is_none())
    }

    /// `MiniJinja`'s error with its place in the original.
    fn placed(&self, error: &Error) -> Failure {
        let failure = Failure::of(error);
        let Some(at) = error.range() else { return failure };
        let around =
            self.places.iter().filter(|(written, _)| written.start <= at.start && at.end <= written.end);
        match around.min_by_key(|(written, _)| written.len()) {
            Some((_, original)) => failure.at(original.clone()),
            None => failure,
        }
    }

    /// The failure with its place in the file.
    pub(crate) fn locate(&self, failure: Failure) -> EvalError {
        let Failure { code, message, range } = failure;
        let span = match range {
            Some(range) => self.site.span_of(self.prepared.original(range)),
            None => self.span.clone(),
        };
        EvalError { code, message, span }
    }
}

fn report(site: &Site, wrong: &Wrong, range: Range<usize>, diagnostics: &mut Diagnostics) {
    let diagnostic = diagnostics.error(wrong.code, &site.span_of(range), &wrong.message);
    if site.is_cut() {
        diagnostic.help("YAML has cut the value at ` #`, where its comments begin; put the value in quotes");
    } else if site.text().contains("${") || site.text().contains("@{") {
        diagnostic.help("within an expression, names stand without `${ }`");
    } else if let Some(instead) = slip(site.text()).filter(|_| wrong.code == Code("expr.syntax")) {
        diagnostic.help(instead);
    }
}

fn local(locals: &Locals, chain: &Chain) -> Result<Value, Failure> {
    let mut next = locals.as_ref();
    while let Some(local) = next {
        if local.name == chain.root {
            return chain.find_in(local.value.clone());
        }
        next = local.around.as_ref();
    }
    Err(Failure::missing(format!("`{}` is missing", chain.root)))
}

/// What the names of a rewritten expression stand for: `_0` is its first path, and so on.
#[derive(Debug)]
struct Names {
    chains: Arc<[Chain]>,
    evaluation: Arc<Evaluation>,
    locals: Locals,
}

impl Names {
    fn chain(&self, chain: &Chain) -> Result<Value, Failure> {
        let value = if chain.local {
            local(&self.locals, chain)
        } else {
            chain.find(&*self.evaluation.env.scope).map(Place::into_value)
        };
        match value {
            Ok(value) => {
                self.evaluation.charge_for(&value)?;
                Ok(value)
            }
            Err(_) if chain.lenient => Ok(Value::UNDEFINED),
            Err(failure) => Err(failure),
        }
    }
}

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if key == EVALUATION {
            return Some(Value::from_dyn_object(DynObject::new(Arc::clone(&self.evaluation))));
        }
        let chain = self.chains.get(key.strip_prefix('_')?.parse::<usize>().ok()?)?;
        Some(self.chain(chain).unwrap_or_else(|failure| Value::from(Error::from(failure))))
    }
}

/// What an expression has made: a place in the scope, untouched, or a calculated value.
#[derive(Debug)]
pub(crate) enum Made {
    Place(Place),
    Value(Value),
}

impl Made {
    pub(crate) fn json(self) -> Result<Arc<Json>, Failure> {
        match self {
            Self::Place(Place::Json(view)) => Ok(view.to_arc()),
            Self::Place(place) => to_json(&place.into_value()),
            Self::Value(value) => to_json(&value),
        }
    }

    /// The JSON that it is a part of already.
    pub(crate) fn as_json(&self) -> Option<&Json> {
        match self {
            Self::Place(Place::Json(view)) => Some(view.get()),
            _ => None,
        }
    }

    pub(crate) fn value(self) -> Value {
        match self {
            Self::Place(place) => place.into_value(),
            Self::Value(value) => value,
        }
    }

    /// As it is written into a text.
    pub(crate) fn text(&self) -> Result<Cow<'_, str>, Failure> {
        match self {
            Self::Place(Place::Json(view)) => Ok(match view.get() {
                Json::String(text) => Cow::Borrowed(text),
                other => Cow::Owned(other.to_string()),
            }),
            Self::Place(Place::DidNotRun) => Ok(Cow::Borrowed("null")),
            Self::Place(Place::Part(part)) => value::json_text(&value::part(part)).map(Cow::Owned),
            Self::Value(value) => value::text(value),
        }
    }

    /// As it is written into JSON.
    pub(crate) fn json_text(&self) -> Result<String, Failure> {
        match self {
            Self::Place(Place::Json(view)) => Ok(view.get().to_string()),
            Self::Place(_) => self.text().map(Cow::into_owned),
            Self::Value(value) => value::json_text(value),
        }
    }

    /// The text that `| json` has made.
    pub(crate) fn as_json_text(&self) -> Option<&str> {
        match self {
            Self::Value(value) if value.is_safe() => value.as_str(),
            _ => None,
        }
    }

    /// The text that `| xml` has made.
    pub(crate) fn as_xml_text(&self) -> Option<&str> {
        match self {
            Self::Value(value) => value::as_xml(value),
            Self::Place(_) => None,
        }
    }

    /// Whether a condition holds: everything does but false, null, zero and what is empty.
    pub(crate) fn holds(self) -> bool {
        self.value().is_true()
    }
}
