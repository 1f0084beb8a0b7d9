//! What is wrong with a folder stops the service before it opens a door, and is named by file, line and column.

use super::service::{Ended, Folder, serve_refused};
use std::net::TcpListener;

const RIGHT: &str = "webhook: {auth: none}\nsteps: [{respond: {}}]\n";

/// The file, what stands in it, where the mistake is, and words of what is said.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("flows/a.yaml", "webhook: {auth: none\nsteps: []\n", "flows/a.yaml:", "yaml."),
    ("flows/a.yaml", "webhook: {auth: none}\nwebhook: {auth: none}\n", "flows/a.yaml:2:1", "webhook"),
    ("flows/a.yaml", "webhok: {auth: none}\n", "flows/a.yaml:1:1", "did you mean `webhook`?"),
    ("flows/a.yaml", "webhook: {path: /a}\nsteps: []\n", "flows/a.yaml:1:", "auth: none"),
    ("flows/a.yaml", "webhook: {auth: nobody}\nsteps: []\n", "flows/a.yaml:1:17", "nobody"),
    ("flows/a.yaml", "webhook: {auth: []}\nsteps: []\n", "flows/a.yaml:1:17", "empty list"),
    ("flows/a.yaml", "webhook: {auth: none}\nsteps:\n  - respnd: {}\n", "flows/a.yaml:3:5", "`respond`"),
    ("flows/a.yaml", "webhook: {auth: none}\nsteps:\n  - log: ${ 1 + }\n", "flows/a.yaml:3:", "error"),
    (
        "flows/a.yaml",
        "webhook: {auth: none}\nsteps:\n  - log: ${ webhok.body }\n",
        "flows/a.yaml:3:",
        "`webhook`",
    ),
    (
        "flows/a.yaml",
        "webhook: {auth: none}\nsteps:\n  - log: ${ steps.later }\n",
        "flows/a.yaml:3:",
        "later",
    ),
    (
        "flows/a.yaml",
        "webhook: {auth: none}\nsteps:\n  - respond: {status: 204, json: {}}\n",
        "flows/a.yaml:3:",
        "204",
    ),
    ("flows/a.yaml", "webhook: {auth: none}\nsteps:\n  - respond: {status: 199}\n", "flows/a.yaml:3:", "199"),
    ("flows/a.yaml", "webhook: {auth: none, ack: {}}\nsteps: [{respond: {}}]\n", "flows/a.yaml:1:", "`ack`"),
    ("flows/a.yaml", "webhook: {auth: none, dedupe: {key: a}}\nsteps: []\n", "flows/a.yaml:1:", "dedupe"),
    ("flows/A b.yaml", RIGHT, "flows/A b.yaml", "cannot be a flow ID"),
    (
        "flows/deep/right.yaml",
        "flow: right\nwebhook: {auth: none}\nsteps: []\n",
        "flows/deep/right.yaml",
        "right",
    ),
    (
        "flows/a.yaml",
        "webhook: {auth: none}\nsteps:\n  - log: a\n    fail: b\n",
        "flows/a.yaml:4:5",
        "flow.two-verbs",
    ),
    (
        "flows/a.yaml",
        "webhook: {auth: none, path: /my orders}\nsteps: []\n",
        "flows/a.yaml:1:",
        "a path has no spaces",
    ),
    (
        "flows/a.yaml",
        "flow: right\nwebhook: {auth: none}\nsteps: []\n",
        "flows/right.yaml",
        "flow.duplicate-id",
    ),
    (
        "flows/a.yaml",
        "webhook: {auth: none}\nsteps:\n  - respond: {status: 200, status: 201}\n",
        "flows/a.yaml:3:28",
        "yaml.duplicate-key",
    ),
    (
        "flows/a.yaml",
        "webhook: {auth: none}\nsteps:\n  - id: order\n    set: 1\n  - log: ${ steps.ordr }\n",
        "flows/a.yaml:5:",
        "did you mean `steps.order`?",
    ),
    (
        "flows/a.yaml",
        "webhook: {auth: none}\nsteps:\n  - log: ${ steps.order }\n  - id: order\n    set: 1\n",
        "flows/a.yaml:3:",
        "flow.step-not-in-scope",
    ),
    (
        "config/credentials.yaml",
        "k: {type: api_key, header: X, keys: [{env: EMPTY}]}\n",
        "config/credentials.yaml:1:",
        "secret.empty",
    ),
    (
        "config/credentials.yaml",
        "k: {type: api_key, header: X, keys: [plain]}\n",
        "config/credentials.yaml:1:",
        "plain text",
    ),
    (
        "config/credentials.yaml",
        "k: {type: api_key, header: X, keys: [{file: none}]}\n",
        "config/credentials.yaml:1:",
        "does not exist",
    ),
    (
        "config/credentials.yaml",
        "k: {type: api_key, header: X, keys: [{env: NONE}]}\n",
        "config/credentials.yaml:1:",
        "not set",
    ),
    (
        "config/credentials.yaml",
        "k: {type: hmac, preset: githab, secret: {env: PATH}}\n",
        "config/credentials.yaml:1:",
        "github",
    ),
    ("config/credentials.yaml", "k: {type: none}\n", "config/credentials.yaml:1:", "none"),
    ("config/hookflow.yaml", "pubic: {}\n", "config/hookflow.yaml:1:1", "did you mean `public`?"),
    (
        "config/hookflow.yaml",
        "store: {postgres: {url: a}}\n",
        "config/hookflow.yaml:1:",
        "not in this version yet",
    ),
    ("config/hookflow.yaml", "public: {limits: {body: lots}}\n", "config/hookflow.yaml:1:", "lots"),
    ("config/hookflow.yaml", "log: {level: loud}\n", "config/hookflow.yaml:1:14", "loud"),
];

fn assert_refused(ended: &Ended, what: &str) {
    assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
    assert_eq!(ended.out, "", "{what}");
    assert!(ended.err.contains("not started"), "{what}: {}", ended.err);
}

#[test]
fn a_folder_with_a_mistake_is_not_served() {
    for (file, content, place, words) in MISTAKES {
        let folder = Folder::new().flow("right", RIGHT).with(file, content);
        let ended = serve_refused(folder.path(), &[("EMPTY", "")]);
        assert_refused(&ended, content);
        for part in [place, words] {
            assert!(ended.err.contains(part), "{file} {content}: {part} in {}", ended.err);
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_as_text_is_not_served() {
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for pair in ["ab", "bc", "cd", "de", "ef", "fg", "gh"] {
        let (below, name) = pair.split_at(1);
        bomb += &format!("{name}: &{name} [{}]\n", [format!("*{below}").as_str(); 9].join(", "));
    }
    for (content, words) in [(bomb.as_bytes(), "yaml.alias-bomb"), (b"title: caf\xe9\n", "not UTF-8")] {
        let folder = Folder::new().flow("right", RIGHT).with("flows/a.yaml", content);
        let ended = serve_refused(folder.path(), &[]);
        assert_refused(&ended, words);
        assert!(ended.err.contains("flows/a.yaml") && ended.err.contains(words), "{}", ended.err);
    }
}

#[test]
fn a_refused_start_leaves_no_secrets_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let credentials = "key: {type: api_key, header: X, keys: [{file: secrets/key, create: true}]}";
    let folder = Folder::new().flow("right", RIGHT).credentials(credentials);
    let in_use = serve_refused(folder.path(), &[("HOOKFLOW_OPS__LISTEN", &address)]);
    assert_eq!(in_use.code, Some(2), "{in_use:?}");
    let folder = folder.flow("wrong", "webhok: {}\n");
    assert_refused(&serve_refused(folder.path(), &[]), "a mistake in a flow");
    assert!(!folder.path().join("secrets").exists());
}

#[test]
fn all_mistakes_of_all_files_are_named_at_once() {
    let folder = Folder::new()
        .flow("a", "webhok: {}\nsteps: [{logg: x}]\n")
        .flow("b", "webhook: {auth: nobody}\nsteps: []\n")
        .with("flows/c.yaml", b"title: caf\xe9\n")
        .credentials("k: {type: api_key}\n")
        .config("opps: {}\n");
    let ended = serve_refused(folder.path(), &[("HOOKFLOW_PUBLIC__LIMITS__BODDY", "1")]);
    assert_refused(&ended, "all");
    for part in [
        "flows/a.yaml:1:1",
        "flows/a.yaml:2:10",
        "flows/b.yaml:1:17",
        "flows/c.yaml",
        "config/credentials.yaml:1:",
        "config/hookflow.yaml:1:1",
        "HOOKFLOW_PUBLIC__LIMITS__BODDY",
    ] {
        assert!(ended.err.contains(part), "{part} in {}", ended.err);
    }
}

#[test]
fn an_address_in_use_is_said_plainly() {
    let folder = Folder::new().flow("right", RIGHT);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for variable in ["HOOKFLOW_PUBLIC__LISTEN", "HOOKFLOW_OPS__LISTEN"] {
        let ended = serve_refused(folder.path(), &[(variable, &address)]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
        assert!(ended.err.contains(&address) && ended.err.contains("in use"), "{}", ended.err);
    }
}

#[test]
fn an_ops_listener_for_everybody_needs_a_token() {
    let folder = Folder::new().flow("right", RIGHT);
    let ended = serve_refused(folder.path(), &[("HOOKFLOW_OPS__LISTEN", "0.0.0.0:0")]);
    assert_refused(&ended, "without a token");
    assert!(ended.err.contains("token"), "{}", ended.err);
}
