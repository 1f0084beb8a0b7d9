//! Events that go out: fanned out before the 2xx, delivered at least once, signed, and nobody held up by anybody else.

use super::service::{Folder, Service, until};
use super::signed::signature;
use super::target::{Heard, Play, Target};
use super::wire::Request;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const ALLOWED: &str = "outbound: {allow: [127.0.0.0/8]}";
const SECRET: &str = "a-secret-of-the-crm-and-nobody-else";
const FLOW: &str = "
webhook: {auth: none}
steps:
  - emit: order.created
    data: webhook.body
  - respond: {status: 202}
";

fn subscription(name: &str, target: &Target, more: &str) -> String {
    format!("subscription: {name}\ncallback_url: {}\nevents: [order.created]\n{more}", target.url("/in"))
}

fn folder(subscriptions: &[(&str, &Target, &str)]) -> Folder {
    let folder = Folder::new().config(ALLOWED).flow("shop", FLOW);
    for (name, target, more) in subscriptions {
        folder.put(&format!("config/subscriptions/{name}.yaml"), subscription(name, target, more));
    }
    folder
}

fn emit(service: &Service, body: &str) -> String {
    let answer = service.send(&Request::json("/hook/shop", body));
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.header("x-run-id").unwrap().to_owned()
}

fn publish(service: &Service, key: Option<&str>, body: &Value) -> Value {
    let mut request = Request::json("/api/events", body.to_string());
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let answer = super::wire::Wire::connect(service.ops).ask(&request);
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.value()
}

fn deliveries(service: &Service, query: &str) -> Vec<Value> {
    let page = service.ops(&format!("/api/deliveries?{query}")).value();
    page["items"].as_array().unwrap().clone()
}

fn until_state(service: &Service, subscription: &str, state: &str, count: usize) -> Vec<Value> {
    until(&format!("{count} {state} of {subscription}"), || {
        let found = deliveries(service, &format!("subscription={subscription}&state={state}"));
        (found.len() == count).then_some(found)
    })
}

fn good() -> Target {
    Target::start(|_| Play::Answer(204, ""))
}

fn id(heard: &Heard) -> String {
    heard.header("webhook-id").unwrap().to_owned()
}

#[test]
fn an_event_is_delivered_signed_and_shown() {
    let target = good();
    let folder = folder(&[("crm", &target, "secrets: [{file: key}]")]).with("key", SECRET);
    let service = Service::start(&folder);
    let run = emit(&service, r#"{"total":10.10,"n":123456789012345678901234567890}"#);
    let heard = target.heard(1).remove(0);
    assert_eq!((heard.method.as_str(), heard.target.as_str()), ("POST", "/in"));
    let signed = signature(SECRET, &heard.body).replace("sha256=", "");
    assert_eq!(heard.header("x-signature"), Some(&*signed));
    let text = String::from_utf8(heard.body.clone()).unwrap();
    assert!(text.ends_with(r#""data":{"total":10.10,"n":123456789012345678901234567890}}"#), "{text}");
    assert_eq!(heard.value()["event"], "order.created");

    let delivered = until_state(&service, "crm", "delivered", 1).remove(0);
    assert_eq!((&delivered["attempts"], &delivered["last"]["status"]), (&json!(1), &json!(204)));
    assert_eq!(delivered["event_id"], heard.value()["id"]);
    assert_eq!(delivered["delivery"], id(&heard));
    let shown = service.ops(&format!("/api/runs/{run}")).value();
    assert_eq!(shown["emitted"][0]["event_id"], delivered["event_id"], "{shown}");
    assert_eq!(shown["emitted"][0]["deliveries"][0]["state"], "delivered");
    let page = service.command(&folder, &["runs", "show", &run]).out;
    assert!(
        page.contains("emitted\n  order.created") && page.contains("to crm: delivered, attempts 1"),
        "{page}"
    );
    service.until_metric("hookflow_deliveries_total{subscription=\"crm\",outcome=\"delivered\"}", 1);

    // An operator looks, and has it sent again.
    let list = service.command(&folder, &["deliveries", "--state", "delivered"]);
    assert!(list.out.contains("order.created to crm  attempts 1  status 204"), "{list:?}");
    let show = service.command(&folder, &["deliveries", "show", &id(&heard)]);
    assert!(show.out.contains("10.10") && show.out.contains(&run), "{show:?}");
    let again = service.command(&folder, &["deliveries", "resend", &id(&heard)]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(id(&target.heard(2)[1]), id(&heard), "under the same ID");
    until_state(&service, "crm", "delivered", 1);
    let unknown = service.command(&folder, &["deliveries", "show", "nothing"]);
    assert_eq!((unknown.code, unknown.err.contains("delivery.unknown")), (Some(1), true), "{unknown:?}");
    let ended = service.stop_sound();
    assert!(!ended.err.contains(SECRET) && !ended.out.contains(SECRET));
}

#[test]
fn a_run_that_nobody_waits_for_and_that_only_emits_is_heard_of() {
    let target = good();
    let alone = "webhook: {auth: none}\nsteps: [{emit: order.created, data: webhook.body}]\n";
    let child = "steps: [{emit: order.created, data: webhook.body.n}]\n";
    let parent = "webhook: {auth: none}\nsteps: [{run: child, with: {n: 2}, detach: true}]\n";
    let folder = folder(&[("crm", &target, "")]).flow("alone", alone);
    let folder = folder.flow("child", child).flow("parent", parent);
    let service = Service::start(&folder);
    for (n, flow) in ["alone", "parent"].into_iter().enumerate() {
        let answer = service.send(&Request::json(&format!("/hook/{flow}"), r#"{"n": 1}"#));
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(target.heard(n + 1)[n].value()["event"], "order.created", "{flow}");
    }
    until_state(&service, "crm", "delivered", 2);
    service.stop_sound();
}

#[test]
fn an_event_from_elsewhere_is_known_by_its_key() {
    let target = good();
    let folder = folder(&[("crm", &target, "")]);
    let service = Service::start(&folder);
    let event = json!({"event": "order.created", "data": [1, {"a": null}]});
    let first = publish(&service, Some("k"), &event);
    assert_eq!(publish(&service, Some("k"), &event), first);
    target.heard(1);
    // Kept, although nobody gets it.
    let unheard = publish(&service, None, &json!({"event": "nobody.listens"}));
    assert_ne!(unheard, first);
    until_state(&service, "crm", "delivered", 1);
    assert_eq!(target.count(), 1);
    assert_eq!(target.heard(1)[0].value()["data"], event["data"]);
    for (body, code) in [
        ("{}", "ops.query"),
        ("[]", "ops.query"),
        (r#"{"event": "a", "dta": 1}"#, "ops.query"),
        (r#"{"event": "a b"}"#, "event.name"),
    ] {
        assert_eq!(service.ops_post("/api/events", body).code(), code, "{body}");
    }
    // The key outlives the process.
    service.signal("KILL");
    service.end();
    let service = Service::start(&folder);
    assert_eq!(publish(&service, Some("k"), &event), first);
    service.stop_sound();
}

#[test]
fn a_form_nests_by_brackets() {
    let target = good();
    let folder = folder(&[("crm", &target, "content_type: application/x-www-form-urlencoded")]);
    let service = Service::start(&folder);
    emit(&service, r#"{"a": {"b": "c d"}, "list": [1.10]}"#);
    let heard = target.heard(1).remove(0);
    let body = String::from_utf8(heard.body).unwrap();
    assert!(body.ends_with("data%5Ba%5D%5Bb%5D=c+d&data%5Blist%5D%5B0%5D=1.10"), "{body}");
    service.stop_sound();
}

#[test]
fn a_delivery_outlives_a_kill_under_its_id() {
    let target = Target::hanging();
    let folder = folder(&[("crm", &target, "")]);
    let service = Service::start(&folder);
    emit(&service, r#"{"n": 1}"#);
    let first = target.heard(1).remove(0);
    service.signal("KILL");
    service.end();
    target.release();
    let service = Service::start(&folder);
    let second = target.heard(2).remove(1);
    assert_eq!((id(&second), &second.body), (id(&first), &first.body));
    until_state(&service, "crm", "delivered", 1);
    service.stop_sound();
}

#[test]
fn one_that_hangs_holds_up_nobody_else() {
    let (dead, alive) = (Target::hanging(), good());
    let folder = folder(&[("dead", &dead, ""), ("alive", &alive, "")]);
    let service = Service::start(&folder);
    for n in 0..40 {
        emit(&service, &json!({"n": n}).to_string());
    }
    alive.heard(40);
    assert!(dead.count() <= 8, "{}", dead.count());
    until_state(&service, "alive", "delivered", 40);
    assert_eq!(deliveries(&service, "subscription=dead&state=pending").len(), 40);
    dead.release();
    until_state(&service, "dead", "delivered", 40);
    service.stop_sound();
}

#[test]
fn who_is_gone_is_turned_off_until_an_operator_says_so() {
    static GONE: AtomicUsize = AtomicUsize::new(410);
    let target = Target::start(|_| match GONE.load(Ordering::SeqCst) {
        410 => Play::Answer(410, "{}"),
        _ => Play::Answer(200, "{}"),
    });
    let folder = folder(&[("crm", &target, "")]);
    let service = Service::start(&folder);
    emit(&service, "{}");
    let failed = until_state(&service, "crm", "failed", 1).remove(0);
    assert_eq!(failed["last"]["status"], 410);
    service.until_metric("hookflow_subscription_off{subscription=\"crm\"}", 1);
    emit(&service, "{}");
    service.stop_sound();
    // It is still off, and what was emitted for it waits.
    let service = Service::start(&folder);
    let list = service.command(&folder, &["subscriptions"]);
    assert!(list.out.starts_with("crm  off") && list.out.contains("answered 410"), "{list:?}");
    assert_eq!(deliveries(&service, "state=pending").len(), 1);
    assert_eq!(target.count(), 1);
    GONE.store(200, Ordering::SeqCst);
    let on = service.command(&folder, &["subscriptions", "on", "crm"]);
    assert_eq!(on.code, Some(0), "{on:?}");
    until_state(&service, "crm", "delivered", 1);

    let dry = service.command(&folder, &["deliveries", "resend", "--state", "failed", "--dry-run"]);
    assert!(dry.out.starts_with("1 delivery would be"), "{dry:?}");
    let all = service.command(&folder, &["deliveries", "resend", "--state", "failed", "--rate", "100/s"]);
    assert!(all.out.starts_with("1 delivery sent"), "{all:?}");
    until_state(&service, "crm", "delivered", 2);
    let unknown = service.command(&folder, &["subscriptions", "off", "nobody"]);
    assert_eq!((unknown.code, unknown.err.contains("subscription.unknown")), (Some(1), true), "{unknown:?}");
    service.stop_sound();
}

#[test]
fn an_endpoint_that_asks_to_wait_is_asked_again_then_and_no_sooner() {
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    let target = Target::start(|_| match TRIES.fetch_add(1, Ordering::SeqCst) {
        0 => Play::Later(429, "1"),
        1 => Play::Later(503, "soon"),
        _ => Play::Answer(200, "{}"),
    });
    let folder = folder(&[("crm", &target, "")]);
    let service = Service::start(&folder);
    emit(&service, "{}");
    target.heard(2);
    // What cannot be read asks for nothing: then it is the pause of a second try.
    let waiting = until("the second outcome", || {
        let found = deliveries(&service, "state=pending").pop()?;
        (found["attempts"] == 2).then_some(found)
    });
    let moment = |key: &Value| key.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    // Both tries are kept, and what came of each.
    let id = waiting["delivery"].as_str().unwrap().to_owned();
    let shown = service.ops(&format!("/api/deliveries/{id}")).value();
    let told = |key: &str| {
        shown["tries"].as_array().unwrap().iter().map(|told| told[key].clone()).collect::<Vec<_>>()
    };
    assert_eq!((told("status"), told("kind")), (vec![json!(429), json!(503)], vec![json!("status"); 2]));
    assert!(told("took_ms").iter().all(Value::is_u64) && told("at").iter().all(Value::is_string));
    let page = service.command(&folder, &["deliveries", "show", &id]).out;
    assert!(page.contains("tries\n") && page.contains("  status 429  "), "{page}");
    let pause = moment(&waiting["next_at"]).duration_since(moment(&waiting["last"]["at"]));
    assert!((15..=30).contains(&pause.as_secs()), "{pause:?}");
    // An operator does not wait.
    assert_eq!(service.ops_post(&format!("/api/deliveries/{id}/resend"), "").status, 202);
    until_state(&service, "crm", "delivered", 1);
    // Who sends it again does not wipe out what was.
    let shown = service.ops(&format!("/api/deliveries/{id}")).value();
    let statuses: Vec<_> = shown["tries"].as_array().unwrap().iter().map(|told| &told["status"]).collect();
    assert_eq!(statuses, [429, 503, 200]);
    assert_eq!(shown["tries"][2]["answer"], "{}");
    service.stop_sound();
}

#[test]
fn an_endpoint_that_fails_is_set_aside_and_that_outlives_a_restart() {
    let target = Target::start(|_| Play::Later(500, "1"));
    let folder = folder(&[("crm", &target, "max_attempts: 20")]);
    let service = Service::start(&folder);
    for _ in 0..7 {
        emit(&service, "{}");
    }
    service.until_metric("hookflow_subscription_set_aside{subscription=\"crm\"}", 1);
    assert!((5..=12).contains(&target.count()), "{}", target.count());
    service.stop_sound();
    let service = Service::start(&folder);
    let list = service.command(&folder, &["subscriptions"]);
    assert!(list.out.starts_with("crm  set aside") && list.out.contains("pending 7"), "{list:?}");
    service.stop_sound();
}

#[test]
fn a_secret_is_replaced_without_a_gap() {
    let target = good();
    let new = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let old = "b2xkLXNlY3JldC1vZi10aGUtY3JtLWFuZC1ub2JvZHk=";
    let folder = folder(&[("crm", &target, "secrets: [{file: old}]\nsignature: both")]);
    let folder = folder.with("old", old).with("new", new);
    let service = Service::start(&folder);
    emit(&service, "{}");
    let before = target.heard(1).remove(0);
    let two = subscription("crm", &target, "secrets: [{file: new}, {file: old}]\nsignature: both");
    folder.put("config/subscriptions/crm.yaml", two);
    assert_eq!(service.reload().status, 200);
    emit(&service, "{}");
    let heard = target.heard(2).remove(1);
    let plain = |secret: &str| signature(secret, &heard.body).replace("sha256=", "");
    assert_eq!(heard.header("x-signature"), Some(&*plain(new)));
    assert_eq!(heard.header("x-signature-2"), Some(&*plain(old)));
    let signatures = |heard: &Heard| heard.header("webhook-signature").unwrap().split(' ').count();
    assert_eq!((signatures(&before), signatures(&heard)), (1, 2));
    service.stop_sound();
}
