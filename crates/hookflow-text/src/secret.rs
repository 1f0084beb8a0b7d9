//! Secrets: where they come from, and a value that cannot be printed.

use crate::{Code, Diagnostics, Fields, Node, NodeValue, Span};
use secrecy::{ExposeSecret as _, SecretBox};
use std::fmt;
use std::sync::Arc;

/// A secret's bytes. Never empty, wiped when dropped, printed as `***`.
#[derive(Clone)]
pub struct Secret(Arc<SecretBox<Vec<u8>>>);

impl Secret {
    /// A secret, or `None` when there are no bytes: an empty secret opens the door to everybody.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self(Arc::new(SecretBox::new(Box::new(bytes)))))
    }

    /// The bytes, for the one place that computes or compares with them.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a file says that a secret comes from: `{env: NAME}` or `{file: path, create: true}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file, relative to the folder; one trailing line end is dropped.
    File {
        /// As written.
        path: String,
        /// Whether `serve` may make a missing file with a random secret.
        create: bool,
    },
}

/// Turns a reference into a secret; only the binary has one that reads the environment and files.
pub trait SecretSource {
    /// The bytes behind `reference`.
    ///
    /// # Errors
    /// A sentence for the person who wrote the file; never the secret.
    fn resolve(&self, reference: &SecretRef) -> Result<Vec<u8>, String>;

    /// Whether what it gives stands in for the real thing, so that nothing can be told from its shape.
    fn is_invented(&self) -> bool {
        false
    }
}

impl SecretRef {
    /// Reads `{env: NAME}` or `{file: path, create: true}`. A plain string is an error: a secret in a
    /// file under version control is no secret.
    pub fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if !matches!(node.value, NodeValue::Map(_)) {
            diagnostics
                .error(Code("secret.plain-text"), &node.span, "a secret is not written into the file")
                .label("plain text here")
                .help("name where it comes from: `{env: NAME}` or `{file: path}`");
            return None;
        }
        let mut fields = Fields::of(node, "a secret", diagnostics)?;
        let env = fields.take("env").and_then(|node| node.as_str(diagnostics).map(str::to_owned));
        let file = fields.take("file").and_then(|node| node.as_str(diagnostics).map(str::to_owned));
        let create = fields.take("create").and_then(|node| node.as_bool(diagnostics)).unwrap_or(false);
        fields.finish(diagnostics);
        match (env, file) {
            (Some(name), None) => Some(Self::Env(name)),
            (None, Some(path)) => Some(Self::File { path, create }),
            _ => {
                diagnostics
                    .error(Code("secret.source"), &node.span, "a secret has one source")
                    .help("write `{env: NAME}` or `{file: path}`");
                None
            }
        }
    }

    /// Reads a reference and resolves it; missing and empty secrets are errors.
    pub fn load(node: &Node, source: &dyn SecretSource, diagnostics: &mut Diagnostics) -> Option<Secret> {
        Self::read(node, diagnostics)?.resolve(&node.span, source, diagnostics)
    }

    /// Resolves a reference that stands at `span`.
    pub fn resolve(
        &self,
        span: &Span,
        source: &dyn SecretSource,
        diagnostics: &mut Diagnostics,
    ) -> Option<Secret> {
        match source.resolve(self).map(Secret::new) {
            Ok(Some(secret)) => Some(secret),
            Ok(None) => {
                diagnostics
                    .error(Code("secret.empty"), span, format!("the secret from {self} is empty"))
                    .help(
                        "an empty secret would let everybody in; give it a value of at least 16 random bytes",
                    );
                None
            }
            Err(why) => {
                diagnostics.error(Code("secret.missing"), span, format!("no secret from {self}: {why}"));
                None
            }
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable `{name}`"),
            Self::File { path, .. } => write!(f, "the file `{path}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Source, parse};

    struct Fixed;
    impl SecretSource for Fixed {
        fn resolve(&self, reference: &SecretRef) -> Result<Vec<u8>, String> {
            match reference {
                SecretRef::Env(name) if name == "GOOD" => Ok(b"s3cret".to_vec()),
                SecretRef::Env(name) if name == "EMPTY" => Ok(Vec::new()),
                _ => Err("it is not set".into()),
            }
        }
    }

    fn load(text: &str) -> (Option<Secret>, Vec<&'static str>) {
        let mut diagnostics = Diagnostics::default();
        let node = parse(&Source::new("c.yaml", text), &mut diagnostics).unwrap();
        let secret = SecretRef::load(&node, &Fixed, &mut diagnostics);
        (secret, diagnostics.codes())
    }

    #[test]
    fn a_secret_is_named_never_written() {
        let (secret, codes) = load("{env: GOOD}");
        assert_eq!(secret.as_ref().map(Secret::expose), Some(b"s3cret".as_slice()));
        assert_eq!(format!("{secret:?}"), "Some(***)");
        assert!(codes.is_empty());
        assert_eq!(load("hunter2").1, ["secret.plain-text"]);
        assert_eq!(load("{env: EMPTY}").1, ["secret.empty"]);
        assert_eq!(load("{env: NONE}").1, ["secret.missing"]);
        assert_eq!(load("{env: A, file: b}").1, ["secret.source"]);
        assert_eq!(load("{evn: A}").1, ["yaml.unknown-key", "secret.source"]);
    }
}
