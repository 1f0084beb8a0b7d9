//! Only hookflow-store speaks SQL. The others ask it for operations, so a second backend is one file.

use super::Finding;
use crate::tree::Tree;

const STORE: &str = "hookflow-store";
const DRIVERS: &[&str] =
    &["diesel", "libsqlite3-sys", "postgres", "rusqlite", "sea-orm", "sqlx", "tokio-postgres"];
const STATEMENTS: &[&str] = &["CREATE TABLE ", "DELETE FROM ", "INSERT INTO ", "PRAGMA ", "SELECT "];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in tree.packages.iter().filter(|package| package.name != STORE) {
        for driver in package.dependencies.iter().filter(|name| DRIVERS.contains(&name.as_str())) {
            let what = format!("`{driver}` belongs to {STORE}");
            findings.push(Finding::new(&package.manifest, tree.line_of(package, driver), what));
        }
    }
    let room = format!("crates/{STORE}/");
    for file in tree.product().filter(|file| !file.path.starts_with(&room)) {
        for (number, line) in file.code() {
            if STATEMENTS.iter().any(|statement| line.contains(statement)) {
                findings.push(Finding::new(&file.path, number, format!("SQL belongs to {STORE}")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::{package, sample};
    use super::*;

    #[test]
    fn sql_outside_the_store_is_found() {
        let statement = "let query = \"SELECT id FROM runs\";\n";
        assert_eq!(check(&sample(&[("crates/hookflow-engine/src/a.rs", statement)])).len(), 1);
        assert!(check(&sample(&[("crates/hookflow-store/src/a.rs", statement)])).is_empty());
        let packages = vec![package("hookflow-engine", &["rusqlite"]), package(STORE, &["rusqlite"])];
        let found = check(&Tree { packages, ..Tree::default() });
        assert_eq!(
            found.iter().map(|finding| finding.file.as_str()).collect::<Vec<_>>(),
            ["crates/hookflow-engine/Cargo.toml"]
        );
    }
}
