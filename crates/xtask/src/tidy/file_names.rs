//! A name says what is in the room. These say nothing.

use super::Finding;
use crate::tree::Tree;

const FORBIDDEN: &[&str] =
    &["common", "helper", "helpers", "manager", "misc", "mod", "types", "util", "utils"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files
        .iter()
        .filter(|file| file.is_rust())
        .filter_map(|file| {
            let name = file
                .path
                .split('/')
                .map(|part| part.trim_end_matches(".rs"))
                .find(|part| FORBIDDEN.contains(part))?;
            let what = if name == "mod" {
                "a room is `name.rs` and `name/`, not `mod.rs`".to_owned()
            } else {
                format!("`{name}` does not say what is in there")
            };
            Some(Finding::new(&file.path, 1, what))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn empty_names_are_found_in_files_and_folders() {
        for bad in ["crates/a/src/utils.rs", "crates/a/src/common/x.rs", "tests/mod.rs"] {
            assert_eq!(check(&sample(&[(bad, "")])).len(), 1, "{bad}");
        }
        assert!(check(&sample(&[("crates/a/src/typeset.rs", ""), ("docs/misc.md", "")])).is_empty());
    }
}
