//! `hookflow try`: one request, each step with its value and its time, and why the run went where it did.

use super::service::{Ended, Folder, hookflow_with};
use super::target::{Play, Target};
use serde_json::{Value, json};

const TOKEN: &str = "canary-token-3b77";
const SECRETS: &[(&str, &str)] = &[("WAREHOUSE_TOKEN", TOKEN), ("SHOP_KEY", "canary-key-of-the-shop-91")];

const SHOP: &str = "
flow: shop
enabled: paused
webhook: {auth: shop, path: '/orders/{id}', sample: {suffix: /orders/7, body: {sku: A-1, amount: 1200, kind: gift, items: [1, 2]}}}
steps:
  - if: '${ webhook.body.amount > 1000 and webhook.body.kind != \"gift\" }'
    then:
      - fail: not today
    else:
      - {id: sum, run: sum, with: {n: '${ webhook.body.amount }'}}
  - switch: webhook.body.kind
    cases: {gift: [{log: wrap it}]}
  - for: item
    in: webhook.body.items
    do:
      - {id: second, when: item > 1, set: {item: '${ item }'}}
  - id: held
    call: warehouse.reserve
    with: {sku: '${ webhook.body.sku }'}
    retry: {tries: 3, on: [5xx], backoff: 2s..2s}
  - {id: nap, sleep: 5s}
  - try:
      - {id: told, http: {integration: warehouse, url: 'told?q=${ webhook.query.q | default(\"none\") }', ok: [204]}, timeout: 3s}
    catch:
      - {log: 'no: ${ error.kind }'}
  - respond: {status: 201, json: {order: '${ steps.held.order }', sum: '${ steps.sum }', id: '${ webhook.params.id }'}}
";

const SUM: &str = "
flow: sum
steps:
  - {id: add, set: {n: '${ webhook.body.n + 1 }'}}
  - return: ${ steps.add.n }
";

const WAREHOUSE: &str = "
integration: warehouse
root_url: URL/v3
ALLOW
headers: {Authorization: {value: {env: WAREHOUSE_TOKEN}, private: true}}
webhooks:
  reserve:
    method: POST
    url: items/${ sku }
    headers: {X-Plain: 'for ${ sku }'}
    json: {id: '${ WebhookRequest.TransactionalId }'}
    capture: {order: 'data[0].id'}
";

fn folder(url: &str, allow: &str) -> Folder {
    let warehouse = WAREHOUSE.replace("URL", url).replace("ALLOW", allow);
    Folder::new()
        .credentials("shop: {type: api_key, header: X-Key, keys: [{env: SHOP_KEY}]}\n")
        .with("config/integrations/warehouse.yaml", warehouse)
        .flow("shop", SHOP)
        .flow("sum", SUM)
}

fn tried(folder: &Folder, arguments: &[&str]) -> Ended {
    let ended = hookflow_with(folder.path(), &[&["try", "shop"], arguments].concat(), SECRETS);
    assert!(!format!("{}{}", ended.out, ended.err).contains("canary"), "{}{}", ended.out, ended.err);
    ended
}

fn value(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|why| panic!("{why}: {}{}", ended.out, ended.err))
}

fn step<'v>(run: &'v Value, name: &str, turn: &[u64]) -> &'v Value {
    let steps = run["steps"].as_array().unwrap();
    let found = steps.iter().find(|step| step["step"] == name && step["turns"] == json!(turn));
    found.unwrap_or_else(|| panic!("{name} {turn:?}: {steps:#?}"))
}

const HELD: &str = "held=[{status: 503, after: 300ms}, {json: {data: [{id: R-7}]}}]";

#[test]
fn each_step_shows_its_value_and_time_and_each_branch_its_reason() {
    let folder = folder("https://warehouse.example", "");
    let mocks = ["--mock", HELD, "--mock", "told={timeout: true}", "--format", "json"];
    let ended = tried(&folder, &mocks);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let trial = value(&ended);
    let run = &trial["run"];
    assert_eq!((&trial["enabled"], &trial["request"]["credential"]), (&json!("paused"), &json!("shop")));
    assert_eq!(trial["answer"]["status"], 201);
    assert_eq!(trial["answer"]["body"], r#"{"order":"R-7","sum":1201,"id":"7"}"#);

    let asked = &step(run, "0", &[])["branches"][0];
    assert_eq!(asked["arm"], "else");
    assert_eq!(asked["test"], "webhook.body.amount > 1000 and webhook.body.kind != \"gift\"");
    assert_eq!(asked["value"], false);
    assert_eq!(asked["reads"], json!({"webhook.body.amount": 1200, "webhook.body.kind": "gift"}));
    assert!(asked["at"].as_str().unwrap().starts_with("flows/shop.yaml:6:"), "{asked}");
    let switch = &step(run, "1", &[])["branches"][0];
    assert_eq!((&switch["arm"], &switch["value"]), (&json!("case gift"), &json!("gift")));
    assert_eq!(step(run, "2", &[])["branches"][0]["value"], 2);
    let (first, second) = (step(run, "second", &[0]), step(run, "second", &[1]));
    assert_eq!((&first["ran"], &first["branches"][0]["arm"]), (&json!(false), &json!("when false")));
    assert_eq!(first["branches"][0]["reads"], json!({"item": 1}));
    assert_eq!((&second["ran"], &second["out"]), (&json!(true), &json!({"item": 2})));

    let held = step(run, "held", &[]);
    assert_eq!(held["in"]["url"], "https://warehouse.example/v3/items/A-1");
    let headers = &held["in"]["headers"];
    assert_eq!((&headers["authorization"], &headers["x-plain"]), (&json!("***"), &json!("for A-1")));
    assert_eq!(held["attempts"][0]["ended_ms"], 300);
    assert_eq!((&held["attempts"][0]["status"], &held["attempts"][1]["status"]), (&json!(503), &json!(200)));
    assert!(held["took_ms"].as_u64().unwrap() > 1_000, "the second try is sent later: {held}");
    assert_eq!(step(run, "nap", &[])["took_ms"], 5_000);
    assert_eq!(step(run, "told", &[])["took_ms"], 3_000);
    assert_eq!(step(run, "told", &[])["in"]["url"], "https://warehouse.example/v3/told?q=none");
    let caught = &step(run, "5", &[])["branches"][0];
    assert_eq!((&caught["arm"], &caught["value"]["kind"]), (&json!("catch"), &json!("timeout")));
    assert_eq!(step(&trial["runs"][0], "add", &[])["out"], json!({"n": 1201}));

    let text = tried(&folder, &mocks[..4]).out;
    for part in [
        "The flow is paused",
        "POST http://127.0.0.1:8080/hook/shop/orders/7 (signed as `shop`)",
        "is false, so `else` (flows/shop.yaml:6:",
        "      webhook.body.amount = 1200\n",
        "  second turn 0 (set)  did not run\n",
        "  nap (sleep)  at ",
        ", took 5000ms\n",
        "         authorization: ***\n",
        "    try  1 until 300ms: 503\n",
        "    out  {\"item\":2}\n",
        "so `catch` (flows/shop.yaml:",
        "run of sum: succeeded",
        "answer\n  201",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn what_would_leave_is_shown_and_the_run_ends_there() {
    let folder = folder("https://warehouse.example", "");
    let ended = tried(&folder, &["--format", "json"]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let trial = value(&ended);
    let held = step(&trial["run"], "held", &[]);
    assert_eq!(held["in"]["url"], "https://warehouse.example/v3/items/A-1");
    assert_eq!((&held["in"]["sent"], &held["in"]["mocked"]), (&json!(false), &json!(false)));
    assert!(trial["stopped"][0].as_str().unwrap().contains("`--mock held='{status: 200}'`"), "{trial:#}");
    assert_eq!(trial["answer"], Value::Null, "what the caller would hear is not known");
    assert!(trial["run"]["steps"].as_array().unwrap().iter().all(|step| step["step"] != "nap"));
    let inner = hookflow_with(folder.path(), &["try", "sum", "--format", "json"], &[]);
    assert!(inner.err.is_empty() && value(&inner)["run"]["error"]["kind"] == "expression", "{}", inner.out);
}

#[test]
fn a_recorded_request_is_signed_anew() {
    let folder = folder("https://warehouse.example", "");
    let body = r#"{"sku": "B", "amount": 1, "kind": "x", "items": []}"#;
    let record = json!({
        "method": "POST", "url": "https://hooks.example/hook/shop/orders/9?q=a%20b&q=c",
        "headers": [["content-type", "application/json"], ["x-key", "an old one"], ["content-length", "51"]], "body": body,
    });
    folder.put("request.json", record.to_string());
    folder.put("other.json", record.to_string().replace("hook/shop", "hook/shops"));
    folder.put("wrong.json", record.to_string().replace("POST", "DELETE"));
    let mocks = ["--mock", HELD, "--mock", "told={status: 204}", "--request"];
    let ended = tried(&folder, &[&mocks[..], &["request.json", "--format", "json"]].concat());
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let trial = value(&ended);
    assert_eq!(trial["answer"]["body"], r#"{"order":"R-7","sum":2,"id":"9"}"#);
    assert_eq!(trial["request"]["url"], "http://127.0.0.1:8080/hook/shop/orders/9?q=a%20b&q=c");
    let other = tried(&folder, &[&mocks[..], &["other.json"]].concat());
    assert!(other.code == Some(2) && other.err.contains("is a request for /hook/shops/"), "{}", other.err);
    let refused = tried(&folder, &[&mocks[..], &["wrong.json"]].concat());
    assert_eq!(refused.code, Some(1));
    assert!(refused.out.contains("The request was refused: nothing ran."), "{}", refused.out);
    assert!(refused.out.contains("answer\n  405"), "{}", refused.out);
}

#[test]
fn live_makes_the_calls_and_keeps_to_the_policy() {
    let target = Target::start(|heard| match heard.method.as_str() {
        "POST" => Play::Answer(200, r#"{"data": [{"id": "R-7"}]}"#),
        _ => Play::Answer(204, ""),
    });
    let nap = SHOP.replace("sleep: 5s", "sleep: 10ms");
    let allowed = folder(&target.url(""), "allow: [127.0.0.0/8]").flow("shop", &nap);
    for _ in 0..2 {
        let ended = tried(&allowed, &["--live", "--format", "json"]);
        assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
        let trial = value(&ended);
        assert_eq!(trial["answer"]["body"], r#"{"order":"R-7","sum":1201,"id":"7"}"#);
        let held = step(&trial["run"], "held", &[]);
        assert_eq!(
            (&held["in"]["sent"], &held["in"]["headers"]["authorization"]),
            (&json!(true), &json!("***"))
        );
        assert_eq!(held["out"]["status"], 200);
    }
    let heard = target.heard(4);
    assert!(heard.iter().all(|heard| heard.header("authorization") == Some(TOKEN)), "{heard:?}");
    assert_eq!(heard[0].target, "/v3/items/A-1");
    assert_ne!(heard[0].value()["id"], heard[2].value()["id"], "each trial is a run of its own");

    let mocked = tried(&allowed, &["--live", "--mock", HELD, "--mock", "told={status: 204}"]);
    assert_eq!(mocked.code, Some(0), "{}{}", mocked.out, mocked.err);
    let refusing = folder(&target.url(""), "").flow("shop", &nap);
    let refused = tried(&refusing, &["--live", "--format", "json"]);
    assert_eq!(refused.code, Some(1), "{}{}", refused.out, refused.err);
    assert_eq!(value(&refused)["run"]["error"]["kind"], "refused");
    let unset = hookflow_with(allowed.path(), &["try", "shop", "--live"], &[]);
    assert!(unset.code == Some(1) && unset.err.contains("WAREHOUSE_TOKEN"), "{}", unset.err);
    assert_eq!(target.count(), 4, "nothing else has left");
}
