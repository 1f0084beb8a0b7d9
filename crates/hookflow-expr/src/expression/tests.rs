use super::*;
use crate::lookup::{Found, Lookup};
use crate::{Template, Unknown};
use hookflow_text::{Severity, Source, nearest, parse};

/// Every name may be read.
pub(crate) struct AnyName;

impl Known for AnyName {
    fn check(&self, _: &[&str]) -> Result<(), Unknown> {
        Ok(())
    }
}

/// A scope out of JSON: objects are parts two levels deep, values below; `"did not run"` is a step that did not, and
/// `"too large"` cannot be read.
#[derive(Debug)]
struct Scope(serde_json::Map<String, Json>, usize);

impl Lookup for Scope {
    fn get(&self, name: &str) -> Option<Found> {
        self.0.get(name).map(|value| match value {
            Json::Object(map) if self.1 > 0 => Found::Part(Arc::new(Scope(map.clone(), self.1 - 1))),
            Json::String(text) if text == "did not run" => Found::DidNotRun,
            Json::String(text) if text == "too large" => Found::Unreadable("it is too large".into()),
            other => Found::Value(Arc::new(other.clone())),
        })
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.keys().map(|key| Arc::from(key.as_str())).collect()
    }
}

/// An environment whose scope is `json`, at noon on May Day.
pub(crate) fn env(json: &str) -> Env {
    let scope: Json = serde_json::from_str(json).unwrap();
    Env {
        scope: Arc::new(Scope(scope.as_object().unwrap().clone(), 1)),
        now: "2024-05-01T12:00:00Z".parse().unwrap(),
        chance: [7; 32],
    }
}

/// What most tests read.
pub(crate) const SCOPE: &str = r#"{
    "webhook": {
        "id": "W1",
        "body": {
            "id": "A-1", "amount": 10.10, "big": 123456789012345678901234567890, "flag": true, "nothing": null,
            "long": 0.1000000000000000055511151231257827,
            "customer": {"name": "Ada", "a-b": 1}, "text": "x \"y\" <z>\n&", "items": [{"sku": "S1", "qty": 2}, {"sku": "S2"}],
            "key": "name", "none": [], "keys": 5, "evil": "\",\"admin\":true,\"x\":\""
        },
        "headers": {"x-id": "7"}
    },
    "steps": {"order": {"status": 201}, "skipped": "did not run"},
    "n": 3,
    "raw": {"body": "too large", "id": 1},
    "wait_url": {"approval": "https://hooks.example.com/w/1"}
}"#;

pub(crate) fn node(yaml: &str) -> Node {
    let mut diagnostics = Diagnostics::default();
    let node = parse(&Source::new("flow.yaml", yaml), &mut diagnostics);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    node.unwrap()
}

/// An expression as a YAML text of its own.
fn quoted(expression: &str) -> String {
    Json::from(expression).to_string()
}

fn eval(expression: &str) -> Result<String, EvalError> {
    let mut diagnostics = Diagnostics::default();
    let compiled = Expression::compile(&node(&quoted(expression)), &AnyName, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{expression}: {}", diagnostics.render(false));
    compiled.unwrap().eval(&env(SCOPE)).map(|value| value.to_string())
}

fn problems(yaml: &str, known: &dyn Known) -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    let compiled = Expression::compile(&node(yaml), known, &mut diagnostics);
    assert_eq!(compiled.is_none(), diagnostics.has_errors(), "{yaml}");
    diagnostics
}

#[test]
fn expressions_give_their_values() {
    for &(expression, expected) in VALUES {
        match eval(expression) {
            Ok(value) => assert_eq!(value, expected, "{expression}"),
            Err(error) => panic!("{expression}: {error}"),
        }
    }
}

const VALUES: &[(&str, &str)] = &[
    ("webhook.body.customer.name", r#""Ada""#),
    ("webhook.body.customer['a-b']", "1"),
    ("webhook.body.items[0].sku", r#""S1""#),
    ("webhook.body.items[-1].sku", r#""S2""#),
    ("webhook.body.items.0.qty", "2"),
    ("webhook.body[webhook.body.key | replace('name', 'id')]", r#""A-1""#),
    ("webhook.body.items[n - 2].sku", r#""S2""#),
    ("webhook.body.items[n - 3]['sk' ~ 'u']", r#""S1""#),
    ("webhook.body.items | length", "2"),
    ("webhook.body.items[:1]", r#"[{"sku":"S1","qty":2}]"#),
    ("webhook.body.amount", "10.10"),
    ("webhook.body.amount * 3", "30.299999999999997"),
    ("webhook.body.big", "123456789012345678901234567890"),
    ("webhook.body.big + 1", "123456789012345678901234567891"),
    ("[webhook.body.long]", "[0.1000000000000000055511151231257827]"),
    ("webhook.body.long == webhook.body.long", "true"),
    ("webhook.body.nothing", "null"),
    ("webhook.body.none", "[]"),
    ("webhook.headers['x-id']", r#""7""#),
    ("webhook.headers", r#"{"x-id":"7"}"#),
    ("steps.order.status == 201", "true"),
    ("steps.skipped", "null"),
    ("steps.skipped is none", "true"),
    ("n > 2 and n < 4", "true"),
    ("2 < n <= 3", "true"),
    ("n in [1, 2, 3]", "true"),
    ("n not in (1, 2)", "true"),
    ("'Ad' in webhook.body.customer.name", "true"),
    ("'name' in webhook.body.customer", "true"),
    ("not webhook.body.flag", "false"),
    ("1 + 2 + 3 - 4 - 5", "-3"),
    ("2 + 3 * 4", "14"),
    ("(2 + 3) * 4", "20"),
    ("10 / 4", "2.5"),
    ("10 / 5", "2"),
    ("7 // 2", "3"),
    ("7 % 4", "3"),
    ("2 ** 10", "1024"),
    ("-n", "-3"),
    ("- 2 * -3", "6"),
    ("1 - 2 * 3 - 4", "-9"),
    ("'a' ~ 1 ~ none ~ true ~ [1, 'b']", r#""a1nulltrue[1,\"b\"]""#),
    ("'ab' * 2", r#""abab""#),
    ("[1] + [2, 3]", "[1,2,3]"),
    ("'a' + 'b'", r#""ab""#),
    ("409 if n = 3 else none", "409"),
    ("409 if n = 4", "null"),
    ("1 if false else 2 if false else 3", "3"),
    ("{'a': webhook.body.customer, 'b': [1, 2.50]}", r#"{"a":{"name":"Ada","a-b":1},"b":[1,2.5]}"#),
    ("webhook.body.items | map(attribute='sku') | join('+')", r#""S1+S2""#),
    ("webhook.body.items | selectattr('sku', 'eq', 'S2') | list", r#"[{"sku":"S2"}]"#),
    ("webhook.body.customer == {'name': 'Ada', 'a-b': 1}", "true"),
    ("webhook.body.keys", "5"),
    ("null", "null"),
    ("n != null", "true"),
    ("wait_url('approval')", r#""https://hooks.example.com/w/1""#),
    ("upper(webhook.body.customer.name)", r#""ADA""#),
    ("range(3) | list", "[0,1,2]"),
    ("range(3, 0, -1) | list", "[3,2,1]"),
    ("[3, 1, 2] | sort | first", "1"),
    ("1e3", "1000"),
    ("{'a': 7 % 4}['a']", "3"),
    ("('{\"a\": 1.10}' | parse_json).a", "1.1"),
    ("[webhook.body.items][0][1].sku", r#""S2""#),
];

#[test]
fn what_the_engine_panics_at_is_an_error() {
    assert!(eval("''[::-1]").unwrap_err().message.contains("cannot be computed"));
    assert_eq!(eval("'abc'[::-1]").unwrap(), "\"cba\"");
}

#[test]
fn a_default_covers_the_whole_path() {
    for (expression, expected) in [
        ("webhook.body.a.b.c | default(1)", "1"),
        ("webhook.body.nothing.c | default(1)", "1"),
        ("webhook.body.nothing | default(1)", "1"),
        ("webhook.body.id.x | default(1)", "1"),
        ("webhook.body.id | default(1)", r#""A-1""#),
        ("webhook.body.flag | default(value=1)", "true"),
        ("webhook.body.x | default(value=1)", "1"),
        ("webhook.body.x | d", r#""""#),
        ("default(webhook.body.x, 1)", "1"),
        ("webhook.body.x | default(webhook.body.y) | default(webhook.body.id)", r#""A-1""#),
        ("webhook.body.id | default(webhook.body.y)", r#""A-1""#),
        ("webhook.body.items[7].sku | default(1)", "1"),
        ("webhook.body.items[n].sku | default(1)", "1"),
        ("webhook.body[webhook.body.key].x | default(1)", "1"),
        ("steps.skipped.status | default(0)", "0"),
        ("nobody.at.all | default(1)", "1"),
        ("webhook.body.a.b is defined", "false"),
        ("webhook.body.nothing.b is not defined", "true"),
        ("webhook.body.nothing is defined", "true"),
        ("steps.skipped.body is defined", "false"),
        ("webhook.body.items[n].x is undefined", "true"),
        ("webhook.body.none is empty and webhook.body.what is empty", "true"),
        ("webhook.body.none | replaceIfEmpty('x')", r#""x""#),
        ("0 | default(5, true)", "5"),
        ("([] | first) | default(2)", "2"),
    ] {
        match eval(expression) {
            Ok(value) => assert_eq!(value, expected, "{expression}"),
            Err(error) => panic!("{expression}: {error}"),
        }
    }
}

#[test]
fn failures_name_the_path_and_what_is_near() {
    for &(expression, code, message, place) in FAILURES {
        let error = eval(expression).expect_err(expression);
        assert_eq!(error.code.0, code, "{expression}: {error}");
        assert!(error.message.contains(message), "{expression}: {error}");
        let marked = error.span.text();
        // A bracket around the leftmost part is not marked with it.
        let close = marked.trim_matches(['(', ')']);
        assert_eq!(close, place.trim_matches(['(', ')']), "{expression}: {error}");
    }
}

/// An expression, its code, a part of its message, and the marked part.
const FAILURES: &[(&str, &str, &str, &str)] = &[
    (
        "webhook.body.custmer.name",
        "expr.missing",
        "`webhook.body.custmer` is missing; the nearest there is `customer`",
        "webhook.body.custmer.name",
    ),
    ("1 + webhook.body.nmae", "expr.missing", "`webhook.body.nmae` is missing", "webhook.body.nmae"),
    (
        "webhook.boddy.id",
        "expr.missing",
        "`webhook.boddy` is missing; the nearest there is `body`",
        "webhook.boddy.id",
    ),
    ("webhok.body", "expr.missing", "`webhok` is missing; the nearest there is `webhook`", "webhok.body"),
    (
        "webhook.body.nothing.x",
        "expr.missing",
        "`webhook.body.nothing.x` is missing: `webhook.body.nothing` is null",
        "webhook.body.nothing.x",
    ),
    (
        "webhook.body.items[2].sku",
        "expr.missing",
        "`webhook.body.items[2]` is missing: `webhook.body.items` has 2 items",
        "webhook.body.items[2].sku",
    ),
    ("webhook.body.items.sku", "expr.missing", "is a list", "webhook.body.items.sku"),
    (
        "webhook.body.items[n - 2].qty > 1",
        "expr.missing",
        "`webhook.body.items[1].qty` is missing",
        "webhook.body.items[n - 2].qty",
    ),
    (
        "webhook.body['no such']",
        "expr.missing",
        "`webhook.body[\"no such\"]` is missing",
        "webhook.body['no such']",
    ),
    (
        "steps.skipped.body.id",
        "expr.missing",
        "`steps.skipped.body.id` is missing: the step `steps.skipped` did not run",
        "steps.skipped.body.id",
    ),
    (
        "webhook.body.x | default(webhook.body.y)",
        "expr.missing",
        "neither",
        "webhook.body.x | default(webhook.body.y)",
    ),
    ("[] | first", "expr.missing", "no value", "[] | first"),
    ("raw.body | length", "expr.failed", "it is too large", "raw.body"),
    ("raw.body.x", "expr.failed", "it is too large", "raw.body.x"),
    ("raw | json", "expr.type", "not a value", "raw | json"),
    (
        "webhook.body.customer[webhook.body.items]",
        "expr.type",
        "text or a whole number, found a list",
        "webhook.body.customer[webhook.body.items]",
    ),
    (
        "true and webhook.body.customer + 1",
        "expr.type",
        "`+` cannot add an object and a number",
        "webhook.body.customer + 1",
    ),
    ("webhook.body.long * 2", "expr.type", "more digits", "webhook.body.long * 2"),
    ("1 / 0", "expr.type", "", "1 / 0"),
    ("'x' | number", "expr.failed", "`number`: the text is not a number", "'x' | number"),
    ("webhook.body.items | sha256", "expr.type", "`| json` makes text of it", "webhook.body.items | sha256"),
    ("'{' | parse_json", "expr.failed", "not JSON at line 1", "'{' | parse_json"),
    ("'(' ~ 1 | regex_match('(')", "expr.failed", "not a regular expression", "1 | regex_match('(')"),
    ("'x' * 90000000", "expr.output", "16 MiB", "'x' * 90000000"),
    ("[0] * 90000000", "expr.output", "16 MiB", "[0] * 90000000"),
    ("'%999999999d' | format(1)", "expr.output", "16 MiB", "'%999999999d' | format(1)"),
    ("'%*d' | format(999999999, 1)", "expr.output", "16 MiB", "'%*d' | format(999999999, 1)"),
    ("'a' | indent(999999999)", "expr.output", "16 MiB", "'a' | indent(999999999)"),
    ("[1] | batch(999999999, 0) | list", "expr.output", "16 MiB", "[1] | batch(999999999, 0)"),
    ("range(999999999)", "expr.output", "16 MiB", "range(999999999)"),
    ("('x' * 9999999) ~ ('x' * 9999999)", "expr.output", "16 MiB", "('x' * 9999999) ~ ('x' * 9999999"),
    (
        "('x' * 999999) | replace('x', 'y' * 9999)",
        "expr.output",
        "16 MiB",
        "'x' * 999999) | replace('x', 'y' * 9999)",
    ),
    ("range(9999) | join('y' * 99999)", "expr.output", "16 MiB", "range(9999) | join('y' * 99999)"),
    (
        "('x' * 9999999) | regex_match('(x{9}){9}y')",
        "expr.fuel",
        "more work",
        "'x' * 9999999) | regex_match('(x{9}){9}y')",
    ),
];

#[test]
fn fields_are_read_however_they_are_written() {
    for (yaml, expected) in [
        ("true", "true"),
        ("5", "5"),
        ("1.10", "1.1"),
        ("n > 2", "true"),
        ("${ n > 2 }", "true"),
        ("\"${ n > 2 }\"", "true"),
        ("'n = 3'", "true"),
        ("${n}", "3"),
        ("  ${ n }  ", "3"),
        ("|\n  ${ n }\n", "3"),
        ("|\n  n >\n  2\n", "true"),
        ("not webhook.body.flag", "false"),
        ("webhook.body.items", r#"[{"sku":"S1","qty":2},{"sku":"S2"}]"#),
        ("\"'shop'\"", r#""shop""#),
        ("\"${ {'a': {}} }\"", r#"{"a":{}}"#),
    ] {
        let mut diagnostics = Diagnostics::default();
        // A field of a map, as in a flow.
        let file = node(&format!("when: {yaml}"));
        let NodeValue::Map(entries) = &file.value else { panic!("a map") };
        let Some(compiled) = Expression::compile(&entries[0].1, &AnyName, &mut diagnostics) else {
            panic!("{yaml}: {}", diagnostics.render(false));
        };
        assert_eq!(compiled.eval(&env(SCOPE)).unwrap().to_string(), expected, "{yaml}");
    }
}

#[test]
fn conditions_hold_or_do_not() {
    for (expression, holds) in [
        ("webhook.body.flag", true),
        ("webhook.body.nothing", false),
        ("webhook.body.none", false),
        ("webhook.body.items", true),
        ("steps.skipped", false),
        ("steps", true),
        ("''", false),
        ("0", false),
        ("n = 3 or nobody", true),
        ("n == 4", false),
        ("1 if n = 4", false),
    ] {
        let mut diagnostics = Diagnostics::default();
        let compiled = Expression::compile(&node(&quoted(expression)), &AnyName, &mut diagnostics).unwrap();
        assert_eq!(compiled.test(&env(SCOPE)).unwrap(), holds, "{expression}");
    }
}

#[test]
fn mistakes_are_found_when_the_file_loads() {
    for (yaml, code, text) in [
        ("a >", "expr.syntax", "flow.yaml:1:"),
        ("a b", "expr.syntax", "flow.yaml:1:3"),
        ("\"'abc\"", "expr.syntax", "string"),
        ("a == \"x # y\"", "expr.syntax", "YAML has cut the value at ` #`"),
        ("${ a # note }", "expr.unclosed", "YAML has cut the value at ` #`"),
        ("${ a", "expr.unclosed", "a `}` is missing"),
        ("${ }", "expr.empty", "missing"),
        ("''", "expr.empty", "missing"),
        ("~", "expr.empty", "`none`"),
        ("${ a } and ${ b }", "expr.syntax", "not a text"),
        ("a and ${ b }", "expr.syntax", "without `${ }`"),
        ("a && b", "expr.syntax", "use `and`"),
        ("a || b", "expr.syntax", "use `or`"),
        ("(!a)", "expr.syntax", "use `not`"),
        ("a === b", "expr.syntax", "use `==`"),
        ("a !== b", "expr.syntax", "use `!=`"),
        ("'a ? 1 : 2'", "expr.syntax", "b if a else c"),
        ("\"a != '&&' && b\"", "expr.syntax", "use `and`"),
        ("[a, b]", "yaml.type", "expected an expression"),
        ("{a: b}", "yaml.type", "expected an expression"),
        ("a | uper", "expr.unknown-filter", "did you mean `upper`?"),
        ("a | toUper", "expr.unknown-filter", "did you mean `toUpper`?"),
        ("a is defind", "expr.unknown-test", "did you mean `defined`?"),
        ("lenght(a)", "expr.unknown-function", "did you mean `length`?"),
        ("a | map('uper')", "expr.unknown-filter", "did you mean `upper`?"),
        ("a | select('od')", "expr.unknown-test", "did you mean `odd`?"),
        ("a | selectattr('x', 'equal_to', 1)", "expr.unknown-test", "did you mean `equalto`?"),
        ("a.upper()", "expr.method", "value | upper"),
        ("now(1)", "expr.arguments", "`now` takes ()"),
        ("a | truncate", "expr.arguments", "`truncate` takes (value, length, end)"),
        ("a.b(1)(2)", "expr.method", "cannot be called"),
    ] {
        struct NothingKnown;
        impl Known for NothingKnown {
            fn check(&self, path: &[&str]) -> Result<(), Unknown> {
                if path == ["a"] || path == ["b"] || path == ["a", "b"] {
                    Ok(())
                } else {
                    refuse(path, Severity::Error)
                }
            }
        }
        let diagnostics = problems(yaml, &NothingKnown);
        assert_eq!(diagnostics.codes().first(), Some(&code), "{yaml}: {}", diagnostics.render(false));
        let shown = diagnostics.render(false);
        assert!(shown.contains(text), "{yaml}: {shown}");
    }
    let long = format!("a{}", " ~ a".repeat(600));
    assert_eq!(problems(&long, &AnyName).codes(), ["expr.too-long"]);
    assert_eq!(problems(&format!("a{}", " ".repeat(2048) + "b"), &AnyName).codes(), ["expr.too-long"]);
}

fn refuse(path: &[&str], severity: Severity) -> Result<(), Unknown> {
    let help = path
        .last()
        .and_then(|word| nearest(word, ["body", "webhook"]))
        .map(|near| format!("did you mean `{near}`?"));
    Err(Unknown {
        code: Code("test.unknown"),
        severity,
        message: format!("{} is unknown", path.join(".")),
        help,
    })
}

#[test]
fn every_path_is_checked_at_its_place() {
    struct Strict;
    impl Known for Strict {
        fn check(&self, path: &[&str]) -> Result<(), Unknown> {
            match path {
                ["webhook", "body", "maybe"] => refuse(path, Severity::Warning),
                ["webhook", "body", ..] => Ok(()),
                _ => refuse(path, Severity::Error),
            }
        }
    }
    for (expression, found) in [
        ("webhook.body.items[0].sku", vec![]),
        ("webhook.bdy.id", vec!["webhook.bdy.id"]),
        ("webhook.body.id == webhok[0]['a b'].c", vec!["webhok.0.a b.c"]),
        ("[x.y | default(z), {'k': q}] and (a if b else c)", vec!["x.y", "z", "q", "a", "b", "c"]),
        ("webhook.body[k.l].m[-1]", vec!["k.l"]),
        ("webhook.body.maybe", vec!["webhook.body.maybe"]),
    ] {
        let diagnostics = problems(&quoted(expression), &Strict);
        let mut messages: Vec<_> = diagnostics
            .iter()
            .map(|diagnostic| diagnostic.message.trim_end_matches(" is unknown").to_owned())
            .collect();
        let mut expected = found;
        messages.sort_unstable();
        expected.sort_unstable();
        assert_eq!(messages, expected, "{expression}");
    }
    let diagnostics = problems("webhook.body.id = 1 and webhook.bdy = 2", &Strict);
    let first = diagnostics.iter().next().unwrap();
    assert_eq!(first.span.text(), "webhook.bdy");
    assert!(diagnostics.render(false).contains("did you mean `body`?"), "{}", diagnostics.render(false));
}

#[test]
fn chance_is_the_same_at_a_replay_and_another_at_each_place() {
    let mut diagnostics = Diagnostics::default();
    let node =
        node("[\"${ uuid() }\", \"${ uuid() }\", \"${ [uuid(), uuid()] }\", \"${ random(0, 10**18) }\"]");
    let template = Template::compile(&node, &AnyName, &mut diagnostics).unwrap();
    let first = template.eval(&env(SCOPE)).unwrap();
    assert_eq!(first, template.eval(&env(SCOPE)).unwrap());
    let mut drawn = vec![first[0].clone(), first[1].clone(), first[2][0].clone(), first[2][1].clone()];
    drawn.sort_by_key(ToString::to_string);
    drawn.dedup();
    assert_eq!(drawn.len(), 4);
    let mut other = env(SCOPE);
    other.chance = [8; 32];
    assert_ne!(template.eval(&other).unwrap(), first);
}

#[test]
fn a_value_that_is_passed_on_is_not_copied() {
    #[derive(Debug)]
    struct One(Arc<Json>);
    impl Lookup for One {
        fn get(&self, _: &str) -> Option<Found> {
            Some(Found::Value(Arc::clone(&self.0)))
        }
        fn names(&self) -> Vec<Arc<str>> {
            vec![Arc::from("body")]
        }
    }
    let body = Arc::new(serde_json::json!({"a": [1, 2]}));
    let env = Env { scope: Arc::new(One(Arc::clone(&body))), ..env("{}") };
    let mut diagnostics = Diagnostics::default();
    for expression in ["body", "body if true else none", "body | default(1)"] {
        let compiled = Expression::compile(&node(&quoted(expression)), &AnyName, &mut diagnostics).unwrap();
        assert!(Arc::ptr_eq(&compiled.eval(&env).unwrap(), &body), "{expression}");
    }
}

/// Not by time and not by memory: each of the expressions has to have the very same megabyte in hand.
#[test]
fn a_large_body_is_read_by_a_hundred_expressions_without_a_copy() {
    let items: Vec<_> = (0..1_000).map(|n| serde_json::json!({"id": n, "text": "x".repeat(1_100)})).collect();
    let body = Arc::new(serde_json::json!({"items": items}));
    assert!(body.to_string().len() > 1 << 20);
    let one = Shared(Arc::clone(&body), vec!["body".into()]);
    let env = Env { scope: Arc::new(one), ..env("{}") };
    let mut diagnostics = Diagnostics::default();
    for n in 0..100 {
        let expression =
            format!("body if body.items[{n}].id == {n} and body.items | length == 1000 else none");
        let compiled = Expression::compile(&node(&quoted(&expression)), &AnyName, &mut diagnostics).unwrap();
        assert!(Arc::ptr_eq(&compiled.eval(&env).unwrap(), &body), "{expression}");
        let mut read = 0;
        compiled.each_read(&*env.scope, &mut |path, value| {
            let place = match path.as_str() {
                "body" => Some(&*body),
                "body.items" => body.get("items"),
                _ => body.pointer(&format!("/items/{n}/id")),
            };
            assert!(place.is_some_and(|place| std::ptr::eq(place, value)), "{path}");
            read += 1;
        });
        assert_eq!(read, 3, "{expression}");
    }
}

/// One shared value under a name.
#[derive(Debug)]
struct Shared(Arc<Json>, Vec<Arc<str>>);

impl Lookup for Shared {
    fn get(&self, name: &str) -> Option<Found> {
        self.1.iter().any(|known| **known == *name).then(|| Found::Value(Arc::clone(&self.0)))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.1.clone()
    }
}

/// `MiniJinja` walks its tree by recursion; the longest expressions must fit on the stack of a test's thread.
#[test]
fn the_longest_expressions_do_not_overflow_the_stack() {
    let env = env(SCOPE);
    for piece in [
        "-",
        "not ",
        "(",
        "[",
        "n.",
        "n+",
        "n~",
        "n and ",
        "n-",
        "n if n else ",
        "n|default(",
        "{'a':",
        "n[",
        "n<",
        "n==",
        "2**",
    ] {
        for tail in ["n", "1", ""] {
            for count in [100, 240, 499, 1024, 2048] {
                let closing = match piece {
                    "(" | "n|default(" => ")",
                    "[" | "n[" => "]",
                    "{'a':" => "}",
                    _ => "",
                };
                let source = format!("{}{tail}{}", piece.repeat(count), closing.repeat(count));
                let mut diagnostics = Diagnostics::default();
                if let Some(compiled) =
                    Expression::compile(&node(&quoted(&source)), &AnyName, &mut diagnostics)
                {
                    // Whatever it gives: it comes back.
                    let result = compiled.eval(&env);
                    assert!(result.is_ok() || result.is_err_and(|error| error.code.0.starts_with("expr.")));
                }
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(600))]

    #[test]
    fn no_expression_crashes(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..24)) {
        let source = words.concat();
        let mut diagnostics = Diagnostics::default();
        if let Some(compiled) = Expression::compile(&node(&quoted(&source)), &AnyName, &mut diagnostics) {
            match compiled.eval(&env(SCOPE)) {
                Ok(value) => proptest::prop_assert!(value.to_string().len() < 64 << 20),
                Err(error) => proptest::prop_assert!(error.code.0.starts_with("expr."), "{source}: {error}"),
            }
        } else {
            proptest::prop_assert!(diagnostics.has_errors(), "{source}");
        }
    }

    #[test]
    fn no_text_crashes(source in "\\PC{0,60}") {
        let mut diagnostics = Diagnostics::default();
        if let Some(compiled) = Expression::compile(&node(&quoted(&source)), &AnyName, &mut diagnostics) {
            let result = compiled.eval(&env(SCOPE));
            proptest::prop_assert!(result.is_ok() || result.is_err_and(|error| error.code.0.starts_with("expr.")));
        } else {
            proptest::prop_assert!(diagnostics.has_errors(), "{source}");
        }
    }
}

const WORDS: &[&str] = &[
    "webhook",
    ".body",
    ".items",
    ".customer",
    ".big",
    ".long",
    ".nothing",
    "steps.skipped",
    "n",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ":",
    "'a'",
    "\"b\"",
    "1",
    "-2",
    "2.5",
    "99999999999999999999",
    " + ",
    " - ",
    " * ",
    " / ",
    " // ",
    " % ",
    " ** ",
    " ~ ",
    " | ",
    "upper",
    "default(1)",
    "length",
    "sort",
    "map(attribute='sku')",
    "first",
    "json",
    "parse_json",
    "sum",
    "round(2)",
    "join",
    "split",
    "date",
    "add_days(3)",
    "batch(2)",
    "slice(2)",
    "groupby('sku')",
    "items",
    "reverse",
    "int",
    "float",
    "unique",
    "zip(n)",
    "truncate(2)",
    "substring(-1, 5)",
    "regex_replace('a', 'b')",
    "range(",
    "dict(",
    "random(1, ",
    "uuid()",
    "now()",
    " is ",
    "defined",
    "odd",
    "divisibleby 0",
    " not ",
    " in ",
    " and ",
    " or ",
    " if ",
    " else ",
    " = ",
    " == ",
    " < ",
    "[0]",
    "[-1]",
    "[1:]",
    "[::-1]",
    "[::0]",
    "none",
    "true",
    "*",
    "**",
    "fallback=",
    "format(1)",
    "indent(2)",
    "ä",
    "\\",
    "#",
    "$",
    "@{",
];

#[test]
fn what_an_expression_reads_is_told_once_with_its_value() {
    let expression = "webhook.body.amount > 1 and webhook.body['customer'].name in [webhook.body.gone, 'x'] \
                      or webhook.body.amount == 2 or steps.skipped or n > 2";
    let compiled = Expression::compile(&node(&quoted(expression)), &AnyName, &mut Diagnostics::default());
    let mut told = Vec::new();
    compiled.unwrap().each_read(&*env(SCOPE).scope, &mut |path, value| told.push(format!("{path}={value}")));
    let expected =
        ["webhook.body.amount=10.10", "webhook.body.customer.name=\"Ada\"", "steps.skipped=null", "n=3"];
    assert_eq!(told, expected);
}
