use super::*;
use crate::expression::tests::{AnyName, SCOPE, env, node};
use hookflow_text::Json;

fn compile(text: &str, escape: Escape) -> Result<Text, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let yaml = Json::from(text).to_string();
    let compiled = Text::compile(&node(&yaml), escape, &AnyName, &mut diagnostics);
    assert_eq!(compiled.is_none(), diagnostics.has_errors(), "{text}");
    compiled.ok_or(diagnostics)
}

fn eval(text: &str, escape: Escape) -> Result<String, EvalError> {
    compile(text, escape).unwrap_or_else(|wrong| panic!("{text}: {}", wrong.render(false))).eval(&env(SCOPE))
}

fn codes(text: &str, escape: Escape) -> Vec<&'static str> {
    compile(text, escape).err().map(|diagnostics| diagnostics.codes()).unwrap_or_default()
}

#[test]
fn blocks_choose_and_repeat() {
    for (text, expected) in [
        ("@{if n > 2}a@{else}b@{end if}", "a"),
        ("@{if n > 5}a@{else if n = 3}b@{else}c@{end if}", "b"),
        ("@{if n > 5}a@{elif n = 4}b@{endif}.", "."),
        ("@{ if n > 5 }a@{ elseif n=3 }b@{ end if }", "b"),
        ("@{for i in webhook.body.items}${ i.sku }x${ i.qty | default(1) };@{end for}", "S1x2;S2x1;"),
        ("@{for i in webhook.body.none}x@{else}empty@{endfor}", "empty"),
        (
            "@{for i in webhook.body.items}${ loop.index }/${ loop.length }@{if not loop.last}, @{end if}@{end for}",
            "1/2, 2/2",
        ),
        ("@{for i in [1, 2]}@{for j in [i, loop.index0]}${ i }${ j } @{end for}@{end for}", "11 10 22 21 "),
        ("@{for k, v in webhook.body.customer}${ k }=${ v };@{end for}", "name=Ada;a-b=1;"),
        ("@{for k, v in [['a', 1]]}${ k }${ v }@{end for}", "a1"),
        ("@{for k in webhook.body.customer}${ k };@{end for}", "name;a-b;"),
        ("@{for i in webhook.body.items | map(attribute='sku')}${ i }@{end for}", "S1S2"),
        ("@{for i in webhook.body.items}${ webhook.body.items[loop.index0].sku }@{end for}", "S1S2"),
        ("@{for n in [5]}${ n }@{end for}${ n }", "53"),
        ("$${ n } @@{if} $ @ {}", "${ n } @{if} $ @ {}"),
        ("${ '}' }${ \"{\" }", "}{"),
        ("${ {'a': {}} }", "{\"a\":{}}"),
        ("${ '@{if}' }", "@{if}"),
        ("a@b.example costs 5$", "a@b.example costs 5$"),
        ("${ webhook.body.flag } ${ webhook.body.amount } ${ 10 / 4 } ${ 10 / 5 }", "true 10.10 2.5 2"),
        ("Order ${ webhook.body.id }:\n@{if webhook.body.items}yes@{end if}\n", "Order A-1:\nyes\n"),
    ] {
        match eval(text, Escape::None) {
            Ok(value) => assert_eq!(value, expected, "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
}

#[test]
fn the_example_of_the_format_works() {
    let yaml = "|\n  @{if webhook.body.items}Order ${ webhook.body.id }:@{for i in webhook.body.items}\n  - ${ i.sku } × ${ i.qty | default(1) }@{end for}@{else}empty@{end if}\n";
    let mut diagnostics = Diagnostics::default();
    let text = Text::compile(&node(yaml), Escape::None, &AnyName, &mut diagnostics).unwrap();
    assert_eq!(text.eval(&env(SCOPE)).unwrap(), "Order A-1:\n- S1 × 2\n- S2 × 1\n");
}

#[test]
fn names_are_checked_but_not_those_that_a_loop_binds() {
    use crate::Unknown;
    use std::sync::Mutex;
    struct Asked(Mutex<Vec<String>>);
    impl Known for Asked {
        fn check(&self, path: &[&str]) -> Result<(), Unknown> {
            self.0.lock().unwrap().push(path.join("."));
            Ok(())
        }
    }
    let asked = Asked(Mutex::default());
    let mut diagnostics = Diagnostics::default();
    let text = "@{for i in a.b}${ i.x }${ loop.index }${ c[i.y].z }@{end for}${ i.w }@{if d = 1}@{end if}${ loop.v }";
    let yaml = node(&Json::from(text).to_string());
    assert!(Text::compile(&yaml, Escape::None, &asked, &mut diagnostics).is_some());
    assert_eq!(asked.0.into_inner().unwrap(), ["a.b", "c", "i.w", "d", "loop.v"]);
}

#[test]
fn plain_scalars_keep_their_spelling() {
    for text in ["1.10", "00123", "true", "1e3", "0x1F"] {
        let mut diagnostics = Diagnostics::default();
        let compiled = Text::compile(&node(text), Escape::None, &AnyName, &mut diagnostics).unwrap();
        assert_eq!(compiled.constant(), Some(text));
        assert_eq!(compiled.eval(&env("{}")).unwrap(), text);
    }
    let mut diagnostics = Diagnostics::default();
    for yaml in ["[a]", "{a: b}", "~"] {
        assert!(Text::compile(&node(yaml), Escape::None, &AnyName, &mut diagnostics).is_none());
    }
    assert_eq!(diagnostics.codes(), ["yaml.type"; 3]);
}

#[test]
fn values_are_escaped_where_they_stand() {
    use Escape::{Form, Json, Markup, None, Url};
    for (escape, text, expected) in [
        (None, "${ webhook.body.text }", "x \"y\" <z>\n&"),
        (Json, "{\"a\": \"${ webhook.body.text }\"}", r#"{"a": "x \"y\" <z>\n&"}"#),
        (Json, "{\"a\": ${ webhook.body.text }}", r#"{"a": "x \"y\" <z>\n&"}"#),
        (Json, "{\"a\": \"${ webhook.body.evil }\"}", r#"{"a": "\",\"admin\":true,\"x\":\""}"#),
        (
            Json,
            "{\"a\": ${ webhook.body.items }, \"b\": ${ webhook.body.nothing }}",
            r#"{"a": [{"sku":"S1","qty":2},{"sku":"S2"}], "b": null}"#,
        ),
        (
            Json,
            "{\"a\": \"i: ${ webhook.body.items }\"}",
            r#"{"a": "i: [{\"sku\":\"S1\",\"qty\":2},{\"sku\":\"S2\"}]"}"#,
        ),
        (Json, "{\"a\\\"\": ${ n }, \"b\\\\\": \"${ n }\"}", r#"{"a\"": 3, "b\\": "3"}"#),
        (Json, "{\"a\": ${ webhook.body.customer | json }}", r#"{"a": {"name":"Ada","a-b":1}}"#),
        (Json, "{\"a\": \"${ webhook.body.customer | json }\"}", r#"{"a": "{\"name\":\"Ada\",\"a-b\":1}"}"#),
        (Json, "{\"a\": ${ webhook.body.customer | json | truncate(5) }}", r#"{"a": "{\"..."}"#),
        (Json, "{\"a\": \"${ webhook.body.id | upper }\"}", r#"{"a": "A-1"}"#),
        (
            Json,
            "[@{for i in webhook.body.items}\"${ i.sku }\"@{if not loop.last},@{end if}@{end for}]",
            r#"["S1","S2"]"#,
        ),
        (Json, "[@{if n = 3}\"${ n }\"@{else}${ 'a' }@{end if}, ${ 'b' }]", r#"["3", "b"]"#),
        (Json, "{\"a\": \"@{if n = 3}${ webhook.body.text }@{end if}\"}", r#"{"a": "x \"y\" <z>\n&"}"#),
        (Markup, "<a b=\"${ webhook.body.text }\"/>", "<a b=\"x &quot;y&quot; &lt;z&gt;\n&amp;\"/>"),
        (
            Markup,
            "<a>${ {'b': webhook.body.text} | xml }</a>",
            "<a><b>x &quot;y&quot; &lt;z&gt;\n&amp;</b></a>",
        ),
        (Markup, "<a>${ {'b': 1} | xml | trim }</a>", "<a>&lt;b&gt;1&lt;/b&gt;</a>"),
        (Markup, "<a>${ '<b/>' | json | trim('\"') }</a>", "<a>&lt;b/&gt;</a>"),
        (Form, "a=${ webhook.body.text }&b=1", "a=x+%22y%22+%3Cz%3E%0A%26&b=1"),
        (Url, "a/${ 'ü/..?' }", "a/%C3%BC%2F..%3F"),
        (Escape::Header, "Bearer ${ webhook.body.id }", "Bearer A-1"),
    ] {
        match eval(text, escape) {
            Ok(value) => assert_eq!(value, expected, "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
}

#[test]
fn a_header_has_one_line() {
    let error = eval("a ${ webhook.body.text }", Escape::Header).unwrap_err();
    assert_eq!(error.code.0, "expr.header");
    assert_eq!(codes("a\nb", Escape::Header), ["expr.header"]);
    assert_eq!(codes("@{if n}a\r\nb@{end if}", Escape::Header), ["expr.header"]);
}

#[test]
fn the_parts_stand_apart() {
    let text = compile("a/${ webhook.body.text }@{if n}/b@{end if}", Escape::Url).unwrap();
    let parts = text.parts(&env(SCOPE)).unwrap();
    let inserted = "x \"y\" <z>\n&".to_owned();
    assert_eq!(parts, [Part::Literal("a/"), Part::Inserted(inserted), Part::Literal("/b")]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (text, code) in [
        ("a ${ b", "expr.unclosed"),
        ("a ${ 'b }", "expr.unclosed"),
        ("@{if n", "expr.unclosed"),
        ("a ${ } b", "expr.empty"),
        ("@{if}a@{end if}", "expr.empty"),
        ("@{if n}a", "expr.block"),
        ("@{end if}", "expr.block"),
        ("@{else}", "expr.block"),
        ("@{if n}a@{end for}", "expr.block"),
        ("@{for i in n}a@{end if}", "expr.block"),
        ("@{if n}a@{else}b@{else}c@{end if}", "expr.block"),
        ("@{for i n}a@{end for}", "expr.block"),
        ("@{for i.j in n}a@{end for}", "expr.block"),
        ("@{for a, b, c in n}a@{end for}", "expr.block"),
        ("@{fro i in n}a@{end for}", "expr.block"),
        ("@{set x = 1}", "expr.block"),
        ("@{if a | uper}a@{end if}", "expr.unknown-filter"),
        ("@{for i in a | uper}${ i | lwer }@{end for}", "expr.unknown-filter"),
    ] {
        assert_eq!(codes(text, Escape::None).first(), Some(&code), "{text}");
    }
    assert_eq!(codes(&format!("{}${{ n }}", "x".repeat(70_000)), Escape::None), ["expr.too-long"]);
    assert_eq!(codes(&"@{if n}".repeat(40), Escape::None), ["expr.block"]);
    for text in [
        "{\"a\": @{if n}\"@{end if}${ n }\"}",
        "{\"a\": @{if n}\"x@{else}x@{end if}\"}",
        "{\"a\": @{for i in n}\"@{end for}}",
        "{\"a\": @{for i in n}x@{else}\"@{end for}}",
    ] {
        assert!(codes(text, Escape::Json).contains(&"expr.json-quotes"), "{text}");
    }
}

#[test]
fn work_and_output_are_bounded() {
    let nested = "@{for a in range(9999)}@{for b in range(9999)}@{if a}@{end if}@{end for}@{end for}";
    assert_eq!(eval(nested, Escape::None).unwrap_err().code.0, "expr.fuel");
    let large = "@{for a in range(9999)}${ 'x' * 9999 }@{end for}";
    assert_eq!(eval(large, Escape::None).unwrap_err().code.0, "expr.output");
    let literal = format!("@{{for a in range(9999)}}{}@{{end for}}", "x".repeat(9999));
    assert_eq!(eval(&literal, Escape::None).unwrap_err().code.0, "expr.output");
    assert_eq!(eval("@{for a in n}x@{end for}", Escape::None).unwrap_err().code.0, "expr.type");
    assert_eq!(
        eval("@{for a in [1]}${ a.b }@{end for}", Escape::None).unwrap_err().message,
        "`a.b` is missing: `a` is a number"
    );
    let error = eval("@{for i in webhook.body.items}${ i.skku }@{end for}", Escape::None).unwrap_err();
    assert_eq!(error.message, "`i.skku` is missing; the nearest there is `sku`");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_crashes(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..16)) {
        let source = words.concat();
        for escape in [Escape::None, Escape::Json] {
            let mut diagnostics = Diagnostics::default();
            let yaml = Json::from(source.as_str()).to_string();
            match Text::compile(&node(&yaml), escape, &AnyName, &mut diagnostics) {
                Some(text) => match text.eval(&env(SCOPE)) {
                    Ok(made) => proptest::prop_assert!(made.len() <= MAX_OUTPUT),
                    Err(error) => proptest::prop_assert!(error.code.0.starts_with("expr."), "{source}: {error}"),
                },
                None => proptest::prop_assert!(diagnostics.has_errors(), "{source}"),
            }
        }
    }

    /// Whatever a value holds, a JSON body stays the JSON that its author wrote.
    #[test]
    fn nothing_is_injected_into_json(value in "\\PC{0,20}[\"\\\\\n\u{0}]?\\PC{0,5}") {
        let scope = serde_json::json!({"x": value}).to_string();
        let text = compile("{\"a\": \"<${ x }>\", \"b\": ${ x }, \"c\": ${ x | json }}", Escape::Json).unwrap();
        let made: Json = serde_json::from_str(&text.eval(&env(&scope)).unwrap()).unwrap();
        proptest::prop_assert_eq!(&made, &serde_json::json!({"a": format!("<{value}>"), "b": value, "c": value}));
    }
}

const WORDS: &[&str] = &[
    "${",
    "}",
    "@{",
    "@{if n}",
    "@{else}",
    "@{else if n = 3}",
    "@{end if}",
    "@{for i in webhook.body.items}",
    "@{end for}",
    "@{for a, b in n}",
    "$${",
    "@@{",
    "\"",
    "\\",
    "'",
    " ",
    "x",
    "ä",
    "\n",
    "{",
    "${ n }",
    "${ i.sku }",
    "${ loop.index }",
    "${ webhook.body.text }",
    "${ 1 / 0 }",
    "@",
    "$",
    "@{for",
    " i in ",
    "#",
];
