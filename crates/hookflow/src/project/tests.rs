//! Whole folders, read from disk.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;

const FLOW: &str = "webhook: {auth: none, allow_from: [127.0.0.1]}\nsteps:\n  - respond: {status: 204}\n";

/// Makes a folder with these files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn load(folder: &tempfile::TempDir) -> Project {
    Project::load(folder.path(), &Environment::default(), SecretMode::Read).unwrap()
}

fn codes(files: &[(&str, &[u8])]) -> Vec<&'static str> {
    load(&folder(files)).diagnostics.codes()
}

#[test]
fn an_empty_folder_is_a_service_without_flows() {
    let project = load(&folder(&[]));
    assert!(project.diagnostics.is_empty());
    assert!(project.flows.is_empty());
    assert_eq!(project.files, 0);
    let missing = Project::load(Path::new("no/such/folder"), &Environment::default(), SecretMode::Read);
    assert!(missing.unwrap_err().to_string().contains("no folder"));
}

#[test]
fn flows_are_found_in_folders_and_behind_links() {
    let elsewhere = folder(&[("linked.yaml", FLOW.as_bytes()), ("more/inner.yaml", FLOW.as_bytes())]);
    let folder = folder(&[
        ("flows/b.yaml", FLOW.as_bytes()),
        ("flows/a/deep/c.yaml", FLOW.as_bytes()),
        ("flows/.hidden.yaml", b"- nonsense"),
        ("flows/notes.txt", b"not read"),
    ]);
    symlink(elsewhere.path().join("linked.yaml"), folder.path().join("flows/d.yaml")).unwrap();
    symlink(elsewhere.path().join("more"), folder.path().join("flows/more")).unwrap();
    symlink(folder.path().join("flows"), folder.path().join("flows/round")).unwrap();
    let project = load(&folder);
    assert!(project.diagnostics.is_empty(), "{}", project.diagnostics.render(false));
    let ids: Vec<_> = project.flows.iter().map(|loaded| loaded.flow.id.to_string()).collect();
    assert_eq!(ids, ["c", "b", "d", "inner"]);
    assert!(project.flow("inner").is_some());
    assert_eq!(project.nearest_flow("iner"), Some("inner"));
}

#[test]
fn all_mistakes_of_all_files_come_at_once() {
    let found = codes(&[
        ("config/hookflow.yaml", b"pubic: {}\n"),
        ("config/credentials.yaml", b"shop: {type: hmak}\n"),
        ("flows/a.yaml", b"webhook: {auth: nobody}\nsteps: []\n"),
        ("flows/b.yaml", b"webhok: {}\n"),
    ]);
    for code in ["yaml.unknown-key", "yaml.word", "auth.unknown-credential"] {
        assert!(found.contains(&code), "{code} in {found:?}");
    }
}

#[test]
fn files_that_cannot_be_read_are_errors_with_a_place() {
    let broken = folder(&[("flows/a.yaml", b"title: caf\xe9\n")]);
    let project = load(&broken);
    assert_eq!(project.diagnostics.codes(), ["yaml.encoding"]);
    let text = project.diagnostics.render(false);
    assert!(text.contains("byte 10") && text.contains("flows/a.yaml:1:11"), "{text}");

    let dangling = folder(&[("flows/keep.yaml", FLOW.as_bytes())]);
    symlink("nowhere", dangling.path().join("flows/a.yaml")).unwrap();
    assert_eq!(load(&dangling).diagnostics.codes(), ["yaml.unreadable"]);

    let huge = vec![b'#'; (4 << 20) + 1];
    assert_eq!(codes(&[("flows/a.yaml", &huge)]), ["yaml.unreadable"]);
}

#[test]
fn two_flows_with_one_id_are_an_error_with_both_places() {
    let document = format!("flow: shop\n{FLOW}");
    let project =
        load(&folder(&[("flows/a.yaml", document.as_bytes()), ("flows/b.yaml", document.as_bytes())]));
    assert_eq!(project.diagnostics.codes(), ["flow.duplicate-id"]);
    let text = project.diagnostics.render(false);
    assert!(text.contains("flows/a.yaml:1") && text.contains("flows/b.yaml:1"), "{text}");
}

#[test]
fn nothing_in_the_folder_is_passed_over_in_silence() {
    assert_eq!(codes(&[("config/credential.yaml", b"")]), ["config.unknown-file"]);
    assert_eq!(codes(&[("config/subscriptions/shop.yml", b"")]), ["config.unknown-file"]);
    assert_eq!(codes(&[("flows/shop.yml", b"")]), ["flow.file-name"]);
}

#[test]
fn a_flow_keeps_its_path_as_written() {
    let document = b"webhook: {auth: none, path: '/orders/{id}'}\nsteps:\n  - respond: {}\n";
    let project = load(&folder(&[("flows/a.yaml", document)]));
    assert_eq!(project.flow("a").unwrap().path, "/orders/{id}");
}

#[test]
fn thousands_of_flows_load() {
    let files: Vec<_> = (0..2_000).map(|number| (format!("flows/f{number}.yaml"), FLOW.as_bytes())).collect();
    let files: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    let folder = folder(&files);
    let project = load(&folder);
    assert_eq!(project.flows.len(), 2_000);
    assert!(project.diagnostics.is_empty());
}

#[test]
fn a_paused_flow_says_what_a_restart_costs() {
    let held: &[u8] = b"enabled: paused\nwebhook: {auth: none, allow_from: [127.0.0.1]}\nsteps: [{log: x}]\n";
    let memory: &[u8] = b"store: {memory: {}}";
    assert_eq!(codes(&[("flows/a.yaml", held), ("config/hookflow.yaml", memory)]), ["flow.paused-in-memory"]);
    assert!(codes(&[("flows/a.yaml", held)]).is_empty(), "on disk it costs nothing");
    let refusing: &[u8] =
        b"enabled: paused\nwebhook: {auth: none, allow_from: [127.0.0.1]}\nsteps: [{respond: {}}]\n";
    assert!(codes(&[("flows/a.yaml", refusing), ("config/hookflow.yaml", memory)]).is_empty());
}

#[test]
fn every_flow_is_started_by_something_and_every_flow_that_is_run_is_there() {
    let runs =
        |id: &str| format!("webhook: {{auth: none, allow_from: [127.0.0.1]}}\nsteps:\n  - run: {id}\n");
    let with = |steps: &str| format!("steps:\n  - {steps}\n");
    assert_eq!(codes(&[("flows/a.yaml", b"")]), ["flow.unreachable"]);
    assert_eq!(codes(&[("flows/a.yaml", with("log: x").as_bytes())]), ["flow.unreachable"]);
    let caller = runs("helper");
    let both = |helper: &str| {
        codes(&[("flows/a.yaml", caller.as_bytes()), ("flows/helper.yaml", helper.as_bytes())])
    };
    assert!(both(&with("return: 1")).is_empty());
    assert_eq!(both(&with("respond: {}")), ["flow.respond-unheard"]);
    assert!(both(FLOW).is_empty(), "it has callers of its own");
    let missing =
        load(&folder(&[("flows/a.yaml", runs("helpr").as_bytes()), ("flows/helper.yaml", FLOW.as_bytes())]));
    assert_eq!(missing.diagnostics.codes(), ["flow.unknown-flow"]);
    assert!(missing.diagnostics.render(false).contains("did you mean `helper`?"));
    // A flow with a mistake of its own is not called unknown.
    assert_eq!(
        codes(&[("flows/a.yaml", runs("b").as_bytes()), ("flows/b.yaml", b"steps: [{sett: {}}]")]),
        ["flow.no-verb"]
    );
}
