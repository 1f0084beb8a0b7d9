//! A file is read in one sitting.

use super::Finding;
use crate::tree::Tree;

const MOST_LINES: usize = 400;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files
        .iter()
        .filter(|file| file.is_rust() && !file.is_test())
        .filter_map(|file| {
            let lines = file.lines().count();
            let what = format!("{lines} lines without its tests; the bound is {MOST_LINES}");
            (lines > MOST_LINES).then(|| Finding::new(&file.path, MOST_LINES + 1, what))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let long = "x\n".repeat(401);
        assert_eq!(check(&sample(&[("crates/a/src/b.rs", &long)])).len(), 1);
        assert!(check(&sample(&[("crates/a/src/b/tests.rs", &long), ("tests/door.rs", &long)])).is_empty());
        let tests = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(check(&sample(&[("crates/a/src/b.rs", &tests)])).is_empty());
    }
}
