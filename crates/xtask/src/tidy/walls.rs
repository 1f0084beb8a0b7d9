//! Which crate may need which: only one that lies below it.

use super::Finding;
use crate::tree::Tree;

const LEVELS: &[(&str, u8)] = &[
    ("hookflow-text", 0),
    ("hookflow-expr", 1),
    ("hookflow-runtime", 1),
    ("hookflow-trigger", 2),
    ("hookflow-flow", 3),
    ("hookflow-outbound", 4),
    ("hookflow-store", 4),
    ("hookflow-engine", 5),
    ("hookflow-console", 6),
    ("hookflow-ingress", 6),
    ("hookflow", 7),
    // Beside the house: needs none of it, and none of it needs this.
    ("xtask", 0),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let Some(level) = level(&package.name) else {
            let what = "a new crate gets a level here and in ARCHITECTURE.md";
            findings.push(Finding::new(&package.manifest, 1, what));
            continue;
        };
        for name in &package.dependencies {
            if self::level(name).is_some_and(|below| below >= level || name == "xtask") {
                let what = format!("{} may not need {name}: arrows go down only", package.name);
                findings.push(Finding::new(&package.manifest, tree.line_of(package, name), what));
            }
        }
    }
    findings
}

fn level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use super::super::package;
    use super::*;

    #[test]
    fn arrows_go_down_only() {
        for (name, needs, found) in [
            ("hookflow-engine", "hookflow-flow", 0),
            ("hookflow-flow", "hookflow-engine", 1),
            ("hookflow-ingress", "hookflow-console", 1),
            ("hookflow-store", "hookflow-outbound", 1),
            ("hookflow", "xtask", 1),
            ("hookflow-new", "hookflow-text", 1),
        ] {
            let packages = vec![package(name, &[needs, "serde_json"])];
            assert_eq!(check(&Tree { packages, ..Tree::default() }).len(), found, "{name} → {needs}");
        }
    }
}
