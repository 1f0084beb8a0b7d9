//! What must hold before the service is ready, as its owners tell it.

use std::fmt;
use std::sync::Arc;

/// One thing that must hold: the store is writable, the flows are loaded. Looking must be cheap.
#[derive(Clone)]
pub struct Condition {
    /// What `/readyz` calls it.
    pub name: &'static str,
    look: Arc<dyn Fn() -> Result<String, String> + Send + Sync>,
}

impl Condition {
    /// A condition that `look` judges: `Ok` when it holds. The text, which may be empty, is shown by
    /// `/readyz?verbose` in both cases, and never holds a secret.
    pub fn new(
        name: &'static str,
        look: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self { name, look: Arc::new(look) }
    }

    /// Looks.
    pub(crate) fn look(&self) -> Result<String, String> {
        (self.look)()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.name).finish()
    }
}
