//! Runs that wait for a call of their own URL: who may call, what is answered, and that the run goes on.

use super::answers::{CREDENTIALS, KEY};
use super::service::{Folder, Service, beside, until};
use super::signed::signature;
use super::target::{Play, Target};
use super::wire::{Request, Wire};
use serde_json::json;

/// Asks, waits as `WAIT` says, and tells `/after` what was said.
const APPROVAL: &str = "
webhook: {auth: none}
steps:
  - log: ${ wait_url('answer') }
  - respond: {status: 202, json: {url: \"${ wait_url('answer') }\"}}
  - id: answer
    wait: WAIT
  - http: {method: POST, url: 'URL/after', json: '${ steps.answer }'}
";

/// One that answers nothing behind `/after` before it is released, so that the run does not end meanwhile.
fn slow() -> Target {
    Target::start(|heard| if heard.target == "/after" { Play::Hang } else { Play::Answer(200, "{}") })
}

fn folder(target: &Target, wait: &str) -> Folder {
    let folder = Folder::new().config("outbound: {allow: [127.0.0.0/8]}").with("key", KEY);
    let flow = APPROVAL.replace("WAIT", wait).replace("URL", &target.url(""));
    folder.credentials(CREDENTIALS).flow("approval", &flow)
}

/// Starts a run; its ID and the path of the URL that it handed out.
fn ask(service: &Service) -> (String, String) {
    let answer = service.send(&Request::json("/hook/approval", "{}"));
    assert_eq!(answer.status, 202, "{answer:?}");
    (answer.header("x-run-id").unwrap().into(), path_of(answer.value()["url"].as_str().unwrap()))
}

fn path_of(url: &str) -> String {
    let (_, token) = url.split_once("/resume/").unwrap();
    format!("/resume/{token}")
}

/// The status and the code.
fn told(service: &Service, request: &Request) -> (u16, String) {
    let answer = service.send(request);
    (answer.status, answer.code())
}

#[test]
fn a_run_goes_on_with_the_first_call_and_no_other() {
    let target = slow();
    let reply = "{status: 201, headers: {X-Thanks: '1'}, json: {message: thank you}}";
    let folder = folder(&target, &format!("{{auth: none, methods: [POST, PUT], reply: {reply}}}"));
    let service = Service::start(&folder);
    let (run, path) = ask(&service);

    // What is refused wakes nobody.
    assert_eq!(service.send(&Request::new("HEAD", &path)).status, 200);
    let wrong = service.send(&Request::get(&path));
    assert_eq!((wrong.status, wrong.code().as_str()), (405, "route.method"));
    assert_eq!(wrong.header("allow"), Some("POST, PUT, HEAD"));
    let text = Request::json(&path, "{").set("Content-Type", "application/json");
    assert_eq!(told(&service, &text), (400, "body.malformed".into()));
    let untyped = Request::new("POST", &path).body("what");
    assert_eq!(told(&service, &untyped), (415, "body.media-type".into()));
    let large = Request::json(&path, format!("\"{}\"", "a".repeat(1 << 20)));
    assert_eq!(told(&service, &large), (413, "body.too-large".into()));
    let (other, code) = (path.replace(&run, "0"), path.rsplit('~').next().unwrap());
    for strange in [
        other,
        format!("{path}0"),
        format!("{path}/x"),
        path.replace(code, &code.chars().rev().collect::<String>()),
        path.replace(&format!("~{code}"), ""),
        path.replace('~', "%2F"),
        "/resume/".to_owned(),
    ] {
        assert_eq!(
            told(&service, &Request::json(&strange, "{}")),
            (404, "route.unknown".into()),
            "{strange}"
        );
    }

    let call = Request::json(&format!("{path}?n=7"), r#"{"yes": 10.10}"#).header("X-By", "me");
    let answer = service.send(&call);
    assert_eq!((answer.status, answer.text().as_str()), (201, r#"{"message":"thank you"}"#));
    assert_eq!((answer.header("x-run-id"), answer.header("x-thanks")), (Some(run.as_str()), Some("1")));
    let heard = target.heard(1).remove(0);
    assert!(String::from_utf8_lossy(&heard.body).contains("10.10"), "{heard:?}");
    let said = heard.value();
    assert_eq!((&said["method"], &said["query"]), (&json!("POST"), &json!({"n": "7"})));
    assert_eq!((&said["headers"]["x-by"], &said["timed_out"]), (&json!("me"), &json!(false)));

    assert_eq!(told(&service, &call), (409, "resume.again".into()));
    // Some senders write every byte that they can.
    assert_eq!(told(&service, &Request::json(&path.replace('~', "%7e"), "{}")), (409, "resume.again".into()));
    target.release();
    service.until_metric("hookflow_runs_total{flow=\"approval\",outcome=\"succeeded\"}", 1);
    assert_eq!(told(&service, &call), (410, "resume.over".into()));
    assert_eq!(service.send(&Request::new("HEAD", &path)).status, 410);

    let rejected = until("the list", || {
        Some(service.ops("/api/rejected").text()).filter(|list| list.contains("resume.over"))
    });
    assert!(rejected.contains("/resume/…"), "{rejected}");
    let shown = service.ops(&format!("/api/runs/{run}")).text();
    assert!(shown.contains("/resume/") && shown.contains("~***"), "{shown}");
    let ended = service.stop_sound();
    assert!(ended.err.contains("resume.again") && ended.err.contains("~***"), "{}", ended.err);
    for shown in [&rejected, &shown, &ended.err, &ended.out] {
        assert!(!shown.contains(code), "{shown}");
    }
    assert_eq!(target.count(), 1);
}

#[test]
fn the_step_says_who_may_call() {
    let target = slow();
    let folder = folder(&target, "{auth: [partner, signed]}");
    let service = Service::start(&folder);
    let body = r#"{"a": 1}"#;
    let digest = signature(KEY, body.as_bytes()).replace("sha256=", "");
    for (name, value) in [
        ("Authorization", "Basic cGFydG5lcjp0aGUta2V5LW9mLXRoZS1jYWxsZXI="),
        ("X-Signature", digest.as_str()),
    ] {
        let (_, path) = ask(&service);
        let bare = service.send(&Request::json(&path, body));
        assert_eq!((bare.status, bare.code().as_str()), (401, "auth.unauthorized"));
        assert_eq!(bare.header("www-authenticate").map(|it| it.starts_with("Basic")), Some(true));
        let forged = Request::json(&path, r#"{"a": 2}"#).header("X-Signature", &digest);
        assert_eq!(told(&service, &forged), (401, "auth.unauthorized".into()));
        let before = target.count();
        assert_eq!(service.send(&Request::json(&path, body).header(name, value)).status, 200);
        let said = target.heard(before + 1).pop().unwrap().value();
        assert_eq!(said["body"], json!({"a": 1}));
        assert_eq!(said["headers"]["authorization"], json!(null), "no secret goes on");
    }
    target.release();
    service.stop_sound();
}

#[test]
fn a_call_may_come_before_the_run_does() {
    let target = Target::hanging();
    let flow = "
webhook: {auth: none}
steps:
  - http: {method: POST, url: 'URL/ask', json: {url: \"${ wait_url('answer') }\"}}
  - {id: answer, wait: {auth: none, methods: [GET]}}
  - respond: {json: '${ steps.answer.body }'}
";
    let folder = folder(&target, "{auth: none}").flow("asks", &flow.replace("URL", &target.url("")));
    let service = Service::start(&folder);
    let public = service.public;
    let caller = beside(move || Wire::connect(public).ask(&Request::json("/hook/asks", "{}")));
    let path = path_of(target.heard(1)[0].value()["url"].as_str().unwrap());
    let call = Request::get(&format!("{path}?answer=early"));
    assert_eq!(service.send(&call).status, 200);
    assert_eq!(told(&service, &call), (409, "resume.again".into()));
    target.release();
    assert_eq!(caller.join().unwrap().text(), r#"{"answer":"early"}"#);
    service.stop_sound();
}

#[test]
fn a_waiting_run_outlives_a_kill_its_flow_and_its_credentials() {
    let target = slow();
    let folder = folder(&target, "{auth: key}");
    let service = Service::start(&folder);
    let ((_, first), (_, second)) = (ask(&service), ask(&service));
    service.signal("KILL");
    service.end();

    folder.put("flows/approval.yaml", "webhook: {auth: none}\nsteps: [{respond: {status: 500}}]");
    folder.put("key", "another-key-of-the-caller");
    let service = Service::start(&folder);
    let with = |path: &str, key: &str| Request::json(path, "{}").header("X-Api-Key", key);
    assert_eq!(told(&service, &with(&first, KEY)), (401, "auth.unauthorized".into()));
    assert_eq!(service.send(&with(&first, "another-key-of-the-caller")).status, 200);
    target.heard(1);
    // The credentials in force count, whichever they were when the version was read.
    folder.put("key", KEY);
    assert_eq!(service.reload().status, 200);
    assert_eq!(
        told(&service, &with(&second, "another-key-of-the-caller")),
        (401, "auth.unauthorized".into())
    );
    assert_eq!(service.send(&with(&second, KEY)).status, 200);
    target.heard(2);
    target.release();
    service.until_metric("hookflow_runs_total{flow=\"approval\",outcome=\"succeeded\"}", 2);
    service.stop_sound();
}

#[test]
fn who_calls_too_late_hears_so() {
    let target = slow();
    let folder = folder(&target, "{auth: none, timeout: 30ms, on_timeout: continue}");
    let service = Service::start(&folder);
    let (_, path) = ask(&service);
    assert_eq!(target.heard(1)[0].value()["timed_out"], json!(true));
    assert_eq!(told(&service, &Request::json(&path, "{}")), (410, "resume.over".into()));
    target.release();
    service.stop_sound();
}

#[test]
fn a_flow_that_another_runs_waits_too_and_in_each_turn() {
    let target = slow();
    let outer = "
webhook: {auth: none}
steps:
  - {id: asked, run: asks, with: [a, b]}
  - respond: {json: '${ steps.asked }'}
";
    let asks = "
steps:
  - id: all
    for: who
    in: webhook.body
    do:
      - http: {method: POST, url: 'URL/ask', json: {who: '${ who }', url: \"${ wait_url('answer') }\"}}
      - {id: answer, wait: {auth: none}}
    collect: steps.answer.body.n
  - return: '${ steps.all }'
";
    let folder = folder(&target, "{auth: none}").flow("outer", outer);
    let folder = folder.flow("asks", &asks.replace("URL", &target.url("")));
    let service = Service::start(&folder);
    let public = service.public;
    let caller = beside(move || Wire::connect(public).ask(&Request::json("/hook/outer", "{}")));
    for n in 1..=2 {
        let asked = target.heard(n).pop().unwrap().value();
        assert_eq!(asked["who"], json!(["a", "b"][n - 1]));
        let path = path_of(asked["url"].as_str().unwrap());
        assert_eq!(service.send(&Request::json(&path, json!({"n": n}).to_string())).status, 200);
    }
    assert_eq!(caller.join().unwrap().text(), "[1,2]");
    service.stop_sound();
}
