//! The binary is built from fewer crates than this. Each is somebody to trust and something to compile.

use super::Finding;
use crate::tree::Tree;

const FEWER_THAN: usize = 300;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let count = tree.shipped.len();
    if count < FEWER_THAN {
        return Vec::new();
    }
    let what = format!("the binary is built from {count} crates; the bound is {FEWER_THAN}");
    vec![Finding::new("crates/hookflow/Cargo.toml", 1, what)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_crates_are_found() {
        let tree = |count: usize| Tree {
            shipped: (0..count).map(|n| format!("c{n} v1")).collect(),
            ..Tree::default()
        };
        assert!(check(&tree(299)).is_empty());
        assert_eq!(check(&tree(300)).len(), 1);
    }
}
