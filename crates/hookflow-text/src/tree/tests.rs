use super::*;

fn read(text: &str) -> (Option<Node>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let node = parse(&Source::new("a.yaml", text), &mut diagnostics);
    (node, diagnostics)
}

fn codes(text: &str) -> Vec<&'static str> {
    read(text).1.codes()
}

#[test]
fn spans_cover_what_was_written() {
    let (node, diagnostics) = read("a: 1\nb:\n  - x\n  - {c: d}\n\n\nz: 2\n");
    assert!(diagnostics.is_empty());
    let node = node.unwrap();
    let NodeValue::Map(entries) = &node.value else { panic!("a map") };
    assert_eq!(entries[1].0.span.text(), "b");
    assert_eq!(entries[1].1.span.text(), "- x\n  - {c: d}");
    assert_eq!(entries[2].1.span.position(), crate::Position { line: 7, column: 4 });
}

#[test]
fn a_range_of_a_scalar_finds_its_place() {
    let text = "a: \"x ${ nmae } y\"\nb: |\n  one ${ a }\n  two ${ b }\n";
    let (node, _) = read(text);
    let node = node.unwrap();
    let NodeValue::Map(entries) = &node.value else { panic!("a map") };
    let value = &entries[0].1;
    let at = value.text().find("nmae").unwrap();
    assert_eq!(value.span_within(at..at + 4).position(), crate::Position { line: 1, column: 10 });
    let block = &entries[1].1;
    let at = block.text().rfind("b }").unwrap();
    assert_eq!(block.span_within(at..at + 1).position(), crate::Position { line: 4, column: 10 });
}

#[test]
fn an_empty_file_is_an_empty_map() {
    for text in ["", "# only a comment\n", "\u{feff}"] {
        assert!(
            matches!(read(text).0.unwrap().value, NodeValue::Map(entries) if entries.is_empty()),
            "{text:?}"
        );
    }
}

#[test]
fn what_yaml_allows_and_we_do_not() {
    assert_eq!(codes("a: 1\na: 2\n"), ["yaml.duplicate-key"]);
    assert_eq!(codes("a: &x {b: 1}\nc:\n  <<: *x\n"), ["yaml.merge"]);
    assert_eq!(codes("a: 1\n---\nb: 2\n"), ["yaml.documents"]);
    assert_eq!(codes("? [a, b]\n: 1\n"), ["yaml.key"]);
    assert_eq!(codes(&("- ".repeat(100) + "x")), ["yaml.too-deep"]);
    assert_eq!(codes("a: [1, 2\n"), ["yaml.syntax"]);
    for tagged in ["a: !b\n", "a: !b c\n", "a: !!str 1\n", "a: !x [1]\n", "!x {a: 1}\n"] {
        assert_eq!(codes(tagged), ["yaml.tag"], "{tagged}");
    }
    assert!(codes("a: '!b'\nc: b!\n").is_empty());
    assert!(codes("a: *nobody\n").contains(&"yaml.syntax"));
}

#[test]
fn an_alias_is_followed_and_a_bomb_is_refused() {
    let (node, diagnostics) = read("a: &x [1, 2]\nb: *x\n");
    assert!(diagnostics.is_empty());
    assert_eq!(node.unwrap().to_json(&mut Diagnostics::default()).to_string(), r#"{"a":[1,2],"b":[1,2]}"#);

    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [below.as_str(); 9].join(", "));
    }
    assert_eq!(codes(&bomb), ["yaml.alias-bomb"]);
    assert_eq!(codes(&"- x\n".repeat(100_001)), ["yaml.too-large"]);
    for cycle in ["a: &x [1, *x]\n", "a: &x {b: *x}\n", "&x\na: [*x]\n"] {
        assert_eq!(codes(cycle), ["yaml.alias-cycle"], "{cycle}");
    }
}

#[test]
fn a_syntax_error_near_a_template_says_to_quote_it() {
    let (_, diagnostics) = read("a: [${ b }, ${ {\"c\": 1} }\nd: @{if x}\n");
    assert!(diagnostics.has_errors());
    assert!(diagnostics.render(false).contains("in quotes"), "{}", diagnostics.render(false));
}

proptest::proptest! {
    #[test]
    fn no_text_crashes_the_reader(text in "[\\[\\]{}:,&*|>#'\"\\-\\?! a-c\n\t$@]{0,60}") {
        let (_, diagnostics) = read(&text);
        proptest::prop_assert!(diagnostics.is_empty() || !diagnostics.render(false).is_empty());
    }
}
