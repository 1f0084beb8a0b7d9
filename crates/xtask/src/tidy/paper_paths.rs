//! A path that a paper names is there. A map that shows rooms that were moved is worse than none.

use super::Finding;
use crate::tree::Tree;

const TOPS: &[&str] = &[".ci/", "config/", "crates/", "docs/", "flows/", "tests/"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for paper in tree.files.iter().filter(|file| file.extension() == Some("md")) {
        for (number, line) in (1..).zip(paper.text.lines()) {
            // Every second part stands between backticks.
            for word in line.split('`').skip(1).step_by(2).filter(|word| is_path(word)) {
                let folder = format!("{}/", word.trim_end_matches('/'));
                if !tree.files.iter().any(|file| file.path == *word || file.path.starts_with(&folder)) {
                    findings.push(Finding::new(&paper.path, number, format!("there is no `{word}`")));
                }
            }
        }
    }
    findings
}

/// Whether it is one path from the top; `<name>`, `*` and words beside it make it a pattern or a command.
fn is_path(word: &str) -> bool {
    TOPS.iter().any(|top| word.starts_with(top)) && !word.contains(['<', '*', '{', '…', ' '])
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_path_that_is_gone_is_found() {
        let text = "`crates/a/src/b.rs` in `crates/a` and `crates/a/`\n`crates/<name>/x.rs` `docs/*.md` config/x\n`docs/gone.md`\n";
        let found = check(&sample(&[("README.md", text), ("crates/a/src/b.rs", "")]));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [3]);
    }
}
