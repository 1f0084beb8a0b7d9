use super::*;
use hookflow_text::{Source, parse};

fn read<T>(text: &str, load: fn(&Node, &mut Diagnostics) -> Option<T>) -> (Option<T>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let node = parse(&Source::new("a.yaml", text), &mut diagnostics).unwrap();
    let value = load(&node, &mut diagnostics);
    (value, diagnostics)
}

fn pattern(text: &str) -> PathPattern {
    let (pattern, diagnostics) = read(&format!("'{text}'"), PathPattern::load);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    pattern.unwrap()
}

fn matches(path: &str, suffix: &str) -> Option<String> {
    let params = pattern(path).matches(suffix)?;
    Some(params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
}

#[test]
fn patterns_take_whole_suffixes() {
    for (path, suffix, expected) in [
        ("/", "", Some("")),
        ("/", "/", Some("")),
        ("/", "/x", None),
        ("/orders", "/orders", Some("")),
        ("/orders", "/orders/", None),
        ("/orders", "/Orders", None),
        ("/orders", "/%6Frders", Some("")),
        ("/orders/{id}", "/orders/A-1", Some("id=A-1")),
        ("/orders/{id}", "/orders/", None),
        ("/orders/{id}", "/orders", None),
        ("/orders/{id}", "/orders/a/b", None),
        ("/orders/{id}", "/orders/a%2Fb%20%C3%A9", Some("id=a/b é")),
        ("/orders/{id}", "/orders/%FF", None),
        ("/{a}/x/{b}", "/1/x/2", Some("a=1 b=2")),
    ] {
        assert_eq!(matches(path, suffix).as_deref(), expected, "{path} {suffix}");
    }
    assert_eq!(PathPattern::default().matches("/any/thing"), Some(Vec::new()));
    assert_eq!(PathPattern::default().matches(""), Some(Vec::new()));
}

#[test]
fn wrong_paths_say_where_and_why() {
    for (text, expected) in [
        ("orders", "begins with `/`"),
        ("/or ders", "no spaces"),
        ("/orders/{}", "needs a name"),
        ("/orders/{1a}", "needs a name"),
        ("/orders/{id}.json", "whole segment"),
        ("/{id}/{id}", "stands twice"),
        ("/a?b", "'?'"),
        ("/a%20b", "character itself"),
    ] {
        let (value, diagnostics) = read(&format!("'{text}'"), PathPattern::load);
        assert_eq!(value, None, "{text}");
        assert_eq!(diagnostics.codes(), ["webhook.path"], "{text}");
        assert!(diagnostics.render(false).contains(expected), "{text}");
    }
}

#[test]
fn a_parameter_of_another_language_is_noticed() {
    let (value, diagnostics) = read("/orders/:id", PathPattern::load);
    assert!(value.unwrap().matches("/orders/:id").is_some(), "it is text");
    let shown = diagnostics.render(false);
    assert!(shown.contains("warning[webhook.path]") && shown.contains("`{id}`"), "{shown}");
}

#[test]
fn conflicts_are_suffixes_both_would_take() {
    for (a, b, expected) in [
        ("/orders", "/orders", true),
        ("/orders", "/items", false),
        ("/orders/{id}", "/orders/new", true),
        ("/orders/{id}", "/items/{id}", false),
        ("/orders/{id}", "/orders/", false),
        ("/{a}", "/{b}/{c}", false),
    ] {
        assert_eq!(pattern(a).conflicts(&pattern(b)), expected, "{a} {b}");
        assert_eq!(pattern(b).conflicts(&pattern(a)), expected, "{b} {a}");
    }
    assert!(PathPattern::default().conflicts(&pattern("/x")));
    assert_eq!(pattern("/{a}/x/{b}").params().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn methods_are_a_closed_list() {
    let (methods, diagnostics) = read("[POST, GET, POST]", Methods::load);
    assert!(diagnostics.is_empty());
    let methods = methods.unwrap();
    assert_eq!(methods.allow(), "POST, GET, HEAD");
    assert!(methods.contains(&Method::GET) && !methods.contains(&Method::HEAD));
    assert_eq!(read("PUT", Methods::load).0.unwrap().allow(), "PUT, HEAD");
    assert_eq!(Methods::default().allow(), "POST, HEAD");
    for (text, code) in [("[]", "webhook.methods"), ("[post]", "yaml.word"), ("[HEAD]", "yaml.word")] {
        assert_eq!(read(text, Methods::load).1.codes(), [code], "{text}");
    }
}
