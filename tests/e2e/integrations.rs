//! Integrations: what their calls have in common, and the webhooks that flows call by name.

use super::service::{Folder, Service, hookflow_with, until};
use super::target::{Play, Target};
use super::wire::{Answer, Request};
use hookflow_runtime::Clock;
use serde_json::json;
use std::time::Duration;

const TOKEN: &str = "canary-token-7d1e";
const SECRETS: &[(&str, &str)] = &[("WAREHOUSE_TOKEN", TOKEN)];

/// `URL` stands for the target.
const WAREHOUSE: &str = "
integration: warehouse
root_url: URL/v3/?key=1
allow: [127.0.0.0/8]
headers:
  Content-Type: application/json
  Authorization: {value: {env: WAREHOUSE_TOKEN}, private: true}
  X-Shared: everywhere
webhooks:
  reserve:
    title: Reserve stock
    method: POST
    url: /items/${ sku }?transactionId=${WebhookRequest.TransactionalId}
    headers: {X-Shared: null, X-Own: '${ vars.sku }'}
    body: |
      {\"sku\": \"${ sku }\", \"id\": \"${WebhookRequest.TransactionalId}\"}
    capture: {order: 'data[0].id'}
";

const SHOP: &str = "
webhook: {auth: none, sample: {body: {sku: a}}}
steps:
  - {id: held, call: warehouse.reserve, with: {sku: '${ webhook.body.sku }'}}
  - {id: all, http: {integration: warehouse, url: items, query: {n: '1'}, headers: {X-Shared: mine}}}
  - respond: {json: {order: '${ steps.held.order }'}}
";

fn folder(target: &Target, integration: &str) -> Folder {
    Folder::new().with("config/integrations/warehouse.yaml", at(target, integration))
}

fn at(target: &Target, integration: &str) -> String {
    integration.replace("URL", &target.url(""))
}

fn send(service: &Service, flow: &str, body: &str) -> Answer {
    service.send(&Request::json(&format!("/hook/{flow}"), body))
}

/// Has a flow without an answer run, and says which run it is.
fn begin(service: &Service, flow: &str, body: &str) -> String {
    let answer = send(service, flow, body);
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.header("x-run-id").unwrap().to_owned()
}

fn run(service: &Service, run: &str) -> String {
    service.ops(&format!("/api/runs/{run}")).text()
}

fn until_status(service: &Service, id: &str, status: &str) {
    let what = format!("\"status\":\"{status}\",\"attempt\"");
    until(&what, || run(service, id).contains(&what).then_some(()));
}

#[test]
fn a_call_has_what_its_integration_adds_and_no_secret_is_shown() {
    let target = Target::start(|_| Play::Answer(201, r#"{"data": [{"id": "R-7"}]}"#));
    let folder = folder(&target, WAREHOUSE).flow("shop", SHOP);
    let service = Service::start_with(&folder, SECRETS);
    let answer = send(&service, "shop", r#"{"sku": "A/1 \"x\""}"#);
    assert_eq!((answer.status, answer.value()), (200, json!({"order": "R-7"})));
    let heard = target.heard(2);
    let [held, all] = heard.as_slice() else { panic!("{heard:?}") };
    let id = held.value()["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 36);
    assert_eq!(held.method, "POST");
    assert_eq!(held.target, format!("/v3/items/A%2F1%20%22x%22?key=1&transactionId={id}"));
    assert_eq!(held.value()["sku"], "A/1 \"x\"");
    assert_eq!(
        (held.header("content-type"), held.header("authorization")),
        (Some("application/json"), Some(TOKEN))
    );
    assert_eq!((held.header("x-shared"), held.header("x-own")), (None, Some("A/1 \"x\"")));
    assert_eq!((all.method.as_str(), all.target.as_str()), ("GET", "/v3/items?key=1&n=1"));
    assert_eq!((all.header("x-shared"), all.header("authorization")), (Some("mine"), Some(TOKEN)));

    let run = answer.header("x-run-id").unwrap();
    let mut shown =
        vec![service.ops(&format!("/api/runs/{run}")).text(), service.ops("/api/generation").text()];
    assert!(shown[0].contains("warehouse"), "{}", shown[0]);
    for arguments in [&["check"][..], &["plan"], &["try", "shop"]] {
        let ended = hookflow_with(folder.path(), arguments, SECRETS);
        shown.push(format!("{}{}", ended.out, ended.err));
        if arguments[0] == "check" {
            assert_eq!(ended.code, Some(0), "{arguments:?} {shown:?}");
        }
    }
    let tried = shown.last().unwrap();
    assert!(
        tried.contains("/v3/items/a?key=1&transactionId=") && tried.contains("authorization: ***"),
        "{tried}"
    );
    let ended = service.stop_sound();
    shown.push(format!("{}{}", ended.out, ended.err));
    for entry in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            shown.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
    assert!(shown.iter().all(|shown| !shown.contains("canary")), "{shown:?}");
}

/// One call, when the event says so.
const PACED: &str = "
webhook: {auth: none}
queue: {workers: 1}
steps:
  - {when: webhook.body.call, http: {integration: warehouse, url: x}}
";

#[test]
fn a_rate_is_kept_by_all_flows_together() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let integration = format!("{WAREHOUSE}rate_limit: 5/s\n");
    let folder = folder(&target, &integration).flow("a", PACED).flow("b", PACED);
    let service = Service::start_with(&folder, SECRETS);
    let clock = Clock::system();
    let began = clock.monotonic();
    for n in 0..8 {
        begin(&service, if n % 2 == 0 { "a" } else { "b" }, r#"{"call": true}"#);
    }
    target.heard(8);
    let took = clock.monotonic().duration_since(began);
    assert!(took >= Duration::from_millis(1_350), "seven steps of 200 ms: {took:?}");
    service.stop_sound();
}

#[test]
fn who_waits_for_a_turn_holds_no_worker_and_a_reload_is_no_new_allowance() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let integration = format!("{WAREHOUSE}rate_limit: 1/h\n");
    let folder = folder(&target, &integration).flow("a", PACED);
    let service = Service::start_with(&folder, SECRETS);
    let first = begin(&service, "a", r#"{"call": true}"#);
    until_status(&service, &first, "succeeded");
    let second = begin(&service, "a", r#"{"call": true}"#);
    until_status(&service, &second, "waiting");
    let third = begin(&service, "a", r#"{"call": false}"#);
    until_status(&service, &third, "succeeded");
    folder
        .put("config/integrations/warehouse.yaml", at(&target, &integration.replace("X-Shared", "X-Other")));
    assert_eq!(service.reload().status, 200);
    let fourth = begin(&service, "a", r#"{"call": true}"#);
    until_status(&service, &fourth, "waiting");
    assert_eq!(target.count(), 1);
    service.stop_sound();
}

#[test]
fn a_call_that_waits_for_its_turn_when_the_service_goes_down_leaves_afterwards() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let integration = format!("{WAREHOUSE}rate_limit: 6/m\n");
    // No ID, so it is not sent twice.
    let folder = folder(&target, &integration).flow("a", &PACED.replace("url: x", "method: POST, url: x"));
    let mut service = Service::start_with(&folder, SECRETS);
    for (nth, signal) in ["TERM", "KILL"].into_iter().enumerate() {
        let first = begin(&service, "a", r#"{"call": true}"#);
        until_status(&service, &first, "succeeded");
        let second = begin(&service, "a", r#"{"call": true}"#);
        until_status(&service, &second, "waiting");
        service.signal(signal);
        service.end();
        service = Service::start_with(&folder, SECRETS);
        until_status(&service, &second, "succeeded");
        assert_eq!(target.count(), 2 * (nth + 1));
    }
    service.stop_sound();
}

#[test]
fn an_answer_that_asks_to_wait_slows_every_caller() {
    let target = Target::start(|_| Play::Later(429, "300"));
    let folder = folder(&target, WAREHOUSE).flow("a", PACED).flow("b", PACED);
    let service = Service::start_with(&folder, SECRETS);
    let first = begin(&service, "a", r#"{"call": true}"#);
    until_status(&service, &first, "failed");
    let second = begin(&service, "b", r#"{"call": true}"#);
    until_status(&service, &second, "waiting");
    let late = PACED.replace("url: x}", "url: x}, timeout: 5s");
    folder.put("flows/late.yaml", late);
    assert_eq!(service.reload().status, 200);
    let third = begin(&service, "late", r#"{"call": true}"#);
    until_status(&service, &third, "failed");
    assert!(run(&service, &third).contains("step.http.rate-limited"));
    assert_eq!(target.count(), 1);
    service.stop_sound();
}

#[test]
fn a_run_keeps_the_definition_that_it_began_with_and_goes_where_the_root_is_now() {
    let (former, target) =
        (Target::start(|_| Play::Answer(500, "{}")), Target::start(|_| Play::Answer(200, "{}")));
    let slow = "
webhook: {auth: none}
steps:
  - sleep: 1500ms
  - {call: warehouse.reserve, with: {sku: a}}
";
    let folder = folder(&former, WAREHOUSE).flow("slow", slow);
    let service = Service::start_with(&folder, SECRETS);
    let run = begin(&service, "slow", "{}");
    until_status(&service, &run, "waiting");
    let changed = WAREHOUSE.replace("reserve:", "hold:").replace("/items/", "/things/");
    folder.put("config/integrations/warehouse.yaml", at(&target, &changed));
    folder.put("flows/slow.yaml", slow.replace("reserve", "hold"));
    assert_eq!(service.reload().status, 200);
    until_status(&service, &run, "succeeded");
    let heard = target.heard(1);
    assert!(heard[0].target.starts_with("/v3/items/a?"), "{heard:?}");
    assert_eq!(former.count(), 0);
    service.stop_sound();
}

#[test]
fn an_integration_reaches_the_ranges_that_it_allows_and_never_the_service_itself() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let closed = WAREHOUSE.replace("allow: [127.0.0.0/8]\n", "").replace("warehouse", "closed");
    let own = WAREHOUSE.replace("URL/v3/?key=1", "OPS/").replace("warehouse", "own");
    let flow = |name: &str, url: &str| {
        format!(
            "webhook: {{auth: none}}\nsteps:\n  - {{id: it, http: {{integration: {name}, url: '{url}'}}, on_error: continue}}\n  - respond: {{json: {{ok: '${{ steps.it.ok }}', error: '${{ steps.it.error | default(null) }}'}}}}\n"
        )
    };
    let folder = folder(&target, WAREHOUSE)
        .with("config/integrations/closed.yaml", at(&target, &closed))
        .flow("open", &flow("warehouse", "x"))
        .flow("closed", &flow("closed", "x"))
        .flow(
            "elsewhere",
            &flow("warehouse", "http://127.0.0.1:1/x")
                .replace("http://127.0.0.1:1/x", "${ webhook.body.url }"),
        );
    let service = Service::start_with(&folder, SECRETS);
    assert_eq!(send(&service, "open", "{}").value()["ok"], true);
    let answer = send(&service, "closed", "{}").value();
    assert_eq!((&answer["ok"], &answer["error"]["kind"]), (&json!(false), &json!("refused")), "{answer}");
    // A value is a part of the path, whatever it looks like.
    assert_eq!(send(&service, "elsewhere", r#"{"url": "http://evil.test/"}"#).value()["ok"], true);
    let heard = target.heard(2);
    assert_eq!(heard[1].target, "/v3/http%3A%2F%2Fevil.test%2F?key=1");
    let printed = service.printed();
    let ops = printed.split("ops: ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    folder.put("config/integrations/own.yaml", own.replace("OPS", &ops));
    folder.put("flows/own.yaml", flow("own", "healthz"));
    assert_eq!(service.reload().status, 200);
    let answer = send(&service, "own", "{}").value();
    assert_eq!(answer["error"]["kind"], "refused", "{answer}");
    service.stop_sound();
}
