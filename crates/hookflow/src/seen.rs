//! What the files of a folder looked like when they were read: enough of each to notice that it has changed since.
//!
//! Looking again and again costs little and sees every change, also where the system tells of none: over a network, in
//! a container, behind a link that was moved to another folder.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Files and folders as they were; `None` for one that was not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen(BTreeMap<PathBuf, Option<Stamp>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    /// What a link leads to counts, not the link.
    File { device: u64, inode: u64, bytes: u64, modified: (i64, i64), changed: (i64, i64) },
    /// Its visible names, hashed: an editor's hidden files come and go.
    Folder(u64),
}

impl Seen {
    /// Looks at what is about to be read. What changes while it is read has changed since.
    pub(crate) fn note(&mut self, path: &Path) {
        if !self.0.contains_key(path) {
            self.0.insert(path.to_owned(), Stamp::of(path));
        }
    }

    /// Looks at what we have just made ourselves.
    pub(crate) fn note_made(&mut self, path: &Path) {
        self.0.insert(path.to_owned(), Stamp::of(path));
    }

    /// Adds what another reader saw.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The same files and folders, as they are now.
    pub(crate) fn look_again(&self) -> Self {
        Self(self.0.keys().map(|path| (path.clone(), Stamp::of(path))).collect())
    }

    /// Whether it was looked at.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        if metadata.is_dir() {
            let mut hasher = DefaultHasher::new();
            visible_names(path).hash(&mut hasher);
            return Some(Self::Folder(hasher.finish()));
        }
        Some(Self::File {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// What stands in a folder, sorted, without hidden files. Nothing when there is no such folder.
pub(crate) fn visible_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    type Change<'a> = (&'a str, &'a dyn Fn());

    #[test]
    fn every_way_to_change_a_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir_all(at(version)).unwrap();
            fs::write(at(version).join("a"), "same").unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/a", at("a")).unwrap();
        fs::write(at("b"), "b").unwrap();
        let changes: &[Change<'_>] = &[
            ("written over", &|| fs::write(at("b"), "bb").unwrap()),
            ("renamed over", &|| {
                fs::write(at(".new"), "bb").unwrap();
                fs::rename(at(".new"), at("b")).unwrap();
            }),
            ("a link moved", &|| {
                symlink("v2", at("..next")).unwrap();
                fs::rename(at("..next"), at("..data")).unwrap();
            }),
            ("gone", &|| fs::remove_file(at("b")).unwrap()),
            ("new", &|| fs::write(at("c"), "").unwrap()),
        ];
        for (what, change) in changes {
            let mut seen = Seen::default();
            for name in ["a", "b", "c", "."] {
                seen.note(&at(name));
            }
            assert_eq!(seen.look_again(), seen, "before: {what}");
            change();
            assert_ne!(seen.look_again(), seen, "{what}");
        }
    }

    #[test]
    fn hidden_files_and_what_was_not_looked_at_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Seen::default();
        seen.note(folder.path());
        fs::write(folder.path().join(".flow.yaml.swp"), "").unwrap();
        assert_eq!(seen.look_again(), seen);
        // Nor does what we made ourselves.
        let made = folder.path().join("made");
        seen = Seen::default();
        seen.note(&made);
        fs::write(&made, "made").unwrap();
        assert_ne!(seen.look_again(), seen);
        seen.note_made(&made);
        assert_eq!(seen.look_again(), seen);
    }
}
