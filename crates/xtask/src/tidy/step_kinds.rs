//! Outside its own file and the table, no code knows a step kind by its verb: a new kind must work
//! everywhere without another edit.

use super::Finding;
use crate::tree::{File, Tree};
use std::collections::BTreeSet;

const TABLE: &str = "crates/hookflow-flow/src/step_kinds";
/// Who does not depend on this crate cannot mean a step; `"http"` is a URL's scheme there.
const FLOW: &str = "hookflow-flow";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let (table, rest): (Vec<&File>, Vec<&File>) =
        tree.product().partition(|file| file.path.starts_with(TABLE));
    let verbs = verbs(&table);
    let knows_steps = |file: &&&File| {
        tree.packages.iter().any(|package| {
            let near = package.name == FLOW || package.dependencies.iter().any(|name| name == FLOW);
            near && file.path.starts_with(&format!("crates/{}/", package.name))
        })
    };
    let mut findings = Vec::new();
    for file in rest.iter().filter(knows_steps) {
        for (number, line) in file.code() {
            for verb in verbs.iter().filter(|verb| is_decided_by(line, verb)) {
                let what = format!("decides by the verb `{verb}`; ask the step kind in the table instead");
                findings.push(Finding::new(&file.path, number, what));
            }
        }
    }
    findings
}

/// A kind's verb is its file's name (`if_.rs` is `if`), and whatever the file calls `verb`.
fn verbs(table: &[&File]) -> BTreeSet<String> {
    let mut verbs = BTreeSet::new();
    for file in table {
        let folder = file.path.strip_prefix(TABLE).and_then(|rest| rest.strip_prefix('/'));
        if let Some(stem) =
            folder.and_then(|name| name.strip_suffix(".rs")).filter(|name| !name.contains('/'))
        {
            verbs.insert(stem.trim_end_matches('_').to_owned());
        }
        for (_, line) in file.code() {
            if let Some((verb, _)) = line.split_once("verb: \"").and_then(|(_, rest)| rest.split_once('"')) {
                verbs.insert(verb.to_owned());
            }
        }
    }
    verbs
}

/// Whether the verb stands in a pattern or a comparison.
fn is_decided_by(line: &str, verb: &str) -> bool {
    let Some((before, after)) = line.split_once(&format!("\"{verb}\"")) else {
        return false;
    };
    let (before, after) = (before.trim_end(), after.trim_start());
    let compared = ["==", "!="].iter().any(|sign| before.ends_with(sign) || after.starts_with(sign));
    let one_of = (before.ends_with('|') && !before.ends_with("||"))
        || (after.starts_with('|') && !after.starts_with("||"));
    compared || one_of || after.contains("=>") || line.contains("matches!(")
}

#[cfg(test)]
mod tests {
    use super::super::{package, sample};
    use super::*;

    fn found(path: &str, line: &str) -> usize {
        let kinds = "crates/hookflow-flow/src/step_kinds";
        let mut tree = sample(&[
            (path, line),
            (&format!("{kinds}/http.rs"), "x => y\n"),
            (&format!("{kinds}/if_.rs"), "pub const KIND: StepKind = StepKind { verb: \"if\" };\n"),
        ]);
        tree.packages = vec![
            package("hookflow-engine", &["hookflow-flow"]),
            package("hookflow-flow", &[]),
            package("hookflow-outbound", &[]),
        ];
        check(&tree).len()
    }

    #[test]
    fn deciding_by_a_verb_is_found() {
        let engine = "crates/hookflow-engine/src/a.rs";
        for bad in [
            "\"http\" => call(),",
            "Some(\"http\") => call(),",
            "(\"if\", _) => x,",
            "    | \"http\"",
            "if verb == \"if\" {",
            "if \"if\" != verb {",
            "a == \"if\" || b",
            "matches!(verb, \"http\")",
        ] {
            assert_eq!(found(engine, bad), 1, "{bad}");
        }
        for good in ["say(\"http\")", "// \"http\" => x", "\"https\" => x", "a(\"if\") || b"] {
            assert_eq!(found(engine, good), 0, "{good}");
        }
    }

    #[test]
    fn the_table_and_those_who_know_no_steps_are_free() {
        assert_eq!(found("crates/hookflow-flow/src/run.rs", "\"http\" => x"), 1);
        assert_eq!(found("crates/hookflow-flow/src/step_kinds.rs", "\"http\" => x"), 0);
        assert_eq!(found("crates/hookflow-outbound/src/a.rs", "\"http\" => 80"), 0);
    }
}
