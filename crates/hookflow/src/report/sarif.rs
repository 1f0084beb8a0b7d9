//! Diagnostics as SARIF 2.1.0, which code scanning and editors read.

use super::Item;
use crate::pages;
use hookflow_text::{Json, Severity, Span};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use std::collections::BTreeSet;

/// What a path keeps in a URL.
const IN_PATHS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// The whole log.
pub(super) fn log(items: &[Item<'_>]) -> Json {
    let codes: BTreeSet<_> = items.iter().map(|item| item.diagnostic.code.0).collect();
    let rules: Vec<_> = codes.iter().map(|code| rule(code)).collect();
    let index = |code: &str| codes.iter().position(|known| *known == code);
    let results: Vec<_> = items.iter().map(|item| result(item, index(item.diagnostic.code.0))).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "hookflow",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: &str) -> Json {
    let page = pages::code(code).unwrap_or_default();
    json!({
        "id": code,
        "shortDescription": {"text": code},
        "fullDescription": {"text": pages::summary(page)},
        "help": {"text": page, "markdown": page},
    })
}

fn result(item: &Item<'_>, rule: Option<usize>) -> Json {
    let diagnostic = item.diagnostic;
    let help = diagnostic.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    let related: Vec<_> = (0..)
        .zip(&diagnostic.also)
        .map(|(id, (span, label)): (usize, _)| {
            let mut place = location(&item.path_of(span), span);
            if let Json::Object(place) = &mut place {
                place.insert("id".into(), json!(id));
                place.insert("message".into(), json!({"text": label}));
            }
            place
        })
        .collect();
    json!({
        "ruleId": diagnostic.code.0,
        "ruleIndex": rule,
        "level": match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "message": {"text": format!("{}{help}", diagnostic.message)},
        "locations": [location(&item.file, &diagnostic.span)],
        "relatedLocations": related,
    })
}

fn location(file: &str, span: &Span) -> Json {
    let (begin, end) = (span.position(), span.end_position());
    json!({
        "physicalLocation": {
            "artifactLocation": {"uri": utf8_percent_encode(file, IN_PATHS).to_string()},
            "region": {
                "startLine": begin.line,
                "startColumn": begin.column,
                "endLine": end.line,
                "endColumn": end.column,
            },
        },
    })
}
