//! What one would write instead: the programs of `benches/`, in Node with Express and in Python with `FastAPI`.
//!
//! Their packages are installed only when a scene asks for them, into the target folder, and kept there until a
//! version changes.

use super::scenes::{Program, Scene};
use crate::packages;
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy)]
pub(super) enum Framework {
    Express,
    FastApi,
}

/// Whether a server of these scenes needs the packages.
pub(super) fn is_asked(scenes: &[&Scene]) -> bool {
    let mut servers = scenes.iter().flat_map(|scene| scene.servers);
    servers.any(|server| matches!(server.program, Program::ByHand(..)))
}

/// Installs all of `benches/` beside the programs in `release`.
pub(super) fn install(root: &Path, release: &Path) -> Result<()> {
    packages::look_for_tools().context("the scenes with `hand` in their name need Node and Python")?;
    let (from, folder) = (root.join("benches"), folder(release));
    packages::copy(&from, &folder)?;
    let versions = fs::read_to_string(from.join("package-lock.json"))?
        + &fs::read_to_string(from.join("requirements.txt"))?;
    let installed = folder.join("installed");
    if fs::read_to_string(&installed).is_ok_and(|before| before == versions) {
        return Ok(());
    }
    eprintln!("installing Express and FastAPI in {}; this may compile SQLite, for minutes", folder.display());
    packages::install(&folder, &[])?;
    Ok(fs::write(installed, versions)?)
}

impl Framework {
    /// Starts the program in one of its modes.
    pub(super) fn command(self, release: &Path, secret: &str, mode: &str) -> Vec<OsString> {
        let folder = folder(release);
        let (program, script) = match self {
            Self::Express => ("node".into(), "express_door.mjs"),
            Self::FastApi => (packages::python(&folder), "fastapi_door.py"),
        };
        vec![program.into(), folder.join(script).into(), secret.into(), mode.into()]
    }
}

fn folder(release: &Path) -> PathBuf {
    release.with_file_name("by-hand")
}

#[cfg(test)]
mod tests {
    use super::super::scenes;
    use super::*;

    #[test]
    fn packages_are_asked_for_by_the_scenes_that_compare_with_them() {
        let asked = |name| is_asked(&scenes::named(name).collect::<Vec<_>>());
        assert!(asked("by-hand-sync") && asked("by-hand-durable"));
        assert!(!asked("sync-durable") && !asked("door"));
    }

    #[test]
    fn each_framework_has_its_program() {
        let root = crate::root();
        for framework in [Framework::Express, Framework::FastApi] {
            let command = framework.command(Path::new("/t/release"), "s", "sync");
            let script = Path::new(&command[1]).strip_prefix("/t/by-hand").unwrap();
            assert!(root.join("benches").join(script).is_file(), "{}", script.display());
        }
    }
}
