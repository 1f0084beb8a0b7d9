//! The tree as the rules see it: every file of the project, every crate and what it depends on, and what
//! ends up in the binary. Rules take this and nothing else, so a test feeds them a tree of three lines.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Everything the rules look at.
#[derive(Debug, Default)]
pub struct Tree {
    /// Every text file, by path.
    pub files: Vec<File>,
    /// The crates of the workspace.
    pub packages: Vec<Package>,
    /// The names and versions of all crates that are built for the binary.
    pub shipped: BTreeSet<String>,
}

/// A text file.
#[derive(Debug)]
pub struct File {
    /// From the folder of the workspace, with `/`.
    pub path: String,
    /// What stands in it.
    pub text: String,
}

/// A crate of the workspace.
#[derive(Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The path of its `Cargo.toml`.
    pub manifest: String,
    /// What it needs to be built, tests apart.
    pub dependencies: Vec<String>,
}

impl Tree {
    /// Reads the project in `root`.
    ///
    /// # Errors
    /// When a file cannot be read or cargo does not answer.
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let metadata = cargo(root, &["metadata", "--format-version=1", "--no-deps"])?;
        let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
        let shipped =
            cargo(root, &["tree", "-p", "hookflow", "-e", "normal,build", "--prefix", "none", "--locked"])?;
        Ok(Self { files, packages: packages(root, &metadata)?, shipped: crates_of(&shipped) })
    }

    /// The file at `path`.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Where a crate's `Cargo.toml` names a dependency.
    pub fn line_of(&self, package: &Package, dependency: &str) -> usize {
        let lines = self.file(&package.manifest).map_or("", |manifest| &manifest.text).lines();
        (1..).zip(lines).find(|(_, line)| line.starts_with(dependency)).map_or(1, |(number, _)| number)
    }

    /// The Rust files of the product itself: no tests, none of the project's own commands.
    pub fn product(&self) -> impl Iterator<Item = &File> {
        self.files
            .iter()
            .filter(|file| file.path.starts_with("crates/hookflow") && file.is_rust() && !file.is_test())
    }
}

impl File {
    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.extension() == Some("rs")
    }

    /// Whether the whole file is tests.
    pub fn is_test(&self) -> bool {
        self.stem() == Some("tests") || self.path.split('/').any(|part| part == "tests")
    }

    /// Its name without the extension.
    pub fn stem(&self) -> Option<&str> {
        Path::new(&self.path).file_stem()?.to_str()
    }

    /// What follows the last dot of its name.
    pub fn extension(&self) -> Option<&str> {
        Path::new(&self.path).extension()?.to_str()
    }

    /// Its lines, numbered from 1, without its tests.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        // Tests come last (a lint holds that), so a module of them takes the rest of the file. `mod tests;`
        // does not, or a line below it would escape every rule.
        let end = lines
            .windows(2)
            .position(|pair| {
                matches!(pair, ["#[cfg(test)]", item] if item.starts_with("mod ") && item.ends_with('{'))
            })
            .unwrap_or(lines.len());
        (1..).zip(lines.into_iter().take(end))
    }

    /// The same without lines that are comments.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// Takes every file of a folder but what its `.gitignore` names with a leading `/`.
fn collect(folder: &Path, within: &str, files: &mut Vec<File>) -> Result<()> {
    let ignored = fs::read_to_string(folder.join(".gitignore")).unwrap_or_default();
    let ignored: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('/')).collect();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let (kind, path) = (entry.file_type()?, format!("{within}{name}"));
        if name == ".git" || ignored.contains(name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            // What is not text has no lines to judge.
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File { path, text });
            }
        }
    }
    Ok(())
}

fn packages(root: &Path, metadata: &Value) -> Result<Vec<Package>> {
    list(metadata, "packages")?
        .iter()
        .map(|package| {
            let manifest = Path::new(text(package, "manifest_path")?);
            let manifest = manifest.strip_prefix(root).unwrap_or(manifest);
            Ok(Package {
                name: text(package, "name")?.to_owned(),
                manifest: manifest.to_string_lossy().into_owned(),
                dependencies: list(package, "dependencies")?
                    .iter()
                    .filter(|dependency| text(dependency, "kind").ok() != Some("dev"))
                    .map(|dependency| text(dependency, "name").map(str::to_owned))
                    .collect::<Result<_>>()?,
            })
        })
        .collect()
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("cargo metadata has no text `{key}`"))
}

fn list<'v>(value: &'v Value, key: &str) -> Result<&'v Vec<Value>> {
    value.get(key).and_then(Value::as_array).with_context(|| format!("cargo metadata has no list `{key}`"))
}

/// `name v1.2.3 (…) (*)` → `name v1.2.3`, each once.
fn crates_of(listing: &str) -> BTreeSet<String> {
    listing
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some(format!("{} {}", words.next()?, words.next()?))
        })
        .collect()
}

/// What cargo prints.
///
/// # Errors
/// When it fails; with its own words.
pub fn cargo(root: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("cargo").args(args).current_dir(root).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("cargo does not print text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_comments_are_left_out() {
        let text = "//! x\nuse a;\n#[cfg(test)]\nuse b;\n#[cfg(test)]\nmod tests {\n    y\n}\n";
        let file = File { path: "crates/hookflow-text/src/a.rs".into(), text: text.into() };
        assert_eq!(file.lines().count(), 4);
        assert_eq!(file.code().map(|(number, _)| number).collect::<Vec<_>>(), [2, 3, 4]);
        let text = "#[cfg(test)]\nmod tests;\nfn after() {}\n";
        let file = File { path: "a.rs".into(), text: text.into() };
        assert_eq!(file.code().last(), Some((3, "fn after() {}")));
    }

    #[test]
    fn what_a_folder_ignores_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("fuzz/target")).unwrap();
        for (path, text) in
            [("a", ""), ("fuzz/.gitignore", "/target\n"), ("fuzz/b", ""), ("fuzz/target/c", "")]
        {
            fs::write(folder.path().join(path), text).unwrap();
        }
        let mut files = Vec::new();
        collect(folder.path(), "", &mut files).unwrap();
        let mut paths: Vec<_> = files.into_iter().map(|file| file.path).collect();
        paths.sort();
        assert_eq!(paths, ["a", "fuzz/.gitignore", "fuzz/b"]);
    }

    #[test]
    fn a_crate_counts_once_per_version() {
        let listing = "hookflow v0.1.0 (/x)\nsyn v2.0.1\nsyn v2.0.1 (*)\nsyn v1.0.9 (proc-macro)\n";
        assert_eq!(
            crates_of(listing).into_iter().collect::<Vec<_>>(),
            ["hookflow v0.1.0", "syn v1.0.9", "syn v2.0.1"]
        );
    }
}
