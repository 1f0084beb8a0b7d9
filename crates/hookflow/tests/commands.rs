//! The commands, as they are run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn hookflow(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookflow"));
    // What the machine's own environment says is nobody's business here.
    command.env_clear().current_dir(folder).args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A folder made by `init`.
fn starter() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = hookflow(folder.path(), &["init", "."]);
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    assert!(out(&made).contains("curl http://127.0.0.1:8080/hook/hello"), "{}", out(&made));
    folder
}

#[test]
fn init_makes_a_folder_that_holds() {
    let folder = starter();
    let checked = hookflow(folder.path(), &["check", "--strict"]);
    assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
    assert_eq!(out(&checked), "3 files read, 1 sound flow: 0 errors, 0 warnings\n");
    assert!(!folder.path().join("secrets").exists(), "only `serve` makes secrets");

    let again = hookflow(folder.path(), &["init", "."]);
    assert_eq!(again.status.code(), Some(2));
    assert!(err(&again).contains("is not empty"), "{}", err(&again));
}

#[test]
fn check_says_everything_at_once() {
    let folder = starter();
    fs::write(folder.path().join("flows/hello.yaml"), "webhok: {}\nsteps:\n  - sett: {a: 1}\n").unwrap();
    fs::write(folder.path().join("config/hookflow.yaml"), "public: {tls: {cert: a, key: b}}\n").unwrap();
    let checked = hookflow(folder.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(1));
    let text = err(&checked);
    for part in [
        "config/hookflow.yaml:1:15",
        "a` cannot be read",
        "flows/hello.yaml:1:1",
        "did you mean `webhook`?",
        "flows/hello.yaml:3:5",
        "did you mean `set`?",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(out(&checked).ends_with("3 errors, 0 warnings\n"), "{}", out(&checked));

    let checked = hookflow(folder.path(), &["check", "--format", "json"]);
    assert_eq!(checked.status.code(), Some(1));
    let result: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(result["errors"], 3);
    let first = &result["items"][0];
    assert_eq!(first["code"], "config.tls");
    assert_eq!(
        (&first["file"], &first["line"], &first["column"]),
        (&"config/hookflow.yaml".into(), &1.into(), &15.into())
    );
}

#[test]
fn warnings_fail_only_when_asked_to() {
    let folder = starter();
    fs::write(folder.path().join("flows/other.yml"), "").unwrap();
    assert_eq!(hookflow(folder.path(), &["check"]).status.code(), Some(0));
    assert_eq!(hookflow(folder.path(), &["check", "--strict"]).status.code(), Some(1));
}

#[test]
fn secrets_are_needed_unless_they_are_invented() {
    let folder = starter();
    let credentials = "hello: {type: api_key, header: X-Api-Key, keys: [{env: NOT_SET}]}\n";
    fs::write(folder.path().join("config/credentials.yaml"), credentials).unwrap();
    let checked = hookflow(folder.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(err(&checked).contains("NOT_SET"), "{}", err(&checked));
    assert_eq!(hookflow(folder.path(), &["check", "--without-secrets"]).status.code(), Some(0));
    assert_eq!(hookflow(folder.path(), &["try", "hello"]).status.code(), Some(0));
    assert_eq!(hookflow(folder.path(), &["serve"]).status.code(), Some(1));
}

#[test]
fn urls_lists_every_flow() {
    let folder = starter();
    let open = "webhook: {auth: none, path: '/{id}', methods: [PUT, DELETE]}\nsteps:\n  - respond: {}\n";
    fs::write(folder.path().join("flows/open.yaml"), open).unwrap();
    let listed = hookflow(folder.path(), &["urls"]);
    assert_eq!(listed.status.code(), Some(0));
    assert_eq!(
        out(&listed),
        "  hello   POST         http://127.0.0.1:8080/hook/hello       auth: hello\n  \
         open    PUT,DELETE   http://127.0.0.1:8080/hook/open/{id}   auth: none\n"
    );
    assert_eq!(err(&listed), "!! OPEN TO ANYONE (auth: none): open\n");
    let listed = hookflow(folder.path(), &["urls", "--format", "json"]);
    let result: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(result["items"][0]["auth"], serde_json::json!(["hello"]));
    assert_eq!(result["items"][1]["open"], true);
}

const CALLING: &str = "
webhook: {auth: none, sample: {body: {sku: A}}}
steps:
  - id: stock
    http:
      url: https://warehouse.example/stock
      headers: {Authorization: Bearer of-the-flow}
      json: {sku: '${ webhook.body.sku }'}
    on_error: continue
  - log: asked for ${ webhook.body.sku }
  - respond: {status: 201, json: {left: '${ steps.stock.body.left | default(none) }', ok: '${ steps.stock.ok }'}}
";

#[test]
fn try_runs_a_flow_without_network() {
    let folder = starter();
    fs::write(folder.path().join("flows/calling.yaml"), CALLING).unwrap();
    let tried = hookflow(folder.path(), &["try", "calling", "--mock", "stock={}"]);
    assert_eq!(tried.status.code(), Some(0), "{}", err(&tried));
    let text = out(&tried);
    for part in [
        "POST http://127.0.0.1:8080/hook/calling",
        "stock (http)  at 0ms, took 0ms\n    in   POST https://warehouse.example/stock",
        "authorization: ***",
        r#"{"sku":"A"}"#,
        "not sent: it has a mock",
        "info: asked for A",
        "answer\n  201",
        r#"{"left":null,"ok":true}"#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("of-the-flow"), "{text}");

    let mock = r#"stock={"status": 200, "json": {"left": 7}}"#;
    let tried = hookflow(folder.path(), &["try", "calling", "--mock", mock, "--format", "json"]);
    let result: serde_json::Value = serde_json::from_slice(&tried.stdout).unwrap();
    assert_eq!(result["answer"]["status"], 201);
    assert_eq!(result["answer"]["body"], r#"{"left":7,"ok":true}"#);
    assert_eq!(result["run"]["steps"][0]["in"]["mocked"], true);

    let mock = r#"stock={"connect": true}"#;
    let tried = hookflow(folder.path(), &["try", "calling", "--mock", mock]);
    assert!(out(&tried).contains(r#"{"left":null,"ok":false}"#), "{}", out(&tried));
    let tried = hookflow(folder.path(), &["try", "calling", "--mock", "stock={timeout: true}"]);
    assert!(out(&tried).contains("answer\n  504"), "its caller waits 20 seconds: {}", out(&tried));
}

#[test]
fn try_says_what_it_cannot_do() {
    let folder = starter();
    for (arguments, code, why) in [
        (&["try", "helo"][..], 2, "did you mean `hello`?"),
        (&["try", "hello", "--mock", "nobody={}"][..], 2, "has no step `nobody`"),
        (&["try", "hello", "--mock", "x"][..], 2, "STEP=MOCK"),
        (&["try", "hello", "--request", "none.json"][..], 2, "`none.json` cannot be read"),
        (&["try", "hello", "--dir", "nowhere"][..], 2, "no folder `nowhere`"),
    ] {
        let tried = hookflow(folder.path(), arguments);
        assert_eq!(tried.status.code(), Some(code), "{arguments:?}");
        assert!(err(&tried).contains(why), "{arguments:?}: {}", err(&tried));
    }
    let flow = "webhook: {auth: none, sample: {body: {}}}\nsteps:\n  - when: webhook.body == {}\n    fail: nothing fits\n    status: 409\n  - respond: {}\n";
    fs::write(folder.path().join("flows/failing.yaml"), flow).unwrap();
    let tried = hookflow(folder.path(), &["try", "failing"]);
    assert_eq!(tried.status.code(), Some(1));
    assert!(out(&tried).contains("nothing fits") && out(&tried).contains("answer\n  409"), "{}", out(&tried));
}

#[test]
fn the_command_line_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let help = hookflow(folder.path(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in ["check", "completions", "init", "serve", "try", "urls"] {
        assert!(out(&help).contains(command), "{}", out(&help));
        let own = hookflow(folder.path(), &[command, "--help"]);
        assert!(out(&own).contains("Examples:"), "{}", out(&own));
    }
    assert_eq!(hookflow(folder.path(), &["chek"]).status.code(), Some(2));
    assert!(out(&hookflow(folder.path(), &["completions", "bash"])).contains("_hookflow"));
    assert!(out(&hookflow(folder.path(), &["--version"])).starts_with("hookflow "));
}

/// A folder with a signed flow, and the program in it with the flow's secret.
fn signed_shop() -> (tempfile::TempDir, impl Fn(&[&str]) -> Output) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("config")).unwrap();
    fs::create_dir_all(folder.path().join("flows")).unwrap();
    let file = "shop: {type: hmac, preset: shopify, secret: {env: SHOP_SECRET}}\n\
                chats: {type: hmac, preset: slack, secret: {env: SHOP_SECRET}, handshake: slack}\n\
                bot: {type: hmac, preset: discord, public_key: {env: BOT_KEY}}\n";
    fs::write(folder.path().join("config/credentials.yaml"), file).unwrap();
    let flow = "flow: orders\nwebhook: {auth: [chats, shop]}\nsteps: [{respond: {status: 200}}]\n";
    fs::write(folder.path().join("flows/orders.yaml"), flow).unwrap();
    fs::write(folder.path().join("it's.json"), "{\"a\": 10.00}").unwrap();
    let path = folder.path().to_owned();
    let run = move |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookflow"));
        command.env_clear().env("SHOP_SECRET", "a secret of twenty bytes");
        command.env("BOT_KEY", "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
        command.current_dir(&path).args(arguments).output().unwrap()
    };
    (folder, run)
}

#[test]
fn what_is_signed_is_accepted() {
    let (folder, run) = signed_shop();
    let signed = run(&["sign", "shop", "--body", "it's.json"]);
    assert_eq!(signed.status.code(), Some(0), "{}", err(&signed));
    let curl = out(&signed);
    assert!(curl.starts_with("curl -g -X POST 'http://127.0.0.1:8080/hook/orders' \\\n"), "{curl}");
    assert!(
        curl.contains("-H 'x-shopify-hmac-sha256: ") && curl.contains("-H 'content-type: application/json'")
    );
    assert!(curl.ends_with("  --data-binary '@it'\\''s.json'\n"), "{curl}");

    for credential in ["shop", "chats"] {
        let signed = run(&["sign", credential, "--body", "it's.json", "--format", "json"]);
        fs::write(folder.path().join("request.json"), &signed.stdout).unwrap();
        let verified = run(&["verify", credential, "--request", "request.json"]);
        assert_eq!(
            (verified.status.code(), out(&verified)),
            (Some(0), format!("accepted by `{credential}`\n"))
        );
    }
    let late = run(&["verify", "chats", "--request", "request.json", "--now", "1"]);
    assert_eq!(late.status.code(), Some(1));
    assert!(out(&late).starts_with("refused by `chats`: the timestamp is "), "{}", out(&late));
    let other = run(&["verify", "shop", "--request", "request.json", "--format", "json"]);
    assert_eq!(other.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&other.stdout).unwrap();
    assert_eq!((&told["accepted"], &told["why"]), (&false.into(), &"missing".into()));

    for (arguments, expected) in [
        (&["verify", "shop", "--request", "none.json"][..], "`none.json` cannot be read"),
        (&["verify", "shp", "--request", "request.json"], "did you mean `shop`?"),
        (&["sign", "bot", "--body", "it's.json"], "`--url` is needed: no flow takes the credential `bot`"),
        (
            &["sign", "bot", "--body", "it's.json", "--url", "http://a/"],
            "only the sender has the private key",
        ),
        (&["sign", "shop", "--body", "it's.json", "--url", "a"], "`a` is not a URL"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err(&output).contains(expected), "{}", err(&output));
    }
}

#[test]
fn credentials_and_presets_are_shown() {
    let (_folder, run) = signed_shop();
    let listed = run(&["credential", "list"]);
    assert_eq!(listed.status.code(), Some(0), "{}", err(&listed));
    assert_eq!(
        out(&listed),
        "bot    hmac     discord\nchats  hmac     slack  handshake slack\nshop   hmac     shopify\n"
    );
    let shown = out(&run(&["credential", "show", "chats"]));
    assert!(
        shown.starts_with("# chats: Slack\ntype: hmac\n") && shown.ends_with("handshake: slack\n"),
        "{shown}"
    );
    assert!(
        shown.contains("content: 'v0:{timestamp}:{body}'\n") && !shown.contains("twenty bytes"),
        "{shown}"
    );
    // A preset is there without a folder of its own.
    let shown = run(&["credential", "show", "hmac-raw", "--dir", "none", "--format", "json"]);
    let told: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((&told["name"], &told["parameters"]["header"]), (&"hmac_raw".into(), &"x-signature".into()));
    let all = out(&run(&["credential", "list", "--presets"]));
    assert!(all.lines().count() > 50 && all.contains("aws_sns"), "{all}");
    let none = run(&["credential", "show", "githb"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(err(&none).contains("did you mean `github`?"), "{}", err(&none));
}

#[test]
fn try_shows_a_failure_as_the_caller_would_hear_it() {
    let folder = starter();
    let flow = "enabled: paused\nwebhook: {auth: none}\nsteps:\n  - fail: broken\n    kind: validation\n    when: 1 < 2\n  - respond: {}\n";
    fs::write(folder.path().join("flows/broken.yaml"), flow).unwrap();
    let tried = hookflow(folder.path(), &["try", "broken"]);
    assert_eq!(tried.status.code(), Some(1));
    for part in ["The flow is paused", "\n  422\n", "application/problem+json", r#""code":"flow-failed""#] {
        assert!(out(&tried).contains(part), "{part} in {}", out(&tried));
    }
}

#[test]
fn check_writes_what_other_tools_read() {
    let folder = starter();
    fs::write(folder.path().join("flows/a, b.yaml"), "flow: ab\nwebhook: {auth: helo}\n").unwrap();
    fs::write(folder.path().join("flows/open.yaml"), "webhook: {auth: none}\n").unwrap();
    let parent = folder.path().parent().unwrap();
    let name = folder.path().file_name().unwrap().to_str().unwrap();

    let checked = hookflow(parent, &["check", "--dir", name, "--format", "github"]);
    assert_eq!(checked.status.code(), Some(1));
    let expected = format!(
        "::error file={name}/flows/a%2C b.yaml,line=2,endLine=2,col=17,endColumn=21,title=auth.unknown-credential::there is no credential named `helo`%0Adid you mean `hello`?\n\
         ::warning file={name}/flows/open.yaml,line=1,endLine=1,col=17,endColumn=21,title=flow.open::anyone may call this flow%0Aname a credential in `auth`, or say who may call with `allow_from`\n"
    );
    assert_eq!(out(&checked), expected);

    let checked = hookflow(parent, &["check", "--dir", name, "--format", "sarif"]);
    assert_eq!(checked.status.code(), Some(1));
    let log: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "hookflow");
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(results[0]["level"], "error");
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], format!("{name}/flows/a%2C%20b.yaml"));
    assert_eq!(place["region"]["startColumn"], 17);
    for result in results {
        let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], result["ruleId"]);
    }
}

#[test]
fn explain_knows_codes_verbs_and_functions() {
    let folder = tempfile::tempdir().unwrap();
    for (word, part) in [
        ("flow.unreachable-step", "# flow.unreachable-step\n\nNo run reaches this step"),
        ("wait", "| `auth` | who may call"),
        ("toUpper", "### `to_upper(value)`"),
        ("upper", "`value | upper`"),
        ("defined", "`value is defined`"),
    ] {
        let explained = hookflow(folder.path(), &["explain", word]);
        assert_eq!(explained.status.code(), Some(0), "{word}: {}", err(&explained));
        assert!(out(&explained).contains(part), "{word}: {}", out(&explained));
    }
    let unknown = hookflow(folder.path(), &["explain", "flow.unreachable-stp"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("did you mean `flow.unreachable-step`?"), "{}", err(&unknown));
    assert_eq!(out(&unknown), "");
}

#[test]
fn many_warnings_are_told_in_full_by_check_alone() {
    let folder = starter();
    for number in 0..25 {
        fs::write(folder.path().join(format!("flows/f{number}.yaml")), "webhook: {auth: none}\n").unwrap();
    }
    let checked = hookflow(folder.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(0));
    assert_eq!(err(&checked).matches("warning[flow.open]").count(), 25);
    assert_eq!(hookflow(folder.path(), &["check", "--strict"]).status.code(), Some(1));
    // It gets as far as an address that is not this machine's.
    fs::write(folder.path().join("config/hookflow.yaml"), "public: {listen: 192.0.2.1:80}\n").unwrap();
    let served = hookflow(folder.path(), &["serve"]);
    assert_eq!(served.status.code(), Some(2), "{}", err(&served));
    assert_eq!(err(&served).matches("warning[flow.open]").count(), 20);
    assert!(err(&served).contains("… and 5 more warnings: `hookflow check` tells all"), "{}", err(&served));
}

#[test]
fn invented_secrets_are_not_judged() {
    let folder = starter();
    let credentials = "hello: {type: api_key, header: X-Api-Key, keys: [{file: secrets/hello}]}\n";
    fs::write(folder.path().join("config/credentials.yaml"), credentials).unwrap();
    fs::create_dir(folder.path().join("secrets")).unwrap();
    fs::write(folder.path().join("secrets/hello"), "short").unwrap();
    let checked = hookflow(folder.path(), &["check", "--strict"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(err(&checked).contains("warning[secret.short]"), "{}", err(&checked));
    let checked = hookflow(folder.path(), &["check", "--strict", "--without-secrets"]);
    assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
}
