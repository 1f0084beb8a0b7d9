//! The kinds of files that a folder holds, each with what may stand in it. What stands where is told beside the
//! readers; here it is written for editors.

use crate::config::CONFIG;
use hookflow_flow::{FLOW, INTEGRATION, SUBSCRIPTION};
use hookflow_text::{Json, Schema, json_schema};
use hookflow_trigger::CREDENTIALS;

/// A kind of file.
pub(crate) struct FileKind {
    /// Its word, which is the name of its schema too.
    pub(crate) name: &'static str,
    /// Where such files lie.
    pub(crate) files: &'static str,
    about: &'static str,
    schema: Schema,
}

/// Every kind of file, by name.
pub(crate) static ALL: &[FileKind] = &[
    FileKind {
        name: "config",
        files: "config/hookflow.yaml",
        about: "The service. Every key has a default, so an empty file is a working service on loopback.",
        schema: CONFIG,
    },
    FileKind {
        name: "credentials",
        files: "config/credentials.yaml",
        about: "Credentials by their names: how callers prove who they are.",
        schema: CREDENTIALS,
    },
    FileKind { name: "flow", files: "flows/**/*.yaml", about: FLOW.about, schema: Schema::Map(&FLOW) },
    FileKind {
        name: "integration",
        files: "config/integrations/*.yaml",
        about: INTEGRATION.about,
        schema: Schema::Map(&INTEGRATION),
    },
    FileKind {
        name: "subscription",
        files: "config/subscriptions/*.yaml",
        about: SUBSCRIPTION.about,
        schema: Schema::Map(&SUBSCRIPTION),
    },
];

impl FileKind {
    /// What an editor is given.
    pub(crate) fn json_schema(&self) -> Json {
        json_schema(&format!("hookflow: {}", self.files), self.about, &self.schema)
    }
}

#[cfg(test)]
mod tests;
