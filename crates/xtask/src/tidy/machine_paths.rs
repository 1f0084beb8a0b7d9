//! The project does not know on which machine it was written.

use super::Finding;
use crate::tree::Tree;

// In two parts, so that this file does not hold them.
const PATHS: &[&str] = &[concat!("/", "root/"), concat!("/", "work/")];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (number, line) in (1..).zip(file.text.lines()) {
            if let Some(path) = PATHS.iter().find(|path| begins_in(line, path)) {
                let what = format!("`{path}` is a folder of one machine");
                findings.push(Finding::new(&file.path, number, what));
            }
        }
    }
    findings
}

/// Whether an absolute path begins so, which the same letters inside a longer path or URL do not.
fn begins_in(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().last());
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-}*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_machines_path_is_found_and_a_part_of_one_is_not() {
        for path in PATHS {
            for bad in [format!("cd {path}x"), format!("{path}x"), format!("a: \"{path}\"")] {
                assert_eq!(check(&sample(&[("README.md", &bad)])).len(), 1, "{bad}");
            }
            let good = format!("https://a.example{path}x and src{path}");
            assert!(check(&sample(&[("README.md", &good)])).is_empty(), "{good}");
        }
    }
}
