//! What an endpoint of the ops listener is.

use crate::console::Desk;
use axum::routing::MethodRouter;
use std::sync::Arc;

/// One entry of the table in `endpoints.rs`.
#[derive(Clone, Copy)]
pub struct Endpoint {
    /// Where it is.
    pub path: &'static str,
    /// One sentence for the documentation.
    pub summary: &'static str,
    /// Its methods.
    pub(crate) routes: fn() -> MethodRouter<Arc<Desk>>,
}
