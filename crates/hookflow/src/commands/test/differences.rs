//! Where what came is not what was expected: the path to it, and both values.

use hookflow_text::Json;

/// How many differences of one value are told.
const MOST: usize = 20;

/// One place at which what came is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// Where: `answer.json.items[0].sku`; empty when the test itself could not be run as written.
    pub(super) at: String,
    /// What was expected.
    pub(super) expected: String,
    /// What came.
    pub(super) actual: String,
}

impl Difference {
    pub(super) fn new(at: impl Into<String>, expected: impl Into<String>, actual: impl Into<String>) -> Self {
        Self { at: at.into(), expected: expected.into(), actual: actual.into() }
    }

    /// What keeps the test from being one.
    pub(super) fn problem(why: String) -> Self {
        Self::new("", "", why)
    }
}

/// Compares two values. `contains`: what stands beside what is expected in an object does not matter.
pub(super) fn compare(at: &str, expected: &Json, actual: &Json, contains: bool) -> Vec<Difference> {
    let mut out = Vec::new();
    walk(at, expected, actual, contains, &mut out);
    out
}

fn walk(at: &str, expected: &Json, actual: &Json, contains: bool, out: &mut Vec<Difference>) {
    if out.len() >= MOST {
        return;
    }
    match (expected, actual) {
        (Json::Object(wanted), Json::Object(got)) => {
            for (key, value) in wanted {
                let at = child(at, key);
                match got.get(key) {
                    Some(actual) => walk(&at, value, actual, contains, out),
                    None => out.push(Difference::new(at, value.to_string(), "nothing")),
                }
            }
            if !contains {
                let more = got.iter().filter(|(key, _)| !wanted.contains_key(key.as_str()));
                out.extend(
                    more.map(|(key, value)| Difference::new(child(at, key), "nothing", value.to_string())),
                );
            }
        }
        (Json::Array(wanted), Json::Array(got)) => {
            for (n, value) in wanted.iter().enumerate() {
                let at = format!("{at}[{n}]");
                match got.get(n) {
                    Some(actual) => walk(&at, value, actual, contains, out),
                    None => out.push(Difference::new(at, value.to_string(), "nothing")),
                }
            }
            let more = got.iter().enumerate().skip(wanted.len());
            out.extend(
                more.map(|(n, value)| Difference::new(format!("{at}[{n}]"), "nothing", value.to_string())),
            );
        }
        (Json::Number(wanted), Json::Number(got)) if is_same(&wanted.to_string(), &got.to_string()) => {}
        (wanted, got) if wanted == got => {}
        (wanted, got) => out.push(Difference::new(at, wanted.to_string(), got.to_string())),
    }
}

fn child(at: &str, key: &str) -> String {
    if !key.is_empty() && key.chars().all(|it| it.is_ascii_alphanumeric() || it == '_') {
        format!("{at}.{key}")
    } else {
        format!("{at}[{key:?}]")
    }
}

/// `10.0` is 10, as far as a float can tell; longer numbers are compared as they are written.
fn is_same(wanted: &str, got: &str) -> bool {
    let float = |text: &str| text.parse::<f64>().ok().filter(|_| text.len() <= 15);
    wanted == got || matches!((float(wanted), float(got)), (Some(a), Some(b)) if a.total_cmp(&b).is_eq())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn places(expected: &Json, actual: &Json, contains: bool) -> Vec<String> {
        compare("a", expected, actual, contains).into_iter().map(|it| it.at).collect()
    }

    #[test]
    fn every_place_that_differs_is_told_with_its_path() {
        let actual = json!({"id": 1, "items": [{"sku": "x"}, {"sku": "y"}], "odd key": true, "more": 1});
        let wanted = json!({"id": 2, "items": [{"sku": "x"}, {"sku": "z"}, 3], "odd key": false});
        assert_eq!(
            places(&wanted, &actual, false),
            ["a.id", "a.items[1].sku", "a.items[2]", "a[\"odd key\"]", "a.more"]
        );
        assert_eq!(places(&json!({"more": 1}), &actual, true), [""; 0]);
        assert_eq!(places(&json!({"items": []}), &actual, true), ["a.items[0]", "a.items[1]"]);
    }

    #[test]
    fn numbers_are_compared_by_value_and_long_ones_as_written() {
        let number = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        for (wanted, got, same) in [
            ("10", "10.0", true),
            ("1e2", "100", true),
            ("10", "10.5", false),
            ("12345678901234567890", "12345678901234567891", false),
        ] {
            assert_eq!(places(&number(wanted), &number(got), false).is_empty(), same, "{wanted} {got}");
        }
        assert_eq!(places(&json!("1"), &json!(1), false).len(), 1);
    }
}
