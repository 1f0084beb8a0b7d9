//! How diagnostics are told: to people with a snippet each, to programs as a list.

mod github;
mod sarif;

use crate::terminal::Terminal;
use hookflow_text::{Diagnostic, Diagnostics, Json, Position, Severity, Span};
use serde_json::json;
use std::io;
use std::path::Path;

/// How many warnings are told by a command that does not look for them.
const TOLD: usize = 20;

/// Writes every diagnostic for people, to standard error.
pub(crate) fn write_all(diagnostics: &Diagnostics, terminal: &mut Terminal) -> io::Result<()> {
    if diagnostics.is_empty() {
        return Ok(());
    }
    writeln!(terminal.err, "{}", diagnostics.render(terminal.color))
}

/// The same, but of warnings that stop nothing only the first.
pub(crate) fn write(diagnostics: &Diagnostics, terminal: &mut Terminal) -> io::Result<()> {
    let (errors, warnings) = diagnostics.counts();
    if errors > 0 || warnings <= TOLD {
        return write_all(diagnostics, terminal);
    }
    writeln!(terminal.err, "{}", diagnostics.render_first(TOLD, terminal.color))?;
    writeln!(terminal.err, "… and {}: `hookflow check` tells all\n", count(warnings - TOLD, "more warning"))
}

/// Every diagnostic for programs, in the order of the files.
pub(crate) fn to_json(diagnostics: &Diagnostics) -> Vec<Json> {
    let items = diagnostics.sorted().into_iter().map(|diagnostic| {
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

/// Every diagnostic as a line that GitHub shows beside the code.
pub(crate) fn to_github(diagnostics: &Diagnostics, folder: &Path) -> String {
    github::lines(&items(diagnostics, folder))
}

/// Every diagnostic as SARIF 2.1.0.
pub(crate) fn to_sarif(diagnostics: &Diagnostics, folder: &Path) -> Json {
    sarif::log(&items(diagnostics, folder))
}

/// A diagnostic with the path of its file from where the command was started: that is what other tools know.
struct Item<'d> {
    diagnostic: &'d Diagnostic,
    folder: &'d Path,
    file: String,
    begin: Position,
    end: Position,
}

impl Item<'_> {
    fn path_of(&self, span: &Span) -> String {
        path_of(self.folder, span)
    }
}

fn items<'d>(diagnostics: &'d Diagnostics, folder: &'d Path) -> Vec<Item<'d>> {
    let items = diagnostics.sorted().into_iter().map(|diagnostic| Item {
        diagnostic,
        folder,
        file: path_of(folder, &diagnostic.span),
        begin: diagnostic.span.position(),
        end: diagnostic.span.end_position(),
    });
    items.collect()
}

fn path_of(folder: &Path, span: &Span) -> String {
    let path = folder.join(&span.source.name);
    path.strip_prefix(".").unwrap_or(&path).display().to_string()
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
