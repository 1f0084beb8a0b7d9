//! How diagnostics are told: to people with a snippet each, to programs as a list.

use crate::terminal::Terminal;
use hookflow_text::{Diagnostics, Json, Position, Severity};
use serde_json::json;
use std::io;

/// Writes every diagnostic for people, to standard error.
pub(crate) fn write(diagnostics: &Diagnostics, terminal: &mut Terminal) -> io::Result<()> {
    if diagnostics.is_empty() {
        return Ok(());
    }
    writeln!(terminal.err, "{}", diagnostics.render(terminal.color))
}

/// Every diagnostic for programs, in the order of the files.
pub(crate) fn to_json(diagnostics: &Diagnostics) -> Vec<Json> {
    let mut items: Vec<_> = diagnostics.iter().collect();
    items.sort_by(|a, b| {
        (&a.span.source.name, a.span.range.start).cmp(&(&b.span.source.name, b.span.range.start))
    });
    let items = items.into_iter().map(|diagnostic| {
        let Position { line, column } = diagnostic.span.position();
        json!({
            "code": diagnostic.code.0,
            "severity": match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            "message": diagnostic.message,
            "file": diagnostic.span.source.name,
            "line": line,
            "column": column,
            "help": diagnostic.help,
        })
    });
    items.collect()
}

/// `1 error, 2 warnings`.
pub(crate) fn counts(diagnostics: &Diagnostics) -> String {
    let (errors, warnings) = diagnostics.counts();
    format!("{}, {}", count(errors, "error"), count(warnings, "warning"))
}

/// `1 flow`, `2 flows`.
pub(crate) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
