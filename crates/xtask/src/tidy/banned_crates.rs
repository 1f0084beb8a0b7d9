//! What the lock file may not hold: a second TLS library, and what needs more than a C compiler to build.

use super::Finding;
use crate::tree::Tree;

const BANNED: &[(&str, &str)] = &[
    ("aws-lc-rs", "ring is the one crypto provider; two in one binary panic when run"),
    ("aws-lc-sys", "ring is the one crypto provider; this one needs cmake"),
    ("bindgen", "needs libclang to build"),
    ("cmake", "the build needs a C compiler and nothing else"),
    ("native-tls", "rustls is the one TLS library"),
    ("openssl", "rustls is the one TLS library"),
    ("openssl-sys", "rustls is the one TLS library"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(lock) = tree.file("Cargo.lock") else {
        return vec![Finding::new("Cargo.lock", 1, "the lock file is kept")];
    };
    BANNED
        .iter()
        .filter_map(|(name, why)| {
            let entry = format!("name = \"{name}\"");
            let line = (1..).zip(lock.text.lines()).find(|(_, line)| *line == entry)?.0;
            Some(Finding::new(&lock.path, line, format!("`{name}` is banned: {why}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_banned_crate_is_found_by_its_whole_name() {
        let lock = "[[package]]\nname = \"openssl-probe\"\n\n[[package]]\nname = \"openssl-sys\"\n";
        let found = check(&sample(&[("Cargo.lock", lock)]));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [5]);
        assert_eq!(check(&sample(&[])).len(), 1);
    }
}
