//! A lint is set aside with `#[expect(…, reason = "…")]`, which ends with its need; `#[allow]` never ends.

use super::Finding;
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        // Tests too: the attribute must stand at the beginning of its line, so a sample in a text does not count.
        for (number, line) in (1..).zip(file.text.lines()) {
            let line = line.trim_start();
            if line.starts_with("#[allow(") || line.starts_with("#![allow(") {
                findings.push(Finding::new(&file.path, number, "write `#[expect(…, reason = \"…\")]`"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn allow_is_refused_anywhere() {
        let bad = sample(&[("crates/a/src/b.rs", "fn a() {}\n    #[allow(dead_code)]\n#![allow(x)]\n")]);
        assert_eq!(check(&bad).iter().map(|finding| finding.line).collect::<Vec<_>>(), [2, 3]);
        assert!(check(&sample(&[("a.rs", "#[expect(dead_code, reason = \"x\")]\n")])).is_empty());
    }
}
