use super::*;
use crate::expression::tests::{AnyName, SCOPE, env, node};

fn compile(yaml: &str) -> Template {
    let mut diagnostics = Diagnostics::default();
    let template = Template::compile(&node(yaml), &AnyName, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{yaml}: {}", diagnostics.render(false));
    template.unwrap()
}

#[test]
fn whole_templates_keep_their_type() {
    for (yaml, expected) in [
        ("${ n }", "3"),
        ("\" ${ n } \"", "3"),
        ("${ webhook.body.big }", "123456789012345678901234567890"),
        ("${ webhook.body.amount }", "10.10"),
        ("${ webhook.body.nothing }", "null"),
        ("${ webhook.body.items }", r#"[{"sku":"S1","qty":2},{"sku":"S2"}]"#),
        ("${ steps.skipped }", "null"),
        ("n is ${ n }", r#""n is 3""#),
        ("${ n }${ n }", r#""33""#),
        ("${ webhook.body.amount } EUR", r#""10.10 EUR""#),
        ("${ webhook.body.nothing }!", r#""null!""#),
        ("a ${ 1 if false }b", r#""a b""#),
        ("x ${ webhook.body.customer }", r#""x {\"name\":\"Ada\",\"a-b\":1}""#),
        (
            "{a: '${ n }', b: [1, '${ n }', 'x ${ n }'], c: {d: ~}}",
            r#"{"a":3,"b":[1,3,"x 3"],"c":{"d":null}}"#,
        ),
        ("{a: '${ webhook.body.evil }'}", r#"{"a":"\",\"admin\":true,\"x\":\""}"#),
        ("\"@{if n = 3}yes@{else}no@{end if}\"", r#""yes""#),
    ] {
        let template = compile(yaml);
        assert!(template.constant().is_none(), "{yaml}");
        assert_eq!(template.eval(&env(SCOPE)).unwrap().to_string(), expected, "{yaml}");
        assert_eq!(written(&template), expected, "{yaml}");
    }
}

fn written(template: &Template) -> String {
    let mut out = Vec::new();
    template.write_json(&env(SCOPE), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_holds_no_template_is_a_constant() {
    for (yaml, expected) in [
        ("5", "5"),
        ("1.10", "1.10"),
        ("n", r#""n""#),
        ("n > 2", r#""n > 2""#),
        ("~", "null"),
        ("{a: [1, {b: yes}]}", r#"{"a":[1,{"b":"yes"}]}"#),
        ("costs $5 a@b.example", r#""costs $5 a@b.example""#),
        ("$${ n }", r#""${ n }""#),
        ("a $${ b @@{if}", r#""a ${ b @{if}""#),
        ("$$${ n }", r#""$${ n }""#),
    ] {
        let template = compile(yaml);
        assert_eq!(template.constant().map(ToString::to_string).as_deref(), Some(expected), "{yaml}");
        assert_eq!(written(&template), expected, "{yaml}");
        assert_eq!(template.eval(&env(SCOPE)).unwrap().to_string(), expected, "{yaml}");
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let mut diagnostics = Diagnostics::default();
    let yaml = "a: ${ }\nb: [\"${ x | uper }\", .inf]\nc: ${ a # b }\n\"${ k }\": 1\n";
    assert!(Template::compile(&node(yaml), &AnyName, &mut diagnostics).is_none());
    assert_eq!(
        diagnostics.codes(),
        ["expr.empty", "expr.unknown-filter", "yaml.number", "expr.unclosed", "expr.key"]
    );
    let shown = diagnostics.render(false);
    for place in ["flow.yaml:1:4", "flow.yaml:2:13", "flow.yaml:3:4", "flow.yaml:4:1"] {
        assert!(shown.contains(place), "{place}: {shown}");
    }
}

#[test]
fn a_failure_points_into_the_file() {
    let template = compile("a:\n  - |\n    one ${ n }\n    two ${ webhook.body.nmae }\n");
    let error = template.eval(&env(SCOPE)).unwrap_err();
    assert_eq!(error.code.0, "expr.missing");
    assert_eq!((error.span.position().line, error.span.text()), (4, "webhook.body.nmae"));
}

#[test]
fn the_marks_of_other_languages_are_noticed() {
    for (yaml, expected) in [
        ("'Hello, {{ name }}!'", "flow.yaml:1:9"),
        ("{a: ['{% if x %}']}", "flow.yaml:1:7"),
        ("'${ n } and {{ n }}'", "flow.yaml:1:13"),
    ] {
        let mut diagnostics = Diagnostics::default();
        assert!(Template::compile(&node(yaml), &AnyName, &mut diagnostics).is_some(), "{yaml}");
        let shown = diagnostics.render(false);
        assert_eq!(diagnostics.codes(), ["expr.other-marks"], "{yaml}: {shown}");
        assert!(shown.contains(expected), "{yaml}: {shown}");
    }
    for yaml in ["'{\"a\":{\"b\":{}}}'", "\"${ '{{ n }}' }\"", "'100 %} {{'"] {
        compile(yaml);
    }
}
