//! A disk that forgets what was not synced, and fails on command: `tests/disk/lossy_disk.c`, put before libc in the real
//! binary. It needs glibc on Linux, where every call to the system goes through a library that can be stood in for.

use super::service::{Folder, Service, repository};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The disk under a folder. It remembers for one life of a service.
pub(super) struct LossyDisk {
    pub(super) folder: Folder,
    disk: TempDir,
}

impl LossyDisk {
    /// Under this folder. What is in it is on the disk.
    pub(super) fn under(folder: Folder) -> Self {
        let disk = Self { folder, disk: tempfile::tempdir().unwrap() };
        disk.order("");
        disk
    }

    /// What it does from now on; the words are in `lossy_disk.c`.
    pub(super) fn order(&self, lines: &str) {
        let path = self.disk.path().join("control");
        let new = path.with_extension("new");
        fs::write(&new, lines).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// A service on it.
    pub(super) fn serve(&self) -> Service {
        self.try_serve().unwrap_or_else(|why| panic!("it did not start: {why}"))
    }

    /// A service on it, unless the power goes before it has started.
    pub(super) fn try_serve(&self) -> Result<Service, String> {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let (library, live, disk) = (path(library()), path(self.folder.path()), path(self.disk.path()));
        let variables = [("LD_PRELOAD", &*library), ("LOSSY_LIVE", &live), ("LOSSY_DISK", &disk)];
        Service::try_start_with(&self.folder, &variables).map_err(|ended| format!("{ended:?}"))
    }

    /// At which operation the power went, and what that was; `None` while it has not.
    pub(super) fn cut(&self) -> Option<String> {
        let note = fs::read_to_string(self.disk.path().join("cut")).ok()?;
        Some(note.trim().to_owned()).filter(|note| !note.is_empty())
    }

    /// What is there when the power is back.
    pub(super) fn power_back(&self) -> Folder {
        let folder = Folder::new();
        copy(&self.disk.path().join("platter/d0"), folder.path());
        folder
    }
}

/// Copies what a folder holds; a link to a folder is that folder.
pub(super) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// The compiled library.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| compiled("tests/disk/lossy_disk.c"))
}

/// A library to be put before libc, from its source.
pub(super) fn compiled(source: &str) -> PathBuf {
    let source = repository().join(source);
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(source.file_stem().unwrap()).with_extension("so");
    // Another process of the tests may do the same.
    let new = made.with_extension(format!("{}.so", std::process::id()));
    let compiler = std::env::var_os("CC").unwrap_or_else(|| OsString::from("cc"));
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]);
    let made_it = command.arg(&new).arg(&source).status().unwrap();
    assert!(made_it.success(), "{source:?} does not compile");
    fs::rename(new, &made).unwrap();
    made
}
