//! From an expression as it is written to the one that `MiniJinja` runs.
//!
//! Every path becomes one lookup (`_0`) that fails with a good message or, within `default(…)` and `is defined`,
//! does not fail. `+ * ~` become functions with a cap. On the way every name is checked: paths by [`Known`],
//! functions, filters and tests by their tables. What is written again is fully bracketed, so that precedence
//! needs no thought here.

mod shape;

use crate::builtins;
use crate::chain::Chain;
use crate::function::Function;
use crate::functions;
use crate::known::Known;
use crate::path::{Segment, label};
use crate::scan::range;
use hookflow_text::{Code, Severity, nearest};
use minijinja::machinery::ast::{self, BinOpKind, CallArg, Expr};
use shape::{Part, between, compare_sign, compares, part, parts, place};
use std::ops::Range;

/// A mistake in an expression, with its place in the expression's text.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) range: Range<usize>,
}

/// What a rewriting gives.
#[derive(Debug, Default)]
pub(crate) struct Rewritten {
    pub(crate) source: String,
    /// The paths behind `_0`, `_1`, ….
    pub(crate) chains: Vec<Chain>,
    /// Which part of `source` was which part of the original.
    pub(crate) places: Vec<(Range<usize>, Range<usize>)>,
    pub(crate) problems: Vec<Problem>,
}

/// Rewrites `expr`, which was read from `source`; `bound` are the names of the loops around it.
pub(crate) fn rewrite(expr: &Expr<'_>, source: &str, bound: &[String], known: &dyn Known) -> Rewritten {
    let mut rewriter = Rewriter { source, bound, known, out: Rewritten::default() };
    rewriter.expr(expr, Missing::Fails);
    rewriter.out
}

/// What becomes of a path that leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Fails,
    IsUndefined,
}

struct Rewriter<'a> {
    source: &'a str,
    bound: &'a [String],
    known: &'a dyn Known,
    out: Rewritten,
}

impl Rewriter<'_> {
    fn expr(&mut self, expr: &Expr<'_>, missing: Missing) {
        let start = self.out.source.len();
        let place = place(expr);
        match expr {
            Expr::Var(var) if matches!(var.id, "null" | "Null" | "NULL") => self.push("none"),
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.chain(expr, None, missing),
            Expr::Const(_) => {
                let text = self.source.get(place.clone()).unwrap_or("none").to_owned();
                self.push(&text);
            }
            Expr::Slice(slice) => self.slice(slice, missing),
            Expr::UnaryOp(unary) => {
                self.push(if matches!(unary.op, ast::UnaryOpKind::Not) { "(not " } else { "(-" });
                self.expr(&unary.expr, Missing::Fails);
                self.push(")");
            }
            Expr::BinOp(binary) => self.binary(binary.op, expr),
            Expr::Compare(compare) => {
                self.push("(");
                self.expr(&compare.expr, Missing::Fails);
                for part in &compare.ops {
                    self.push(compare_sign(part.op));
                    self.expr(&part.expr, Missing::Fails);
                }
                self.push(")");
            }
            Expr::IfExpr(choice) => {
                self.push("(");
                self.expr(&choice.true_expr, Missing::Fails);
                self.push(" if ");
                self.expr(&choice.test_expr, Missing::Fails);
                self.push(" else ");
                match &choice.false_expr {
                    Some(otherwise) => self.expr(otherwise, Missing::Fails),
                    None => self.push("_nothing"),
                }
                self.push(")");
            }
            Expr::Filter(filter) => self.filter(filter, range(filter.span()).start, missing, &place),
            Expr::Test(test) => self.test(test, range(test.span()).start),
            Expr::Call(call) => self.call(call, missing, &place),
            Expr::List(list) => self.items("[", &list.items, "]"),
            Expr::Tuple(tuple) => self.items("[", &tuple.items, "]"),
            Expr::Map(map) => {
                self.push("{");
                for (key, value) in map.keys.iter().zip(&map.values) {
                    self.expr(key, Missing::Fails);
                    self.push(": ");
                    self.expr(value, Missing::Fails);
                    self.push(", ");
                }
                self.push("}");
            }
        }
        self.out.places.push((start..self.out.source.len(), place));
    }

    fn push(&mut self, text: &str) {
        self.out.source.push_str(text);
    }

    fn items(&mut self, open: &str, items: &[Expr<'_>], close: &str) {
        self.push(open);
        for item in items {
            self.expr(item, Missing::Fails);
            self.push(", ");
        }
        self.push(close);
    }

    /// A path, `call` being what stands in the brackets of `name(call)` when `name` is a part of the scope.
    fn chain(&mut self, expr: &Expr<'_>, call: Option<&Expr<'_>>, missing: Missing) {
        let (base, mut parts) = parts(expr);
        parts.extend(call.map(part));
        let whole = place(base).start..call.map_or_else(|| place(expr).end, |argument| place(argument).end);
        // Only a name can be looked up together with what follows it.
        let segments: Vec<Segment> = match base {
            Expr::Var(_) => parts.iter().map_while(Part::fixed).cloned().collect(),
            _ => Vec::new(),
        };
        let name = match base {
            Expr::Var(var) => label(var.id, &segments),
            _ => "(…)".to_owned(),
        };
        let more: Vec<_> = parts.iter().skip(segments.len()).collect();
        if !more.is_empty() {
            let function = if missing == Missing::Fails { "_get" } else { "_find" };
            self.push(&format!("{function}({}, {}, {}, ", quoted(&name), whole.start, whole.end));
        }
        match base {
            Expr::Var(var) => self.register(var.id, segments, whole, missing),
            _ => self.expr(base, Missing::Fails),
        }
        for part in &more {
            self.push(", ");
            match part {
                Part::Fixed(Segment::Index(index)) => self.push(&index.to_string()),
                Part::Fixed(Segment::Key(key)) => self.push(&quoted(key)),
                Part::Computed(expr) => self.expr(expr, Missing::Fails),
            }
        }
        if !more.is_empty() {
            self.push(")");
        }
    }

    fn register(&mut self, root: &str, segments: Vec<Segment>, range: Range<usize>, missing: Missing) {
        let local = self.bound.iter().any(|name| name == root);
        if !local {
            let keys: Vec<_> = segments.iter().map(Segment::key).collect();
            let mut path = vec![root];
            path.extend(keys.iter().map(AsRef::as_ref));
            if let Err(unknown) = self.known.check(&path) {
                self.out.problems.push(Problem {
                    code: unknown.code,
                    severity: unknown.severity,
                    message: unknown.message,
                    help: unknown.help,
                    range: range.clone(),
                });
            }
        }
        self.push(&format!("_{}", self.out.chains.len()));
        let lenient = missing == Missing::IsUndefined;
        let segments = segments.into_boxed_slice();
        self.out.chains.push(Chain { root: root.to_owned(), segments, local, lenient, range });
    }

    fn slice(&mut self, slice: &ast::Slice<'_>, missing: Missing) {
        self.expr(&slice.expr, missing);
        self.push("[");
        for (nth, bound) in [&slice.start, &slice.stop, &slice.step].into_iter().enumerate() {
            if nth > 0 {
                self.push(":");
            }
            if let Some(bound) = bound {
                self.expr(bound, Missing::Fails);
            }
        }
        self.push("]");
    }

    fn binary(&mut self, op: BinOpKind, expr: &Expr<'_>) {
        // A long row of one operator leans to the left; written flat it does not nest.
        let mut operands = Vec::new();
        let mut left = expr;
        while let Expr::BinOp(binary) = left
            && std::mem::discriminant(&binary.op) == std::mem::discriminant(&op)
            && (operands.is_empty() || !compares(op))
        {
            operands.push(&binary.right);
            left = &binary.left;
        }
        operands.push(left);
        let (open, between) = between(op);
        self.push(open);
        for (nth, operand) in operands.into_iter().rev().enumerate() {
            if nth > 0 {
                self.push(between);
            }
            self.expr(operand, Missing::Fails);
        }
        self.push(")");
    }

    fn filter(&mut self, filter: &ast::Filter<'_>, named: usize, missing: Missing, place: &Range<usize>) {
        let own = functions::find(filter.name);
        if own.is_none() && !builtins::is_filter(filter.name) {
            self.unknown("filter", filter.name, named..named + filter.name.len());
        }
        self.names_in_arguments(filter);
        let inner = self.open(own, &filter.args, 1, missing, place);
        self.push("(");
        if let Some(subject) = &filter.expr {
            self.expr(subject, inner);
        }
        self.push(" | ");
        self.push(filter.name);
        self.arguments(&filter.args, inner);
        self.push(")");
        self.close(inner, missing);
    }

    fn test(&mut self, test: &ast::Test<'_>, named: usize) {
        if !builtins::is_test(test.name) {
            self.unknown("test", test.name, named..named + test.name.len());
        }
        let covers = matches!(test.name, "defined" | "undefined" | "empty");
        self.push("(");
        self.expr(&test.expr, if covers { Missing::IsUndefined } else { Missing::Fails });
        self.push(" is ");
        self.push(test.name);
        self.arguments(&test.args, Missing::Fails);
        self.push(")");
    }

    fn call(&mut self, call: &ast::Call<'_>, missing: Missing, place: &Range<usize>) {
        let Expr::Var(name) = &call.expr else {
            let (message, help) = match &call.expr {
                Expr::GetAttr(method) => (
                    format!("values have no methods such as `{}()`", method.name),
                    Some(format!("a function stands after a bar: `value | {}`", method.name)),
                ),
                _ => ("a value cannot be called".to_owned(), None),
            };
            return self.problem(Code("expr.method"), message, help, place.clone());
        };
        let own = functions::find(name.id);
        if own.is_none() && !builtins::is_filter(name.id) {
            // A part of the scope may be asked like a function: `wait_url('approval')` is `wait_url.approval`.
            if let [CallArg::Pos(argument)] = call.args.as_slice()
                && self.known.check(&[name.id]).is_ok()
            {
                return self.chain(&call.expr, Some(argument), missing);
            }
            return self.unknown("function", name.id, range(name.span()));
        }
        let inner = self.open(own, &call.args, 0, missing, place);
        self.push(name.id);
        self.arguments(&call.args, inner);
        self.close(inner, missing);
    }

    /// Begins a call with its checks. What is missing within `default(…)` is no error; but when its fallback is
    /// missing too, that is one, unless another `default(…)` stands around.
    fn open(
        &mut self,
        own: Option<&'static Function>,
        args: &[CallArg<'_>],
        before: usize,
        missing: Missing,
        place: &Range<usize>,
    ) -> Missing {
        let Some(function) = own else { return Missing::Fails };
        let spread = args.iter().any(|arg| matches!(arg, CallArg::PosSplat(_) | CallArg::KwargSplat(_)));
        let given = args.len() + before;
        if !spread && (given > function.parameters.len() || given < function.required) {
            let message = format!("`{}` takes ({})", function.name, function.parameters.join(", "));
            let help = Some(format!("for example `{}`", function.example));
            self.problem(Code("expr.arguments"), message, help, place.clone());
        }
        if !function.covers_missing {
            return Missing::Fails;
        }
        if missing == Missing::Fails {
            self.push(&format!("_needed({}, {}, ", place.start, place.end));
        }
        Missing::IsUndefined
    }

    fn close(&mut self, inner: Missing, missing: Missing) {
        if inner == Missing::IsUndefined && missing == Missing::Fails {
            self.push(")");
        }
    }

    fn arguments(&mut self, args: &[CallArg<'_>], missing: Missing) {
        self.push("(");
        for arg in args {
            let expr = match arg {
                CallArg::Pos(expr) => expr,
                CallArg::Kwarg(name, expr) => {
                    self.push(&format!("{name}="));
                    expr
                }
                CallArg::PosSplat(expr) => {
                    self.push("*");
                    expr
                }
                CallArg::KwargSplat(expr) => {
                    self.push("**");
                    expr
                }
            };
            self.expr(expr, missing);
            self.push(", ");
        }
        self.push(")");
    }

    /// `map('upper')`, `select('odd')`, `selectattr('x', 'eq', 1)` name a filter or a test in a text.
    fn names_in_arguments(&mut self, filter: &ast::Filter<'_>) {
        let (nth, is_test) = match filter.name {
            "map" => (0, false),
            "select" | "reject" => (0, true),
            "selectattr" | "rejectattr" => (1, true),
            _ => return,
        };
        if let Some(CallArg::Pos(Expr::Const(name))) = filter.args.get(nth)
            && let Some(word) = name.value.as_str()
        {
            let at = range(name.span());
            if is_test && !builtins::is_test(word) {
                self.unknown("test", word, at);
            } else if !is_test && !builtins::is_filter(word) && functions::find(word).is_none() {
                self.unknown("filter", word, at);
            }
        }
    }

    fn unknown(&mut self, what: &'static str, name: &str, range: Range<usize>) {
        let code = match what {
            "filter" => Code("expr.unknown-filter"),
            "test" => Code("expr.unknown-test"),
            _ => Code("expr.unknown-function"),
        };
        let near = match what {
            "test" => nearest(name, builtins::tests()),
            _ => nearest(name, builtins::filters().chain(functions::names())),
        };
        let help = near.map(|near| format!("did you mean `{near}`?"));
        self.problem(code, format!("there is no {what} `{name}`"), help, range);
    }

    fn problem(&mut self, code: Code, message: String, help: Option<String>, range: Range<usize>) {
        self.out.problems.push(Problem { code, severity: Severity::Error, message, help, range });
    }
}

/// A text as an expression writes it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
