//! Packages of other languages, at versions that stand in the project.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What has to be on the machine, and the question that shows it.
const TOOLS: &[(&str, &[&str])] =
    &[("node", &["--version"]), ("npm", &["--version"]), ("python3", &["-c", "import ensurepip, venv"])];

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Says what is missing before anything is begun.
pub(crate) fn look_for_tools() -> Result<()> {
    let missing = TOOLS.iter().filter(|(tool, question)| {
        let asked = Command::new(tool).args(*question).output();
        !asked.is_ok_and(|answer| answer.status.success())
    });
    let missing: Vec<&str> = missing.map(|(tool, _)| *tool).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "missing or not whole: {}; install with: apt-get install -y nodejs npm python3 python3-venv",
        missing.join(", ")
    )
}

/// Installs what `package-lock.json` and `requirements.txt` of the folder name, into it. Says which Python has it.
pub(crate) fn install(folder: &Path, npm: &[&str]) -> Result<PathBuf> {
    look_for_tools()?;
    done("npm", &[&["ci", "--no-audit", "--no-fund"], npm].concat(), folder)?;
    done("python3", &["-m", "venv", "--clear", "venv"], folder)?;
    let python = python(folder);
    let pip = ["-m", "pip", "install", "--quiet", "--requirement", "requirements.txt"];
    done(&python.to_string_lossy(), &pip, folder)?;
    Ok(python)
}

pub(crate) fn python(folder: &Path) -> PathBuf {
    folder.join("venv/bin/python")
}

/// Runs a command to its good end. What it says goes where the errors go: the table alone is the result.
pub(crate) fn done(program: &str, args: &[&str], folder: &Path) -> Result<()> {
    let mut command = Command::new(program);
    let command = command.args(args).current_dir(folder).stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("failed: {program} {}", args.join(" "));
    }
    Ok(())
}
