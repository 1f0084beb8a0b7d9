//! The core waits for nothing, reads no clock and touches no socket: what could do so is not in its reach.

use super::Finding;
use crate::tree::Tree;

const CORE: &[&str] = &["hookflow-expr", "hookflow-flow", "hookflow-text", "hookflow-trigger"];

const FORBIDDEN: &[&str] = &[
    "async-channel",
    "axum",
    "getrandom",
    "hookflow-runtime",
    "hyper",
    "hyper-util",
    "rusqlite",
    "tokio",
    "tokio-postgres",
    "tracing",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in tree.packages.iter().filter(|package| CORE.contains(&package.name.as_str())) {
        for name in package.dependencies.iter().filter(|name| FORBIDDEN.contains(&name.as_str())) {
            let what = format!("the core is pure: `{name}` has no place in {}", package.name);
            findings.push(Finding::new(&package.manifest, tree.line_of(package, name), what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::package;
    use super::*;

    #[test]
    fn the_core_reaches_no_socket_clock_or_chance() {
        for bad in FORBIDDEN {
            let packages = vec![package("hookflow-flow", &["serde_json", bad])];
            assert_eq!(check(&Tree { packages, ..Tree::default() }).len(), 1, "{bad}");
        }
        let packages = vec![package("hookflow-engine", &["tokio"]), package("hookflow-flow", &["jiff"])];
        assert!(check(&Tree { packages, ..Tree::default() }).is_empty());
    }
}
