//! Redirects: followed where a file asks for it, each hop judged as a call is; and whatever leaves by any way reaches none of
//! the addresses that are not public.

use super::egress::{ask, flow, folder, kind};
use super::service::{Folder, Service, hookflow, hookflow_with, until};
use super::target::{Heard, Play, Target};
use super::wire::Request;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;

const OPEN: &str = "outbound: {allow: [127.0.0.0/8]}";

/// The addresses that are not called, each with a range that would let it through.
pub(super) fn corpus() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("../../crates/hookflow-outbound/src/address/corpus.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(|line| line.split_once(' ').unwrap())
}

/// `/3` leads to `/2`, and so on; `/0` is the end.
fn countdown(heard: &Heard) -> Play {
    match heard.target.trim_start_matches('/').parse::<u32>() {
        Ok(0) => Play::Answer(200, r#"{"end":true}"#),
        Ok(n) => Play::Redirect(302, (n - 1).to_string()),
        Err(_) => Play::Redirect(307, "/round".into()),
    }
}

#[test]
fn redirects_are_followed_as_often_as_the_nearest_says() {
    let target = Target::start(countdown);
    let root = format!("root_url: {}\nredirects: 2\n", target.url("/"));
    let webhooks =
        "webhooks: {own: {method: GET, url: '${ n }', redirects: 1}, shared: {method: GET, url: '${ n }'}}";
    let mut folder =
        folder(OPEN, &[]).with("config/integrations/it.yaml", format!("integration: it\n{root}{webhooks}\n"));
    let shared = "call: it.shared\n    with: {n: '${ webhook.body.n }'}";
    let own = shared.replace("shared", "own");
    for (id, call) in [
        ("none", "http: {url: '${ webhook.body.url }'}"),
        ("step", "http: {integration: it, url: '${ webhook.body.n }', redirects: 3}"),
        ("closed", "http: {integration: it, url: '${ webhook.body.n }', redirects: 0}"),
        ("shared", shared),
        ("own", &own),
        ("ten", "http: {url: '${ webhook.body.url }', redirects: 10}"),
    ] {
        let step = format!("  - id: call\n    {call}\n    on_error: continue\n");
        let respond = "  - respond: {json: '${ steps.call }'}\n";
        folder = folder.flow(id, &format!("webhook: {{auth: none}}\nsteps:\n{step}{respond}"));
    }
    let service = Service::start(&folder);
    let mut before = 0;
    for (id, n, status, requests) in [
        ("none", "1", 302, 1),
        ("none", "0", 200, 1),
        ("shared", "2", 200, 3),
        ("shared", "3", 302, 3),
        ("own", "1", 200, 2),
        ("own", "2", 302, 2),
        ("step", "3", 200, 4),
        ("step", "4", 302, 4),
        ("closed", "1", 302, 1),
        ("ten", "10", 200, 11),
        ("ten", "round", 307, 11),
    ] {
        let body = json!({"n": n, "url": target.url(&format!("/{n}"))});
        let answer = service.send(&Request::json(&format!("/hook/{id}"), body.to_string())).value();
        let good = status == 200;
        assert_eq!((&answer["status"], &answer["ok"]), (&json!(status), &json!(good)), "{id} {n}: {answer}");
        assert_eq!(kind(&answer), if good { "none" } else { "status" }, "{id} {n}: {answer}");
        assert_eq!(target.count() - before, requests, "{id} {n}");
        before = target.count();
    }
    let [preview, call] = ["preview", "call"]
        .map(|command| hookflow(folder.path(), &[command, "it.shared", "--with", "n=2", "--format", "json"]));
    let read = |ended: &super::service::Ended| serde_json::from_str::<Value>(&ended.out).unwrap();
    assert_eq!(read(&preview)["redirects"], 2, "{preview:?}");
    let hops =
        ["1", "0"].map(|n| json!({"status": 302, "method": "GET", "url": target.url(&format!("/{n}"))}));
    assert_eq!((&read(&call)["hops"], call.code), (&json!(hops), Some(0)), "{call:?}");
    let preview = hookflow(folder.path(), &["preview", "it.own", "--with", "n=2"]);
    assert!(preview.out.ends_with("\nIt would follow up to 1 redirect.\n"), "{preview:?}");
    let call = hookflow(folder.path(), &["call", "it.own", "--with", "n=2"]);
    assert!(call.out.contains(&format!("302, on to GET {}\n302 after ", target.url("/1"))), "{call:?}");
    service.stop_sound();
}

const SHOP: &str = "
webhook: {auth: none}
steps:
  - id: call
    call: bank.pay
    with: {to: '${ webhook.body.to }'}
    on_error: continue
  - respond: {json: '${ steps.call }'}
";

/// `URL` stands for the target.
const BANK: &str = "integration: bank
root_url: URL
redirects: 1
headers: {Authorization: {env: BANK_TOKEN}, X-Key: {value: canary-key-91f0, private: true}}
webhooks:
  pay:
    url: '${ to }'
    headers: {Cookie: canary-cookie-91f0, X-Known: '${WebhookRequest.TransactionalId}'}
    json: {sum: 7}
    sign: bank
";

const SECRETS: &[(&str, &str)] =
    &[("BANK_TOKEN", "canary-token-91f0"), ("BANK_SIGNS", "canary-secret-91f0-and-nobody-else")];
/// What says who calls.
const OF_THE_CALLER: [&str; 4] = ["authorization", "cookie", "x-key", "x-hub-signature-256"];

#[test]
fn another_origin_hears_what_was_asked_and_not_by_whom() {
    let cdn = Target::start(|_| Play::Answer(200, r#"{"by":"the cdn"}"#));
    let away = cdn.url("/file?opens=canary-query-91f0");
    let to = away.clone();
    let bank = Target::start(move |heard| match heard.target.as_str() {
        "/home" => Play::Redirect(307, "/here?a=b".into()),
        "/away" => Play::Redirect(308, to.clone()),
        "/file" => Play::Redirect(303, to.clone()),
        _ => Play::Answer(200, r#"{"by":"the bank"}"#),
    });
    let folder =
        Folder::new().config(OPEN).with("config/integrations/bank.yaml", BANK.replace("URL", &bank.url("/")));
    let folder = folder
        .flow("shop", SHOP)
        .credentials("bank: {type: hmac, preset: github, secret: {env: BANK_SIGNS}}");
    let service = Service::start_with(&folder, SECRETS);
    let pay = |to: &str| {
        let answer = service.send(&Request::json("/hook/shop", json!({"to": to}).to_string())).value();
        assert_eq!(answer["status"], 200, "{answer}");
        answer["body"]["by"].as_str().unwrap().to_owned()
    };
    let tells = |heard: &Heard| OF_THE_CALLER.iter().filter(|name| heard.header(name).is_some()).count();

    assert_eq!(pay("home"), "the bank");
    let heard = bank.heard(2);
    for one in &heard {
        assert_eq!((one.method.as_str(), tells(one), one.value()), ("POST", 4, json!({"sum": 7})), "{one:?}");
    }
    assert_eq!(heard[1].target, "/here?a=b");
    assert_eq!(pay("away"), "the cdn");
    assert_eq!(pay("file"), "the cdn");
    let (asked, heard) = (bank.heard(4), cdn.heard(2));
    assert!(asked[2..].iter().all(|one| tells(one) == 4), "{asked:?}");
    assert!(heard.iter().all(|one| tells(one) == 0 && !format!("{one:?}").contains("canary-c")), "{heard:?}");
    // What it is known again by goes along: the try may be made again.
    assert_eq!(heard[0].header("x-known"), asked[2].header("x-known"));
    assert_eq!((heard[0].method.as_str(), heard[0].value()), ("POST", json!({"sum": 7})));
    assert_eq!(heard[0].header("content-type"), Some("application/json"));
    assert_eq!(
        (heard[1].method.as_str(), heard[1].body.len(), heard[1].header("content-type")),
        ("GET", 0, None)
    );

    let list = service.ops("/api/attempts").value();
    let masked = cdn.url("/file?***");
    let hops: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["hops"]).collect();
    let one =
        |status: u16, method: &str, url: &str| json!([{"status": status, "method": method, "url": url}]);
    assert_eq!(
        hops,
        [&one(303, "GET", &masked), &one(308, "POST", &masked), &one(307, "POST", &bank.url("/here?***"))]
    );
    assert_eq!(list["items"][0]["request"]["url"], bank.url("/file"));
    let export = service.command(&folder, &["attempts", "export", "--format", "csv"]);
    assert!(export.out.contains(&cdn.url("/file?***")), "{export:?}");
    let mut shown = vec![list.to_string(), export.out];
    let call = hookflow_with(folder.path(), &["call", "bank.pay", "--with", "to=away"], SECRETS);
    assert!(call.out.contains(&format!("308, on to POST {masked}\n200 after ")), "{call:?}");
    shown.push(call.out);
    let ended = service.stop_sound();
    shown.extend([ended.out, ended.err]);
    assert!(shown.iter().all(|shown| !shown.contains("canary")), "{shown:?}");
}

#[test]
fn all_hops_share_one_time_and_each_has_the_bound_of_an_answer() {
    let much: &str = format!("{{\"text\": \"{}\"}}", "x".repeat(5_000)).leak();
    let target = Target::start(move |heard| match heard.target.as_str() {
        "/large" => Play::Redirect(302, "/much".into()),
        "/much" => Play::Answer(200, much),
        "/hangs" => Play::Redirect(302, "/hanging".into()),
        "/hanging" => Play::Hang,
        _ => {
            // So eleven of these take more than one may.
            std::thread::sleep(Duration::from_millis(100));
            Play::Redirect(302, "/slow".into())
        }
    });
    let config = "outbound: {allow: [127.0.0.0/8], timeout: 1s, response: 2KiB}";
    let folder = folder(config, &[]).flow("hops", &flow("redirects: 10, "));
    let service = Service::start(&folder);
    for (path, expected) in [("/large", "too_large"), ("/hangs", "timeout"), ("/slow", "timeout")] {
        let answer = ask(&service, "hops", &target.url(path));
        assert_eq!(kind(&answer), expected, "{path}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().starts_with("after "), "{answer}");
    }
    service.stop_sound();
}

#[test]
fn a_redirect_that_may_not_be_followed_is_refused() {
    let closed = Target::start(|_| Play::Answer(200, "{}"));
    let never = closed.url("/");
    let own = std::sync::Arc::new(Mutex::new(Vec::<String>::new()));
    let told = std::sync::Arc::clone(&own);
    let target = Target::start(move |heard| {
        let own = told.lock().unwrap();
        let to = match heard.target.as_str() {
            "/user" => never.replace("//", "//me:quiet@"),
            "/scheme" => never.replace("http", "ftp"),
            "/long" => format!("{never}{}", "a".repeat(9_000)),
            "/nothing" => "http://".into(),
            "/ops" => own[0].clone(),
            _ => own[1].clone(),
        };
        Play::Redirect(302, to)
    });
    let folder = folder(OPEN, &[]).flow("hops", &flow("redirects: 3, "));
    let service = Service::start(&folder);
    *own.lock().unwrap() =
        vec![format!("http://{}/livez", service.ops), format!("http://{}/else", service.public)];
    for path in ["/user", "/scheme", "/long", "/nothing", "/ops", "/public"] {
        let answer = ask(&service, "hops", &target.url(path));
        assert_eq!(kind(&answer), "refused", "{path}: {answer}");
        assert!(!answer.to_string().contains("quiet"), "{answer}");
    }
    assert_eq!((target.count(), closed.count()), (6, 0));
    service.stop_sound();
}

/// At an address of its own, so that this one may be called and no other: leads to the address of the corpus that the path
/// names, below `/again` only when it is asked once more.
fn guide() -> Target {
    let asked = Mutex::new(HashSet::new());
    Target::start_at(Ipv4Addr::new(127, 0, 0, 2), move |heard| {
        let again = heard.target.starts_with("/again/");
        if again && asked.lock().unwrap().insert(heard.target.clone()) {
            return Play::Answer(503, "{}");
        }
        let nth: usize = heard.target.rsplit('/').next().unwrap().parse().unwrap();
        Play::Redirect(307, url(corpus().nth(nth).unwrap().0))
    })
}

fn url(ip: &str) -> String {
    if ip.contains(':') { format!("http://[{ip}]:9/x") } else { format!("http://{ip}:9/x") }
}

#[test]
fn by_no_way_does_anything_leave_for_an_address_that_is_not_public() {
    let guide = guide();
    let mut all = folder("outbound: {allow: [127.0.0.2]}", &[]);
    let tried = "    retry: {tries: 2, on: [503], backoff: 10ms}\n    on_error: continue";
    let hops = flow("redirects: 3, ");
    all = all.flow("tried", &hops.replace("    on_error: continue", tried)).flow("hops", &hops);
    all =
        all.flow("emits", "webhook: {auth: none}\nsteps: [{emit: told, data: 1}, {respond: {status: 202}}]");
    let mut webhooks = String::new();
    for (nth, (ip, _)) in corpus().enumerate() {
        let callback =
            format!("subscription: s-{nth}\ncallback_url: '{}'\nevents: [told]\nmax_attempts: 1\n", url(ip));
        all.put(&format!("config/subscriptions/s{nth}.yaml"), callback);
        webhooks.push_str(&format!("  w{nth}: {{method: GET, url: '{}'}}\n", url(ip)));
    }
    // A delivery follows nobody, wherever it is led.
    let led = format!(
        "subscription: led-away\ncallback_url: {}\nevents: [told]\nmax_attempts: 1\n",
        guide.url("/0")
    );
    all.put("config/subscriptions/led.yaml", led);
    all.put("config/integrations/direct.yaml", format!("integration: direct\nwebhooks:\n{webhooks}"));
    let root = format!(
        "integration: led\nroot_url: {}\nredirects: 1\nwebhooks: {{w: {{method: GET, url: '${{ n }}'}}}}\n",
        guide.url("/")
    );
    all.put("config/integrations/led.yaml", root);
    let service = Service::start(&all);

    for (nth, (ip, _)) in corpus().enumerate() {
        for (way, flow, url) in [
            ("call", "calls", url(ip)),
            ("redirect", "hops", guide.url(&format!("/{nth}"))),
            ("redirect of a retry", "tried", guide.url(&format!("/again/{nth}"))),
        ] {
            let answer = ask(&service, flow, &url);
            assert_eq!(kind(&answer), "refused", "{way} to {ip}: {answer}");
        }
    }
    assert_eq!(guide.count(), 3 * corpus().count());
    assert_eq!(service.send(&Request::json("/hook/emits", "{}")).status, 202);
    let failed = until("all deliveries that failed", || {
        let page = service.ops("/api/deliveries?state=failed&limit=1000").value();
        let items = page["items"].as_array().unwrap().clone();
        (items.len() == corpus().count() + 1).then_some(items)
    });
    for item in failed {
        let nth = item["subscription"].as_str().unwrap().trim_start_matches("s-");
        match nth.parse().ok().and_then(|nth| corpus().nth(nth)) {
            Some((ip, _)) => assert!(refused(&item["last"]["message"]), "a delivery to {ip}: {item}"),
            None => assert_eq!((nth, &item["last"]["status"]), ("led-away", &json!(307)), "{item}"),
        }
    }
    // A command is a process: some of each kind.
    for nth in (0..corpus().count()).step_by(7) {
        for arguments in
            [&["call", &format!("direct.w{nth}")][..], &["call", "led.w", "--with", &format!("n={nth}")]]
        {
            let ended = hookflow(all.path(), &[arguments, &["--format", "json"]].concat());
            let told: Value = serde_json::from_str(&ended.out).unwrap();
            assert!(refused(&told["message"]) && ended.code == Some(1), "{arguments:?}: {ended:?}");
        }
    }
    service.stop_sound();
}

fn refused(message: &Value) -> bool {
    let message = message.as_str().unwrap();
    message.contains("no `allow` names its range") || message.contains("which is no one's address")
}

#[test]
fn a_range_that_an_integration_names_is_open_to_its_hops_and_to_no_others() {
    let end = Target::start(|_| Play::Answer(200, "{}"));
    let to = end.url("/");
    let guide = Target::start_at(Ipv4Addr::new(127, 0, 0, 2), move |_| Play::Redirect(302, to.clone()));
    let root = format!("root_url: {}\nredirects: 1\n", guide.url("/"));
    let (closed, open) =
        (format!("{root}allow: [127.0.0.2]"), format!("{root}allow: [127.0.0.1, 127.0.0.2]"));
    let folder = folder("", &[("closed", &closed), ("open", &open)]);
    let service = Service::start(&folder);
    for (flow, expected) in [("open", "none"), ("closed", "refused"), ("open", "none")] {
        let answer = ask(&service, flow, "");
        assert_eq!(kind(&answer), expected, "{flow}: {answer}");
    }
    assert_eq!((guide.count(), end.count()), (3, 2));
    service.stop_sound();
}
