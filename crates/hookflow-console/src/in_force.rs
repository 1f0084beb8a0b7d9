//! What the service tells the console of the generation in force, and how the console has it replaced.

use hookflow_text::Json;
use std::pin::Pin;

/// The generation in force, as its owner tells of it. Asking must be cheap.
pub trait InForce: Send + Sync {
    /// Its flows, an object each.
    fn flows(&self) -> Vec<Json>;

    /// Its number and what it was made of, without a secret.
    fn generation(&self) -> Json;

    /// Reads the folder again, and puts what it holds in force if that is sound.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Reloaded> + Send>>;
}

/// What became of a reload.
#[derive(Debug, Clone, PartialEq)]
pub enum Reloaded {
    /// A new generation is in force: what has changed.
    Swapped(Json),
    /// There are mistakes in the files, and the former generation is in force: an object that holds them.
    Refused(Json),
    /// Nothing was judged, and the former generation is in force: why.
    Impossible(String),
}
