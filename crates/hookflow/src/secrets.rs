//! Where secrets come from: the environment, files beside the configuration, or nowhere, when a command only needs
//! something to compute with.

use crate::environment::Environment;
use crate::inventory::Mark;
use crate::project::SecretMode;
use crate::seen::Seen;
use anyhow::Context as _;
use hookflow_runtime::{Chance, Clock};
use hookflow_text::{SecretRef, SecretSource};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What stands in for every secret that is not there. It can be read as text, as hex and as base64.
const INVENTED: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The secrets of one folder.
#[derive(Debug)]
pub(crate) struct FolderSecrets {
    folder: PathBuf,
    environment: Environment,
    mode: SecretMode,
    new: RefCell<Vec<NewSecret>>,
    seen: RefCell<Seen>,
    marks: RefCell<BTreeMap<String, Mark>>,
}

/// A random secret that no file holds yet.
pub(crate) struct NewSecret {
    path: PathBuf,
    secret: String,
}

impl FolderSecrets {
    /// The secrets that files in `folder` name.
    pub(crate) fn new(folder: &Path, environment: &Environment, mode: SecretMode) -> Self {
        Self {
            folder: folder.to_owned(),
            environment: environment.clone(),
            mode,
            new: RefCell::default(),
            seen: RefCell::default(),
            marks: RefCell::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn invented() -> Self {
        Self::new(Path::new("."), &Environment::default(), SecretMode::Invent)
    }

    /// The secrets that are to be made, in the order they were needed.
    pub(crate) fn new_secrets(self) -> Vec<NewSecret> {
        self.new.into_inner()
    }

    /// The files that were looked at.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// What tells the secret behind a reference from another one, if there was one.
    pub(crate) fn mark(&self, reference: &SecretRef) -> Option<Mark> {
        self.marks.borrow().get(&reference.to_string()).copied()
    }

    /// A secret for a file that is missing; [`NewSecret::write`] makes the file, once all else is sound.
    fn make(&self, path: &Path) -> Vec<u8> {
        let mut new = self.new.borrow_mut();
        if let Some(known) = new.iter().find(|new| new.path == path) {
            return known.secret.clone().into_bytes();
        }
        let bytes = Chance::system(Clock::system()).bytes::<32>();
        let mut secret = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            secret.push_str(&format!("{byte:02x}"));
        }
        new.push(NewSecret { path: path.to_owned(), secret: secret.clone() });
        secret.into_bytes()
    }
}

impl NewSecret {
    /// Where its file is to be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file, and says where it is.
    pub(crate) fn write(&self) -> anyhow::Result<&Path> {
        let write = || {
            if let Some(parent) = self.path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            // Never over a file that somebody else has just made.
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
            writeln!(file, "{}", self.secret)?;
            file.sync_all()
        };
        write().with_context(|| format!("the secret `{}` cannot be made", self.path.display()))?;
        Ok(&self.path)
    }
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSecret").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SecretSource for FolderSecrets {
    fn is_invented(&self) -> bool {
        self.mode == SecretMode::Invent
    }

    fn resolve(&self, reference: &SecretRef) -> Result<Vec<u8>, String> {
        if self.mode == SecretMode::Invent {
            return Ok(INVENTED.into());
        }
        let bytes = self.read(reference)?;
        self.marks.borrow_mut().insert(reference.to_string(), Mark::of(&bytes));
        Ok(bytes)
    }
}

impl FolderSecrets {
    fn read(&self, reference: &SecretRef) -> Result<Vec<u8>, String> {
        match reference {
            SecretRef::Env(name) => self.environment.get(name).ok_or_else(|| "it is not set".to_owned()),
            SecretRef::File { path, create } => {
                let path = self.folder.join(path);
                self.seen.borrow_mut().note(&path);
                match fs::read(&path) {
                    Ok(mut bytes) => {
                        for end in [b'\n', b'\r'] {
                            if bytes.last() == Some(&end) {
                                bytes.pop();
                            }
                        }
                        Ok(bytes)
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound && *create => match self.mode {
                        SecretMode::Make => Ok(self.make(&path)),
                        // `serve` would make it, so it is not missing.
                        SecretMode::Read | SecretMode::Invent => Ok(INVENTED.into()),
                        SecretMode::Exact => Err("it does not exist; `hookflow serve` makes it".into()),
                    },
                    Err(error) if error.kind() == ErrorKind::NotFound => Err("it does not exist".into()),
                    Err(error) => Err(error.to_string()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn file(path: &str, create: bool) -> SecretRef {
        SecretRef::File { path: path.into(), create }
    }

    #[test]
    fn secrets_come_from_where_the_file_says() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "line\r\n").unwrap();
        fs::write(folder.path().join("b"), "two\n\n").unwrap();
        let environment = Environment::of(&[("TOKEN", "from env"), ("EMPTY", "")]);
        let secrets = FolderSecrets::new(folder.path(), &environment, SecretMode::Read);
        assert_eq!(secrets.resolve(&SecretRef::Env("TOKEN".into())), Ok(b"from env".to_vec()));
        assert_eq!(secrets.resolve(&SecretRef::Env("EMPTY".into())), Ok(Vec::new()));
        assert_eq!(secrets.resolve(&SecretRef::Env("NONE".into())), Err("it is not set".into()));
        assert_eq!(secrets.resolve(&file("a", false)), Ok(b"line".to_vec()));
        assert_eq!(secrets.resolve(&file("b", false)), Ok(b"two\n".to_vec()));
        assert_eq!(secrets.resolve(&file("c", false)), Err("it does not exist".into()));
        assert!(secrets.resolve(&file("c", true)).is_ok());
        assert!(!folder.path().join("c").exists(), "only `serve` makes files");
    }

    #[test]
    fn serve_makes_what_is_missing_once() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = FolderSecrets::new(folder.path(), &Environment::default(), SecretMode::Make);
        let first = secrets.resolve(&file("secrets/a", true)).unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(secrets.resolve(&file("secrets/a", true)), Ok(first.clone()));
        assert_ne!(secrets.resolve(&file("secrets/b", true)), Ok(first));
        let path = folder.path().join("secrets/a");
        assert!(!path.exists(), "not before all else is sound");
        let new = secrets.new_secrets();
        assert!(!format!("{new:?}").contains(new[0].secret.as_str()));
        let made: Vec<_> = new.iter().map(|new| new.write().unwrap()).collect();
        assert_eq!(made, [path.clone(), folder.path().join("secrets/b")]);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", new[0].secret));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(new[0].write().is_err(), "what is there is not written over");
    }
}
