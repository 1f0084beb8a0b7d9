//! Where the runs are read: the running server is asked, whatever its store is.

use crate::config::Config;
use crate::ops_client;
use hookflow_text::Json;
use url::form_urlencoded::{Serializer, byte_serialize};

/// A page of runs, or why there is none.
pub(super) fn runs(config: &Config, query: &[(&str, &str)]) -> anyhow::Result<Result<Json, String>> {
    let query = Serializer::new(String::new()).extend_pairs(query).finish();
    Ok(ops_client::ask(&config.ops, &format!("/api/runs?{query}"))?.judge())
}

/// A run, or why there is none.
pub(super) fn run(config: &Config, run: &str) -> anyhow::Result<Result<Json, String>> {
    Ok(ops_client::ask(&config.ops, &path(run, ""))?.judge())
}

/// The path of a run in the API.
pub(super) fn path(run: &str, rest: &str) -> String {
    // A space in a path is not a plus.
    let run: String = byte_serialize(run.as_bytes()).collect();
    format!("/api/runs/{}{rest}", run.replace('+', "%20"))
}
