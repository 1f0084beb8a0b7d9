//! Diagnostics as GitHub's workflow commands, which stand at their lines in a pull request.

use super::Item;
use hookflow_text::Severity;

/// One line for each.
pub(super) fn lines(items: &[Item<'_>]) -> String {
    items.iter().map(line).collect()
}

fn line(item: &Item<'_>) -> String {
    let command = match item.diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let help = item.diagnostic.help.as_ref().map(|help| format!("\n{help}"));
    format!(
        "::{command} file={},line={},endLine={},col={},endColumn={},title={}::{}\n",
        property(&item.file),
        item.begin.line,
        item.end.line,
        item.begin.column,
        item.end.column,
        property(item.diagnostic.code.0),
        data(&format!("{}{}", item.diagnostic.message, help.unwrap_or_default())),
    )
}

/// As the runner's own toolkit escapes the text behind `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// As it escapes a property, which ends at a comma or a colon.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
