//! Recorded requests, judged through the command as it is called.

use super::*;
use crate::commands::cli;
use crate::environment::Environment;
use hookflow_trigger::presets;
use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

/// What the command wrote.
#[derive(Clone, Default)]
struct Page(Rc<RefCell<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The verdict, or `None` when the request could not be judged, and what was written.
fn verify(folder: &Path, arguments: &[&str], secrets: &[(&str, &str)]) -> (Option<Verdict>, String) {
    let page = Page::default();
    let mut terminal = Terminal {
        environment: Environment::of(secrets),
        out: Box::new(page.clone()),
        err: Box::new(page.clone()),
        color: false,
    };
    let request = folder.join("request.json");
    let file = folder.join("credentials.yaml");
    let fixed = ["hookflow", "verify", "it", "--request", request.to_str().unwrap(), "--credential-file"];
    let words = fixed.iter().copied().chain([file.to_str().unwrap()]).chain(arguments.iter().copied());
    let matches = cli().try_get_matches_from(words).unwrap();
    let verdict = run(matches.subcommand().unwrap().1, &mut terminal);
    let written = String::from_utf8(page.0.borrow().clone()).unwrap();
    match verdict {
        Ok(verdict) => (Some(verdict), written),
        Err(error) => (None, format!("{written}{error:#}")),
    }
}

/// A vector's credential as a file would have it, and the secrets that it names.
fn credential_of(vector: &Json) -> (String, Vec<(String, String)>) {
    let preset = vector["preset"].as_str().unwrap().replace('-', "_");
    let secrets: Vec<&str> = match &vector["secret"] {
        Json::Array(list) => list.iter().map(|secret| secret.as_str().unwrap()).collect(),
        secret => secret.as_str().into_iter().collect(),
    };
    let names: Vec<_> = (0..secrets.len()).map(|index| format!("S{index}")).collect();
    let mut text = if preset == "basic_auth" {
        "{type: basic, username: hookuser, password: {env: PASSWORD}".to_owned()
    } else {
        let kind = presets().iter().find(|known| known.name() == preset).unwrap().kind();
        let listed: Vec<_> = names.iter().map(|name| format!("{{env: {name}}}")).collect();
        let secrets =
            if names.is_empty() { String::new() } else { format!(", secrets: [{}]", listed.join(", ")) };
        format!("{{type: {kind}, preset: {preset}{secrets}")
    };
    if let Some(key) = vector.get("public_key") {
        text.push_str(&format!(", public_key: {key}"));
    }
    if vector["kind"] == "handshake" {
        text.push_str(&format!(", handshake: {preset}"));
        if preset == "meta" {
            text.push_str(", verify_token: {env: S0}");
        }
    }
    let mut values: Vec<_> =
        names.into_iter().zip(secrets.iter().map(|secret| (*secret).to_owned())).collect();
    values.push(("PASSWORD".to_owned(), "hookpass".to_owned()));
    (format!("it: {text}}}\n"), values)
}

fn vectors() -> Vec<Json> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../hookflow-trigger/testdata/signature-vectors.json");
    let file: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

#[test]
fn every_vector_is_judged_as_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for vector in &vectors() {
        let (file, secrets) = credential_of(vector);
        let secrets: Vec<_> = secrets.iter().map(|(name, value)| (&**name, &**value)).collect();
        fs::write(folder.path().join("credentials.yaml"), file).unwrap();
        fs::write(folder.path().join("request.json"), vector.to_string()).unwrap();
        let now = vector["now"].to_string();
        let (verdict, written) = verify(folder.path(), &["--now", &now, "--format", "json"], &secrets);
        let told: Json = serde_json::from_str(&written).unwrap_or_default();
        let accepted = verdict == Some(Verdict::Holds);
        let right = vector["valid"].as_bool().is_none_or(|valid| valid == accepted);
        let answered = &told["handshake"]["body"];
        let expected = &vector["expect_response"]["body"];
        if !right
            || verdict.is_none()
            || told["accepted"] != accepted
            || (expected.is_string() && expected != answered)
        {
            wrong.push(format!("{}: {verdict:?} {written}", vector["id"]));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

const SECRET: (&str, &str) = ("SECRET", "It's a Secret to Everybody");
const BODY: &str = "Hello, World!";
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/// A request as GitHub's documentation has it.
fn github(signature: &str, body: &str) -> String {
    json!({
        "method": "POST", "url": "https://hooks.example/hook/a",
        "headers": [["X-Hub-Signature-256", signature]], "body": body, "body_encoding": "utf8",
    })
    .to_string()
}

#[test]
fn a_refusal_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let slack = |at: i64| {
        json!({"url": "/", "headers": [["x-slack-signature", "v0=00"], ["x-slack-request-timestamp", at.to_string()]]})
            .to_string()
    };
    let github_file = "it: {type: hmac, preset: github, secret: {env: SECRET}}";
    let slack_file = "it: {type: hmac, preset: slack, secret: {env: SECRET}}";
    for (file, request, expected) in [
        (github_file, github(SIGNATURE, BODY), "accepted by `it`\n"),
        (
            github_file,
            github(SIGNATURE, "Hello, World"),
            "refused by `it`: no secret fits: a wrong secret, or the body or the URL was altered on the way\n",
        ),
        (
            github_file,
            github(SIGNATURE, "Hello, World!\n"),
            "refused by `it`: no secret fits: the body was altered: the signature fits it without the line end at its end\n",
        ),
        (github_file, github("sha1=00", BODY), "refused by `it`: the signature cannot be read\n"),
        (
            github_file,
            json!({"url": "/"}).to_string(),
            "refused by `it`: the header `x-hub-signature-256` is missing\n",
        ),
        (
            slack_file,
            slack(1_760_000_000 - 712),
            "refused by `it`: the timestamp is 712 s old, which is too old by 412 s\n",
        ),
        (
            slack_file,
            slack(1_760_000_000 + 301),
            "refused by `it`: the timestamp is 301 s ahead, which is too new by 1 s\n",
        ),
    ] {
        fs::write(folder.path().join("credentials.yaml"), file).unwrap();
        fs::write(folder.path().join("request.json"), request).unwrap();
        let (verdict, written) = verify(folder.path(), &["--now", "1760000000"], &[SECRET]);
        assert_eq!(written, expected);
        assert_eq!(verdict == Some(Verdict::Holds), expected.starts_with("accepted"));
    }
}

#[test]
fn what_was_altered_on_the_way_is_found() {
    for (sent, came) in [
        ("{\"a\":10.00,\"b\":\"é\"}", "{\"a\": 10.00, \"b\": \"é\"}"),
        ("{\n  \"a\": 1\n}", "{\"a\":1}"),
        ("a\r\nb", "a\nb"),
        ("a\nb", "a\r\nb"),
        ("a\n", "a"),
        ("a\r\n", "a"),
        ("a", "a\r\n"),
    ] {
        assert!(likely_bodies(came.as_bytes()).iter().any(|(_, body)| body == sent.as_bytes()), "{came}");
    }
}

#[test]
fn what_cannot_be_judged_is_no_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let good = "it: {type: hmac, preset: github, secret: {env: SECRET}}";
    for (file, request, secret, expected) in [
        (good, "{", "s", "is not a recorded request: it is not JSON"),
        (good, "", "", "the environment variable `SECRET` is empty"),
        (
            "other: {type: hmac, preset: github, secret: {env: SECRET}}",
            "{}",
            "s",
            "there is no credential `it`",
        ),
        ("its: {type: hmac, preset: github, secret: {env: SECRET}}", "{}", "", "did you mean `its`?"),
        ("it: {type: hmac, preset: githb, secret: {env: SECRET}}", "{}", "s", "did you mean `github`?"),
        (
            "it: {type: hmac, preset: github, secret: {file: a, create: true}}",
            "{}",
            "s",
            "`hookflow serve` makes it",
        ),
        ("it: [", "{}", "s", "there is no sound credential `it`"),
    ] {
        fs::write(folder.path().join("credentials.yaml"), file).unwrap();
        fs::write(folder.path().join("request.json"), request).unwrap();
        let (verdict, written) = verify(folder.path(), &[], &[("SECRET", secret)]);
        assert_eq!(verdict, None, "{written}");
        assert!(written.contains(expected), "{written}");
    }
    fs::remove_file(folder.path().join("request.json")).unwrap();
    fs::write(folder.path().join("credentials.yaml"), good).unwrap();
    assert_eq!(verify(folder.path(), &[], &[SECRET]).0, None);
    fs::remove_file(folder.path().join("credentials.yaml")).unwrap();
    assert_eq!(verify(folder.path(), &[], &[SECRET]).0, None);
}

/// Without `--fetch` nothing leaves the machine, so there is no judgement.
#[test]
fn a_certificate_that_is_needed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let vector = vectors().into_iter().find(|vector| vector["id"] == "paypal-ok").unwrap();
    let file = "it: {type: hmac, preset: paypal, secret: {env: SECRET}}";
    fs::write(folder.path().join("credentials.yaml"), file).unwrap();
    fs::write(folder.path().join("request.json"), vector.to_string()).unwrap();
    let (verdict, written) = verify(folder.path(), &[], &[SECRET]);
    assert_eq!(verdict, None);
    let expected = "the certificate at https://api.paypal.com/v1/notifications/certs/";
    assert!(
        written.starts_with(expected) && written.ends_with("in the credential as `public_key`"),
        "{written}"
    );
    let forged = vector.to_string().replace("api.paypal.com", "api.paypal.evil.test");
    fs::write(folder.path().join("request.json"), forged).unwrap();
    let (verdict, written) = verify(folder.path(), &["--fetch"], &[SECRET]);
    assert_eq!(verdict, Some(Verdict::DoesNot));
    assert_eq!(
        written,
        "refused by `it`: the header `paypal-cert-url` is not what the credential requires\n"
    );
}
