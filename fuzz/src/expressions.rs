//! An expression, a text or a value with `${ }` in it, by the first byte. What it makes is bounded, and the same each
//! time.

use hookflow_expr::{
    Env, Escape, EvalError, Expression, Found, Known, Lookup, MAX_OUTPUT, Template, Text, Unknown,
};
use hookflow_text::{Diagnostics, Json, Node, Source, parse};
use std::fmt::{Debug, Display};
use std::sync::{Arc, LazyLock};

const SCOPE: &str = r#"{
    "webhook": {"body": {
        "id": "A-1", "amount": 10.10, "big": 123456789012345678901234567890, "flag": true, "nothing": null, "none": [],
        "items": [{"sku": "S1", "qty": 2}, {"sku": "S2"}], "text": "x \"y\" <z>\n&", "time": "2024-05-01T12:00:00Z",
        "xml": "<a b='1'>c<d/></a>", "json": "{\"a\":[1]}", "keys": 5
    }},
    "n": 3
}"#;

const ESCAPES: [Escape; 6] =
    [Escape::None, Escape::Json, Escape::Markup, Escape::Url, Escape::Form, Escape::Header];

/// See the module.
pub fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let mut diagnostics = Diagnostics::default();
    // A JSON text is a YAML text too.
    let Some(node) = parse(&Source::new("flow.yaml", Json::from(text).to_string()), &mut diagnostics) else {
        return;
    };
    match first % 8 {
        0 => expression(&node, &mut diagnostics),
        1 => template(&node, &mut diagnostics),
        n => write(&node, ESCAPES[usize::from(n) - 2], &mut diagnostics),
    }
    diagnostics.render(false);
}

fn expression(node: &Node, diagnostics: &mut Diagnostics) {
    let Some(expression) = Expression::compile(node, &AnyName, diagnostics) else { return };
    same(|| said(expression.eval(&env())));
    same(|| said(expression.test(&env())));
}

fn template(node: &Node, diagnostics: &mut Diagnostics) {
    let Some(template) = Template::compile(node, &AnyName, diagnostics) else { return };
    same(|| said(template.eval(&env())));
}

fn write(node: &Node, escape: Escape, diagnostics: &mut Diagnostics) {
    let Some(text) = Text::compile(node, escape, &AnyName, diagnostics) else { return };
    let Some(made) = same(|| text.eval(&env()).ok()) else { return };
    assert!(made.len() <= MAX_OUTPUT + node.text().len(), "{} bytes were made", made.len());
    if escape == Escape::Header {
        assert!(!made.contains(['\r', '\n', '\0']), "a header holds a line break");
    }
}

/// What came of it, be it an error.
fn said(outcome: Result<impl Display, EvalError>) -> String {
    outcome.map_or_else(|error| error.to_string(), |value| value.to_string())
}

/// Evaluates twice.
fn same<T: PartialEq + Debug>(eval: impl Fn() -> T) -> T {
    let first = eval();
    assert!(first == eval(), "two evaluations differ");
    first
}

fn env() -> Env {
    static ALL: LazyLock<Arc<Scope>> = LazyLock::new(|| {
        let scope: Json = serde_json::from_str(SCOPE).expect("the scope is JSON");
        Arc::new(Scope(scope, 1))
    });
    Env { scope: Arc::clone(&*ALL) as Arc<dyn Lookup>, now: super::NOW, chance: [7; 32] }
}

struct AnyName;

impl Known for AnyName {
    fn check(&self, _: &[&str]) -> Result<(), Unknown> {
        Ok(())
    }
}

/// Objects are parts so many levels deep, and values below.
#[derive(Debug)]
struct Scope(Json, usize);

impl Lookup for Scope {
    fn get(&self, name: &str) -> Option<Found> {
        self.0.get(name).map(|value| match value {
            Json::Object(_) if self.1 > 0 => Found::Part(Arc::new(Self(value.clone(), self.1 - 1))),
            value => Found::Value(Arc::new(value.clone())),
        })
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.as_object().into_iter().flat_map(|map| map.keys()).map(|key| key.as_str().into()).collect()
    }
}
