//! The law of the rooms: the plural file is a table that names every file of its folder, in order.

use super::Finding;
use crate::tree::{File, Tree};

const TABLES: &[&str] = &[
    "auth_schemes",
    "backends",
    "commands",
    "decoders",
    "endpoints",
    "functions",
    "handshakes",
    "pages",
    "sections",
    "senders",
    "step_kinds",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let is_table = |file: &&File| file.is_rust() && file.stem().is_some_and(|stem| TABLES.contains(&stem));
    tree.files.iter().filter(is_table).flat_map(|table| judge(tree, table)).collect()
}

fn judge(tree: &Tree, table: &File) -> Vec<Finding> {
    let folder = format!("{}/", table.path.trim_end_matches(".rs"));
    let entries = tree.files.iter().filter_map(|file| {
        let name = file.path.strip_prefix(&folder)?.strip_suffix(".rs")?;
        (!name.contains('/') && name != "tests").then_some((file, name))
    });
    let mut findings = Vec::new();
    let mut last = None;
    for (file, name) in entries {
        if !table.code().any(|(_, line)| declares(line, name)) {
            let what = format!("{} does not say `mod {name};`", table.path);
            findings.push(Finding::new(&file.path, 1, what));
        }
        let Some(place) = table.code().find_map(|(number, line)| Some((number, entry(line, name)?))) else {
            let what = format!("{} has no entry `{name}::…`", table.path);
            findings.push(Finding::new(&file.path, 1, what));
            continue;
        };
        // The files come in alphabetic order, so the entries must too.
        match last {
            Some((before, earlier)) if place < before => {
                let what = format!("`{name}` stands before `{earlier}`; the table is alphabetic");
                findings.push(Finding::new(&table.path, place.0, what));
            }
            _ => last = Some((place, name)),
        }
    }
    findings
}

fn declares(line: &str, name: &str) -> bool {
    let mut words = line.trim().trim_end_matches(';').rsplit(' ');
    words.next().map(|word| word.trim_start_matches("r#")) == Some(name) && words.next() == Some("mod")
}

/// Where in a line something of the module is used.
fn entry(line: &str, name: &str) -> Option<usize> {
    if ["use ", "pub use ", "pub(crate) use "].iter().any(|word| line.trim_start().starts_with(word)) {
        return None;
    }
    line.match_indices(&format!("{name}::")).map(|(at, _)| at).find(|at| {
        !line.get(..*at).is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn found(table: &str) -> Vec<String> {
        let folder = "crates/hookflow-expr/src/functions";
        let tree = sample(&[
            (&format!("{folder}.rs"), table),
            (&format!("{folder}/dates.rs"), ""),
            (&format!("{folder}/text.rs"), ""),
            (&format!("{folder}/text/tests.rs"), ""),
        ]);
        check(&tree).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_table_names_its_folder_in_order() {
        let mods = "mod r#dates;\npub(crate) mod text;\n";
        assert!(found(&format!("{mods}const ALL: &[F] = &[\n    dates::F,\n    text::F,\n];\n")).is_empty());
        assert_eq!(
            found(&format!("{mods}const ALL: &[F] = &[text::F,\n dates::F];\n")),
            ["`text` stands before `dates`; the table is alphabetic"]
        );
        assert_eq!(found("mod dates;\nconst ALL: &[F] = &[dates::F];\n").len(), 2);
        assert_eq!(
            found(&format!("{mods}use text::F;\nconst ALL: &[F] = &[dates::F, context::F];\n")),
            ["crates/hookflow-expr/src/functions.rs has no entry `text::…`"]
        );
    }
}
