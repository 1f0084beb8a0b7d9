//! `hookflow schema` prints what is shipped in `schemas/`.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

/// In a folder that is no project.
fn schema(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookflow"));
    command.env_clear().current_dir(folder.path()).arg("schema").args(arguments).output().unwrap()
}

#[test]
fn one_is_printed_as_it_is_shipped_and_all_by_their_names() {
    let all: Value = serde_json::from_slice(&schema(&[]).stdout).unwrap();
    let names: Vec<_> = all.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["config", "credentials", "flow", "integration", "subscription"]);
    assert_eq!(fs::read_dir(schemas()).unwrap().count(), names.len());
    for name in names {
        let shipped = fs::read_to_string(schemas().join(format!("{name}.json"))).unwrap();
        let printed = schema(&[name]);
        assert!(printed.status.success());
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), shipped, "{name}");
        assert_eq!(all[name], serde_json::from_str::<Value>(&shipped).unwrap());
        assert_eq!(all[name]["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
}

#[test]
fn another_kind_of_file_is_told_with_those_that_there_are() {
    let output = schema(&["flows"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("flow") && said.contains("credentials"), "{said}");
}
