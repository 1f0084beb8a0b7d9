//! `cargo xtask tidy`: the rules that no compiler holds. One rule is one file; this page says what a rule
//! is, lists them, and says which files are excused and why.
//!
//! All findings are reported at once. The exceptions are named one by one, and one that is no longer
//! needed is a finding itself, so the list only shrinks.

mod allow_attributes;
mod banned_crates;
mod codes;
mod crate_count;
mod file_names;
mod file_sizes;
mod machine_paths;
mod one_sql;
mod paper_paths;
mod pure_core;
mod step_kinds;
mod tables;
mod walls;

use crate::tree::Tree;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// A rule of the house.
struct Rule {
    name: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    Rule { name: "allow-attributes", check: allow_attributes::check },
    Rule { name: "banned-crates", check: banned_crates::check },
    Rule { name: "codes", check: codes::check },
    Rule { name: "crate-count", check: crate_count::check },
    Rule { name: "file-names", check: file_names::check },
    Rule { name: "file-sizes", check: file_sizes::check },
    Rule { name: "machine-paths", check: machine_paths::check },
    Rule { name: "one-sql", check: one_sql::check },
    Rule { name: "paper-paths", check: paper_paths::check },
    Rule { name: "pure-core", check: pure_core::check },
    Rule { name: "step-kinds", check: step_kinds::check },
    Rule { name: "tables", check: tables::check },
    Rule { name: "walls", check: walls::check },
];

/// A file that one rule passes over.
struct Exception {
    rule: &'static str,
    file: &'static str,
    reason: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: "step-kinds",
        file: "crates/hookflow-flow/src/lowering/names.rs",
        reason: "`run` is also what expressions call the run itself",
    },
    Exception {
        rule: "step-kinds",
        file: "crates/hookflow-flow/src/run/scope.rs",
        reason: "`run` is also what expressions call the run itself",
    },
    Exception {
        rule: "tables",
        file: "crates/hookflow-expr/src/functions.rs",
        reason: "its files are families, and the list is in the order of the functions' names, which a test of its own holds",
    },
    Exception {
        rule: "tables",
        file: "crates/hookflow-trigger/src/decoders.rs",
        reason: "`bytes` suits every media type, so it is asked last",
    },
];

/// One place where a rule does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    file: String,
    line: usize,
    what: String,
}

impl Finding {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Prints all findings in the project in `root`.
///
/// # Errors
/// When the tree cannot be read.
pub fn run(root: &Path) -> anyhow::Result<ExitCode> {
    let findings = check(&Tree::read(root)?);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} rules hold", RULES.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!("tidy: {} findings", findings.len());
    Ok(ExitCode::FAILURE)
}

/// All findings in a tree, sorted by place.
pub fn check(tree: &Tree) -> Vec<Finding> {
    judge(tree, RULES, EXCEPTIONS)
}

fn judge(tree: &Tree, rules: &[Rule], exceptions: &[Exception]) -> Vec<Finding> {
    let mut used = vec![false; exceptions.len()];
    let mut findings = Vec::new();
    for rule in rules {
        for mut finding in (rule.check)(tree) {
            let excused =
                |exception: &Exception| exception.rule == rule.name && exception.file == finding.file;
            if let Some((_, used)) =
                exceptions.iter().zip(&mut used).find(|(exception, _)| excused(exception))
            {
                *used = true;
                continue;
            }
            finding.what = format!("{} [{}]", finding.what, rule.name);
            findings.push(finding);
        }
    }
    for (exception, _) in exceptions.iter().zip(used).filter(|(_, used)| !used) {
        let what = format!("no longer needs its exception from {} ({})", exception.rule, exception.reason);
        findings.push(Finding::new(exception.file, 1, what));
    }
    findings.sort();
    findings
}

#[cfg(test)]
fn sample(files: &[(&str, &str)]) -> Tree {
    let files = files
        .iter()
        .map(|(path, text)| crate::tree::File { path: (*path).into(), text: (*text).into() })
        .collect();
    Tree { files, ..Tree::default() }
}

#[cfg(test)]
fn package(name: &str, dependencies: &[&str]) -> crate::tree::Package {
    crate::tree::Package {
        name: name.into(),
        manifest: format!("crates/{name}/Cargo.toml"),
        dependencies: dependencies.iter().map(|name| (*name).into()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_MOD: &[Rule] = &[Rule { name: "file-names", check: file_names::check }];

    #[test]
    fn an_exception_excuses_its_file_alone_and_does_not_outlive_its_need() {
        let exceptions = &[Exception { rule: "file-names", file: "crates/a/src/mod.rs", reason: "a test" }];
        let tree = sample(&[("crates/a/src/mod.rs", ""), ("crates/b/src/mod.rs", "")]);
        let found = judge(&tree, NO_MOD, exceptions);
        assert_eq!(
            found.iter().map(|finding| finding.file.as_str()).collect::<Vec<_>>(),
            ["crates/b/src/mod.rs"]
        );
        assert!(found.iter().all(|finding| finding.to_string().ends_with("[file-names]")));
        let found = judge(&sample(&[]), NO_MOD, exceptions);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains("no longer needs"));
    }

    #[test]
    fn the_rules_are_listed_in_order() {
        assert!(RULES.is_sorted_by_key(|rule| rule.name));
    }
}
