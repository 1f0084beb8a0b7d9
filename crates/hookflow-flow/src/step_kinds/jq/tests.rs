use super::filter::{Filter, Stopped};
use super::meter::BUDGET;
use hookflow_text::Json;
use serde_json::json;

fn run(filter: &str, value: &Json) -> Result<Json, Stopped> {
    match Filter::compile(filter) {
        Ok(filter) => filter.run(value),
        Err(problems) => panic!("{filter}: {problems:?}"),
    }
}

#[test]
fn filters_give_what_jq_gives() {
    let order = json!({"id": "A-1", "lines": [{"sku": "x", "qty": 2}, {"sku": "y", "qty": 3}], "note": null});
    for (filter, expected) in [
        (".id", json!("A-1")),
        (".lines | length", json!(2)),
        ("[.lines[] | select(.qty > 2) | .sku]", json!(["y"])),
        ("reduce .lines[] as $l (0; . + $l.qty)", json!(5)),
        ("[.lines[].sku] | join(\",\")", json!("x,y")),
        (".lines | map({(.sku): .qty}) | add", json!({"x": 2, "y": 3})),
        (".note // \"none\"", json!("none")),
        ("if .note then 1 else 2 end", json!(2)),
        (".lines[0] as {sku: $s, qty: $q} | \"\\($s) × \\($q)\"", json!("x × 2")),
        ("def twice: . * 2; .lines[1].qty | twice", json!(6)),
        ("def f($n): if $n > 3000 then $n else f($n + 1) end; f(0)", json!(3001)),
        ("[limit(3; repeat(1))]", json!([1, 1, 1])),
        ("[range(0; 10; 3)]", json!([0, 3, 6, 9])),
        ("del(.lines[0], .note) | keys", json!(["id", "lines"])),
        (".lines[].qty |= . + 1 | [.lines[].qty]", json!([3, 4])),
        (".lines[1].sku = \"z\" | .lines[1].sku", json!("z")),
        ("[paths]| length", json!(9)),
        ("[.. | numbers]", json!([2, 3])),
        (".id | test(\"^A\")", json!(true)),
        (".id | sub(\"-(?<n>[0-9])\"; \"/\\(.n)\")", json!("A/1")),
        (".id | split(\"-\")", json!(["A", "1"])),
        (".id | [match(\"[A-Z]\"; \"g\").string]", json!(["A"])),
        ("\"[1,{\\\"a\\\":2}]\" | fromjson", json!([1, {"a": 2}])),
        ("\"12\" | tonumber", json!(12)),
        ("try error(\"no\") catch .", json!("no")),
        (".id.x? // 7", json!(7)),
        ("label $out | foreach .lines[] as $l (0; . + 1; if . == 1 then ., break $out else . end)", json!(1)),
        ("10 / 2", json!(5)),
        ("[(1, 2) * (10, 20)]", json!([10, 20, 20, 40])),
        ("\"ab\" * 2", json!("abab")),
        ("{a: {b: 1}} * {a: {c: 2}}", json!({"a": {"b": 1, "c": 2}})),
        ("7 / 2", json!(3.5)),
        ("nan", json!(null)),
        ("empty", json!(null)),
        ("to_entries | map(.key) | join(\" \")", json!("id lines note")),
        ("0 | todate", json!("1970-01-01T00:00:00Z")),
        ("\"2020-01-01T00:00:00Z\" | fromdate", json!(1_577_836_800)),
        ("@base64 \"\\(.id)\"", json!("QS0x")),
        ("walk(if type == \"number\" then . + 1 else . end) | .lines[0].qty", json!(3)),
    ] {
        let made = run(filter, &order).map(|made| made.to_string());
        assert_eq!(made, Ok(expected.to_string()), "{filter}");
    }
}

#[test]
fn numbers_pass_through_as_they_are_written() {
    for number in ["10.10", "123456789012345678901234567890", "1E400", "0.1000000000000000055511151231257827"]
    {
        let value: Json = serde_json::from_str(&format!("{{\"n\":[{number}]}}")).unwrap();
        assert_eq!(run("{m: .n[0]}", &value).unwrap()["m"].to_string(), value["n"][0].to_string());
    }
    let id: Json = serde_json::from_str("123456789012345678901234567890").unwrap();
    assert_eq!(run(". + 1", &id).unwrap().to_string(), "123456789012345678901234567891");
}

/// None of these ends by itself, or only after it has taken all memory; each ends at a bound here, `try` or not.
#[test]
fn hostile_filters_end_at_a_bound() {
    for filter in [
        "def f: f; f",
        "def f: 1 + f; f",
        "def f: [f]; f",
        "def f(g): f(g | g); f(.)",
        "[range(1e18)]",
        "last(range(1e18))",
        "range(1e18) | select(. < 0)",
        "[limit(1e9; repeat(1))]",
        "until(false; .)",
        "[recurse(.)]",
        "first(range(1e18; 0; -1) | select(. < 0))",
        "reduce range(1000) as $i (\"x\"; . + .)",
        "reduce range(100) as $i (\"x\"; . * 1000)",
        "reduce range(1000) as $i (2; . * .)",
        "reduce range(100) as $i (1; [., .])",
        "reduce range(100) as $i ({}; {a: ., b: .})",
        "reduce range(100) as $i ([1]; . + .)",
        "reduce range(100) as $i ({}; . as $x | .a = $x | .b = $x)",
        "reduce range(1000) as $i (1; [.])",
        "reduce range(100) as $i (\"\\\\\"; tojson)",
        "[range(1000)] as $a | [$a[] == $a[] == true]",
        "[range(1000)] as $a | [$a[$a[]:$a[]]]",
        "[range(1000)] as $a | [fma($a[]; $a[]; $a[])]",
        "[range(1000)] as $a | [{a: $a[], b: $a[], c: $a[]}]",
        "[range(1000)] as $a | [$a[] as [$x] ?// $x | $a[] | $a[] | $a[]]",
        "\"a\" * 1000000 | test(\"(a{100}){100}b\")",
        "\"[\" * 100000 | fromjson",
        "\"x\" * 1000000000000000000",
        "10000000000000 * \"x\"",
        "\"x\" * 1000000 | [range(1000000) as $i | ascii_upcase]",
        "try (def f: f; f) catch 1",
        "[.[]?, (try error catch (def f: f; f))]",
        "[combinations(100)]",
    ] {
        match Filter::compile(filter) {
            // Those that call themselves meet the stack, so they get all that a filter gets.
            Ok(compiled) => match compiled
                .run_within(if filter.contains("def ") { BUDGET } else { BUDGET / 16 }, &json!([1, 2, 3]))
            {
                Err(Stopped::Limit(why)) => assert!(!why.is_empty(), "{filter}"),
                other => panic!("{filter}: {:?}", other.map(|made| made.to_string().len())),
            },
            Err(problems) => assert!(filter.contains("?//"), "{filter}: {problems:?}"),
        }
    }
}

#[test]
fn what_a_filter_says_is_short_and_its_own() {
    assert_eq!(
        run(".[] ", &json!([1, 2])),
        Err(Stopped::Failed("the filter has more than one output; put `[ ]` around it to get a list".into()))
    );
    let Err(Stopped::Failed(why)) = run(".a.b", &json!({"a": "x".repeat(100_000)})) else {
        panic!("it should fail")
    };
    assert!(why.starts_with("cannot index") && why.len() < 600, "{why}");
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (filter, at, says, help) in [
        (".a | lenght", "lenght", "there is no filter `lenght` with 0 arguments", "did you mean `length`?"),
        (".a | map(.b", "", "closing parenthesis", ""),
        (".a | | .b", "|", "has `|` where a term belongs", ""),
        (". as $x | $y", "$y", "there is no variable `$y`", ""),
        ("now", "now", "no filter `now`", "nothing but what `of` gives"),
        ("env.HOME", "env", "no filter `env`", "nothing but what `of` gives"),
        ("input", "input", "no filter `input`", "nothing but what `of` gives"),
        ("$ENV.HOME", "$ENV", "no variable `$ENV`", ""),
        ("include \"a\"; .", "\"a\"", "nothing more", ""),
        ("{id: ${ webhook.id }}", "{ webhook", "identifier", "no templates"),
        ("", "", "the end", ""),
        ("!step", "!", "where a term belongs", ""),
    ] {
        let Err(problems) = Filter::compile(filter) else { panic!("{filter} compiles") };
        let first = &problems[0];
        assert!(first.message.contains(says), "{filter}: {problems:?}");
        assert!(filter.get(first.range.clone()).unwrap().starts_with(at), "{filter}: {problems:?}");
        assert!(first.help.as_deref().unwrap_or_default().contains(help), "{filter}: {problems:?}");
    }
    for deep in ["-".repeat(8192), "(".repeat(8192), "[".repeat(4096) + &"]".repeat(4096), "x".repeat(9000)] {
        assert!(Filter::compile(&deep).is_err() || deep.starts_with('['));
    }
}
