//! The rules of the house, held by `cargo test`.

use xtask::{root, tidy, tree::Tree};

#[test]
fn the_tree_is_tidy() {
    let tree = Tree::read(&root()).unwrap();
    // A reader that found nothing would let everything pass.
    assert!(tree.product().count() > 10 && tree.packages.len() > 10 && tree.shipped.len() > 10);
    let findings: Vec<String> = tidy::check(&tree).iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "cargo xtask tidy finds:\n{}", findings.join("\n"));
}
