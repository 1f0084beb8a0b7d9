//! The results of tests, for people and for programs.

use super::{Difference, Outcome, TestOutcome};
use crate::report::count;
use hookflow_text::Json;
use serde_json::json;

pub(super) fn to_text(outcome: &Outcome) -> String {
    let mut text = String::new();
    for flow in outcome.flows.iter().filter(|flow| !flow.tests.is_empty()) {
        text.push_str(&format!("{}\n", flow.flow));
        for test in &flow.tests {
            text.push_str(&test_text(test));
        }
        let (seen, all) = flow.coverage.counts();
        text.push_str(&format!("  coverage: {} % ({seen} of {all})\n", flow.coverage.percent()));
        for missed in flow.coverage.missed() {
            text.push_str(&format!(
                "    never: {}:{}:{} {}\n",
                missed.file, missed.line, missed.column, missed.what
            ));
        }
        text.push('\n');
    }
    if !outcome.untested.is_empty() {
        let names: Vec<_> = outcome.untested.iter().map(|flow| &**flow).collect();
        text.push_str(&format!("without tests: {}\n", names.join(", ")));
    }
    let (all, failed) = (outcome.tests().count(), outcome.failed());
    text.push_str(&format!("{}: {} passed, {failed} failed\n", count(all, "test"), all - failed));
    text
}

fn test_text(outcome: &TestOutcome) -> String {
    if outcome.differences.is_empty() {
        return format!("  ok    {}\n", outcome.name);
    }
    let (file, line, column) = &outcome.place;
    let mut text = format!("  FAIL  {} ({file}:{line}:{column})\n", outcome.name);
    for line in differences(outcome) {
        text.push_str(&format!("        {line}\n"));
    }
    text
}

/// What is not as expected, and which steps ran, line by line.
pub(super) fn differences(test: &TestOutcome) -> Vec<String> {
    let mut lines = Vec::new();
    for Difference { at, expected, actual } in &test.differences {
        if at.is_empty() {
            lines.push(actual.clone());
        } else {
            lines.extend([at.clone(), format!("  expected  {expected}"), format!("  actual    {actual}")]);
        }
    }
    let ran: Vec<_> = test.ran.iter().map(|step| &**step).collect();
    if ran.is_empty() {
        lines.push("no step ran".into());
    } else {
        lines.push(format!("steps that ran: {}", ran.join(", ")));
    }
    lines
}

pub(super) fn to_json(outcome: &Outcome) -> Json {
    let tests = outcome.flows.iter().flat_map(|flow| {
        flow.tests.iter().map(|test| {
            let (file, line, column) = &test.place;
            let differences = test
                .differences
                .iter()
                .map(|it| json!({"at": it.at, "expected": it.expected, "actual": it.actual}));
            json!({
                "flow": &*flow.flow,
                "name": test.name,
                "passed": test.differences.is_empty(),
                "file": file,
                "line": line,
                "column": column,
                "took_ms": u64::try_from(test.took.as_millis()).unwrap_or(u64::MAX),
                "ran": test.ran.iter().map(|step| &**step).collect::<Vec<_>>(),
                "differences": differences.collect::<Vec<_>>(),
            })
        })
    });
    let coverage = outcome.flows.iter().map(|flow| {
        let (seen, all) = flow.coverage.counts();
        let missed = flow
            .coverage
            .missed()
            .into_iter()
            .map(|it| json!({"file": it.file, "line": it.line, "column": it.column, "what": it.what}));
        json!({
            "flow": &*flow.flow,
            "percent": flow.coverage.percent(),
            "seen": seen,
            "of": all,
            "missed": missed.collect::<Vec<_>>(),
        })
    });
    let (all, failed) = (outcome.tests().count(), outcome.failed());
    json!({
        "items": tests.collect::<Vec<_>>(),
        "next": null,
        "coverage": coverage.collect::<Vec<_>>(),
        "untested": outcome.untested.iter().map(|flow| &**flow).collect::<Vec<_>>(),
        "passed": all - failed,
        "failed": failed,
    })
}
