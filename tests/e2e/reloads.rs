//! New files without a restart: what triggers it, what a mistake does, and what a new generation leaves alone.

use super::service::{Ended, Folder, Service, beside, hookflow_with, until};
use super::target::Target;
use super::wire::{Request, Wire};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

const KEY: &str = "canary-first-key-51c0";
const NEXT_KEY: &str = "canary-second-key-51c0";
const CALLING: &str = "reload: {watch: false}\noutbound: {allow: [127.0.0.0/8]}\n";
const UNWATCHED: &str = "reload: {watch: false}\n";
const CREDENTIALS: &str = "key: {type: api_key, header: X-Api-Key, keys: [{file: key}]}";

/// A file, what is written into it, and what is said then.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("flows/other.yaml", "webhook: [", "yaml.syntax"),
    ("flows/other.yaml", "webhook: {auth: keys}\nsteps: []", "auth.unknown-credential"),
    ("flows/other.yaml", "flow: shop\nwebhook: {auth: key}\nsteps: []", "flow.duplicate-id"),
    ("flows/other.yaml", "webhok: {auth: key}\nsteps: []", "yaml.unknown-key"),
    ("flows/other.yaml", "steps: [{respond: {text: '${ 1 + }'}}]", "expr.syntax"),
    ("config/hookflow.yaml", "pubic: {}", "yaml.unknown-key"),
    ("config/hookflow.yaml", "ops: {token: plain}", "secret.plain-text"),
    ("config/hookflow.yaml", "public: {tls: {cert: none, key: none}}", "config.tls"),
    ("config/credentials.yaml", "", "auth.unknown-credential"),
    ("config/credentials.yaml", "key: {type: none}", "auth.no-type-none"),
    (
        "config/credentials.yaml",
        "key: {type: api_key, header: X-Api-Key, keys: [{env: NONE}]}",
        "secret.missing",
    ),
    ("key", "", "secret.empty"),
    ("key", "\n", "secret.empty"),
];

/// A flow that says its version.
fn says(version: &str) -> String {
    format!("webhook: {{auth: key}}\nsteps: [{{respond: {{text: {version}}}}}]\n")
}

/// A folder that is read when a test says so and not by itself.
fn folder() -> Folder {
    watched().config(UNWATCHED)
}

fn watched() -> Folder {
    Folder::new().with("key", KEY).credentials(CREDENTIALS).flow("shop", &says("one"))
}

fn call(flow: &str) -> Request {
    Request::json(&format!("/hook/{flow}"), "{}").header("X-Api-Key", KEY)
}

fn shop(service: &Service) -> String {
    let answer = service.send(&call("shop"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

fn until_shop_says(service: &Service, text: &str) {
    until(text, || (shop(service) == text).then_some(()));
}

/// Has the folder read again, which must go well; what has changed.
fn reload(service: &Service) -> Value {
    let answer = service.reload();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.value()
}

/// `change name` of each entry of a list.
fn told(answer: &Value, list: &str, name: &str) -> Vec<String> {
    let items = answer[list].as_array().unwrap().iter();
    let text = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
    items.map(|item| format!("{} {}", text(item, "change"), text(item, name))).collect()
}

#[test]
fn who_asks_puts_new_files_in_force() {
    let folder = folder();
    let service = Service::start(&folder);
    assert_eq!(shop(&service), "one");
    folder.put("flows/shop.yaml", says("asked"));
    let answer = reload(&service);
    assert_eq!((shop(&service).as_str(), &answer["generation"]), ("asked", &json!(2)));
    assert_eq!(told(&answer, "flows", "flow"), ["changed shop"]);
    assert_eq!(told(&answer, "credentials", "credential"), [""; 0]);
    assert_ne!(answer["flows"][0]["from"], answer["flows"][0]["to"]);

    folder.put("flows/shop.yaml", says("signalled"));
    service.signal("HUP");
    until_shop_says(&service, "signalled");
    assert_eq!(service.metric("hookflow_generation"), Some(3));
    assert_eq!(service.metric("hookflow_reloads_total{outcome=\"swapped\"}"), Some(2));
    let log = service.stop_sound().err;
    assert!(log.contains("cause=\"asked for\"") && log.contains("cause=\"SIGHUP\""), "{log}");
}

#[test]
fn changed_files_take_effect_by_themselves() {
    let folder = folder();
    let service = Service::start(&folder);
    // Whether they do is a setting that needs no restart.
    folder.remove("config/hookflow.yaml");
    reload(&service);
    // Nothing but a header.
    let header = says("one").replace("text:", "headers: {X-Version: '4'}, text:");
    folder.put("flows/shop.yaml", header);
    until("a header", || (service.send(&call("shop")).header("x-version") == Some("4")).then_some(()));
    folder.put("flows/more.yaml", says("more"));
    until("a flow", || (service.send(&call("more")).status == 200).then_some(()));
    folder.remove("flows/more.yaml");
    until("no flow", || (service.send(&call("more")).status == 404).then_some(()));
    let log = service.stop_sound().err;
    // What was read already is not taken for a change.
    let idle = log.lines().find(|line| line.contains("changed files") && line.contains("nothing differs"));
    assert_eq!(idle, None);
    assert!(log.contains("cause=\"changed files\""), "{log}");
}

/// As Kubernetes mounts files.
#[test]
fn links_that_are_moved_are_noticed() {
    let folder = watched();
    let at = |name: &str| folder.path().join("flows").join(name);
    let version = |name: &str, text: &str| folder.put(&format!("flows/{name}/shop.yaml"), says(text));
    folder.remove("flows/shop.yaml");
    version("..one", "one");
    version("..two", "two");
    symlink("..one", at("..data")).unwrap();
    symlink("..data/shop.yaml", at("shop.yaml")).unwrap();
    let service = Service::start(&folder);
    assert_eq!(shop(&service), "one");
    symlink("..two", at("..next")).unwrap();
    fs::rename(at("..next"), at("..data")).unwrap();
    fs::remove_dir_all(at("..one")).unwrap();
    until_shop_says(&service, "two");
    service.stop_sound();
}

#[test]
fn a_mistake_anywhere_leaves_everything_as_it_was() {
    let folder = folder();
    let service = Service::start(&folder);
    // Each beside a sound change that must not come into force either.
    folder.put("flows/shop.yaml", says("two"));
    for (name, content, code) in MISTAKES {
        let former = fs::read(folder.path().join(name)).ok();
        folder.put(name, content);
        let answer = service.reload();
        assert_eq!(answer.status, 422, "{name}: {content}: {answer:?}");
        let value = answer.value();
        assert_eq!((&value["code"], &value["generation"]), (&json!("reload.refused"), &json!(1)));
        let codes: Vec<_> = value["diagnostics"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
        assert!(codes.contains(&&json!(code)), "{name}: {content}: {codes:?}");
        assert_eq!(shop(&service), "one", "{name}: {content}");
        assert_eq!(service.send(&call("other")).status, 404);
        let stranger = call("shop").set("X-Api-Key", "");
        assert_eq!(service.send(&stranger).status, 401, "{name}: {content}");
        match former {
            Some(former) => folder.put(name, former),
            None => folder.remove(name),
        }
    }
    // What cannot be read at all.
    folder.remove("key");
    assert_eq!(service.reload().value()["diagnostics"][0]["code"], "secret.missing");
    folder.put("key", KEY);
    let pipe = folder.path().join("flows/pipe.yaml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(service.reload().value()["diagnostics"][0]["code"], "yaml.unreadable");
    fs::remove_file(pipe).unwrap();
    let flows = folder.path().join("flows");
    fs::rename(&flows, folder.path().join("away")).unwrap();
    let answer = service.reload();
    assert_eq!((answer.status, &answer.value()["code"]), (503, &json!("reload.impossible")));
    fs::rename(folder.path().join("away"), flows).unwrap();

    assert_eq!(shop(&service), "one");
    let ready = service.ops("/readyz?verbose");
    assert_eq!(ready.status, 200, "the former generation serves");
    assert!(
        ready.text().contains("\n+ reload refused at ") && ready.text().contains("generation 1 stays"),
        "{ready:?}"
    );
    assert_eq!(service.metric("hookflow_last_reload_failed"), Some(1));
    assert!(service.ops("/api/generation").value()["refused"]["why"].is_string());
    reload(&service);
    assert_eq!(shop(&service), "two");
    assert!(service.ops("/readyz?verbose").text().contains("\n+ reload\n"));
    assert!(service.ops("/api/generation").value()["refused"].is_null());
    assert_eq!(service.metric("hookflow_last_reload_failed"), Some(0));
    let log = service.stop_sound().err;
    assert!(log.contains("flows/other.yaml") && log.contains("code=auth.unknown-credential"), "{log}");
    assert!(log.contains("the former generation stays in force"), "{log}");
}

#[test]
fn who_may_call_changes_at_once() {
    let folder = folder().flow("open", "webhook: {auth: none}\nsteps: [{respond: {text: hi}}]");
    let service = Service::start(&folder);
    let status = |flow: &str, key: &str| service.send(&call(flow).set("X-Api-Key", key)).status;
    assert_eq!((status("open", ""), status("shop", KEY), status("shop", NEXT_KEY)), (200, 200, 401));
    // On a connection that is open before and after, too.
    let mut wire = Wire::connect(service.public);
    assert_eq!(wire.ask(&call("shop")).status, 200);

    folder.put("flows/open.yaml", says("closed"));
    folder.put("key", NEXT_KEY);
    let answer = reload(&service);
    assert_eq!(told(&answer, "credentials", "credential"), ["rotated key"]);
    assert_eq!(told(&answer, "flows", "flow"), ["changed open"]);
    assert_eq!(wire.ask(&call("shop")).status, 401);
    for flow in ["open", "shop"] {
        assert_eq!((status(flow, ""), status(flow, KEY), status(flow, NEXT_KEY)), (401, 401, 200), "{flow}");
    }
    let basic = "key: {type: basic, username: shop, password: {file: key}}";
    folder.put("config/credentials.yaml", basic);
    assert_eq!(told(&reload(&service), "credentials", "credential"), ["changed key"]);
    assert_eq!((status("shop", ""), status("shop", NEXT_KEY)), (401, 401));
    let generation = service.ops("/api/generation").text();
    let log = service.stop_sound().err;
    for secret in [KEY, NEXT_KEY] {
        assert!(!generation.contains(secret) && !log.contains(secret), "{generation}\n{log}");
    }
}

/// One that `serve` has made is no different: its senders know it.
#[test]
fn a_secret_that_is_gone_is_not_made_anew() {
    let made = CREDENTIALS.replace("{file: key}", "{file: secrets/key, create: true}");
    let folder = Folder::new().credentials(&made).flow("shop", &says("one")).config(UNWATCHED);
    let service = Service::start(&folder);
    let key = fs::read_to_string(folder.path().join("secrets/key")).unwrap();
    let known = call("shop").set("X-Api-Key", key.trim());
    folder.remove("secrets/key");
    folder.put(
        "config/credentials.yaml",
        format!("{made}\nmore: {{type: api_key, header: X, keys: [{{file: secrets/more, create: true}}]}}"),
    );
    let answer = service.reload();
    assert_eq!(answer.status, 422);
    let mistakes = answer.value()["diagnostics"].clone();
    assert!(mistakes.as_array().unwrap().iter().any(|it| it["code"] == "secret.missing"), "{mistakes}");
    assert!(!folder.path().join("secrets/more").exists(), "what is refused leaves no secrets behind");
    assert_eq!(service.send(&known).status, 200);
    folder.put("secrets/key", &key);
    assert_eq!(told(&reload(&service), "credentials", "credential"), ["added more"]);
    assert!(folder.path().join("secrets/more").exists());
    assert_eq!(service.send(&known).status, 200);
    service.stop_sound();
}

#[test]
fn a_run_ends_on_the_flow_that_took_its_event_in() {
    let target = Target::hanging();
    let flow = |parameter: &str| {
        let url = target.url("/");
        format!(
            "webhook: {{auth: key, path: '/{{{parameter}}}'}}\nqueue: {{workers: 1}}\n\
             steps: [{{http: {{url: '{url}'}}}}, {{respond: {{text: '{parameter} ${{ webhook.params.{parameter} }}'}}}}]"
        )
    };
    let folder = folder().config(CALLING).flow("slow", &flow("old"));
    let service = Service::start(&folder);
    let public = service.public;
    // The second one waits in the queue behind the first.
    let waiting = ["1", "2"].map(|number| {
        let waiting = beside(move || Wire::connect(public).ask(&call(&format!("slow/{number}"))));
        service.until_metric("hookflow_events_accepted_total{flow=\"slow\"}", number.parse().unwrap());
        waiting
    });
    target.heard(1);
    folder.put("flows/slow.yaml", flow("new"));
    reload(&service);
    target.release();
    for (number, waiting) in ["1", "2"].into_iter().zip(waiting) {
        assert_eq!(waiting.join().unwrap().text(), format!("old {number}"));
    }
    assert_eq!(service.send(&call("slow/3")).text(), "new 3");
    service.stop_sound();
}

#[test]
fn a_flow_that_is_gone_is_not_found_and_its_events_still_run() {
    let target = Target::hanging();
    let url = target.url("/");
    let queued =
        format!("webhook: {{auth: key}}\nqueue: {{workers: 1}}\nsteps: [{{http: {{url: '{url}'}}}}]");
    let folder = folder().config(CALLING).flow("queued", &queued);
    let service = Service::start(&folder);
    for _ in 0..3 {
        assert_eq!(service.send(&call("queued")).status, 202);
    }
    target.heard(1);
    folder.remove("flows/queued.yaml");
    assert_eq!(told(&reload(&service), "flows", "flow"), ["removed queued"]);
    let answer = service.send(&call("queued"));
    assert_eq!((answer.status, answer.code().as_str()), (404, "route.unknown"));
    target.release();
    assert_eq!(target.heard(3).len(), 3);
    service.until_metric("hookflow_runs_total{flow=\"queued\",outcome=\"succeeded\"}", 3);
    service.stop_sound();
}

#[test]
fn rates_repeats_and_queues_outlive_a_reload() {
    let target = Target::hanging();
    let url = target.url("/");
    let steps = format!("steps: [{{http: {{url: '{url}'}}}}]");
    let limited = "webhook: {auth: key, rate_limit: 2/h}\nsteps: [{respond: {}}]";
    let once = "webhook: {auth: key, dedupe: {key: '${ webhook.headers[\"x-id\"] }', window: 1h}}\nsteps: [{respond: {text: '${ webhook.headers[\"x-n\"] }'}}]";
    let full = format!("webhook: {{auth: key}}\nqueue: {{workers: 1, capacity: 2}}\n{steps}");
    let flows = [("limited", limited), ("once", once), ("full", full.as_str())];
    let folder = folder().config(CALLING);
    let folder = flows.iter().fold(folder, |folder, (id, yaml)| folder.flow(id, yaml));
    let service = Service::start(&folder);
    let status = |flow: &str| service.send(&call(flow)).status;
    let repeat = |n: &str| service.send(&call("once").header("X-Id", "7").header("X-N", n));
    assert_eq!([status("limited"), status("limited"), status("limited")], [200, 200, 429]);
    assert_eq!(repeat("first").text(), "first");
    assert_eq!(status("full"), 202);
    target.heard(1);
    assert_eq!([status("full"), status("full"), status("full")], [202, 202, 429]);
    // Each flow is another one afterwards.
    for (id, yaml) in flows {
        folder.put(&format!("flows/{id}.yaml"), format!("title: again\n{yaml}"));
    }
    assert_eq!(reload(&service)["flows"].as_array().unwrap().len(), 3);
    assert_eq!(status("limited"), 429);
    let repeated = repeat("second");
    assert_eq!((repeated.text().as_str(), repeated.header("idempotent-replayed")), ("first", Some("true")));
    assert_eq!(status("full"), 429);
    target.release();
    service.until_metric("hookflow_runs_total{flow=\"full\",outcome=\"succeeded\"}", 3);
    service.stop_sound();
}

#[test]
fn what_needs_a_restart_is_said_and_the_rest_takes_effect() {
    let url = "webhook: {auth: none, methods: [POST]}\nsteps: [{respond: {text: '${ webhook.url }'}}]";
    let folder = folder().flow("url", url).config("reload: {watch: false}\npublic: {limits: {body: 4B}}");
    let service = Service::start(&folder);
    let ask = || service.send(&Request::json("/hook/url", "[1, 2]"));
    assert_eq!(ask().status, 413);
    folder.put(
        "config/hookflow.yaml",
        "reload: {watch: false}\npublic: {base_url: 'https://hooks.example', limits: {body: 1KiB, connections: 7}}\nshutdown: {grace: 1s}",
    );
    for _ in 0..2 {
        let answer = reload(&service);
        assert_eq!(
            told(&answer, "restart", "key"),
            ["changed public.limits.connections", "changed shutdown.grace"]
        );
        assert_eq!(
            (&answer["restart"][0]["from"], &answer["restart"][0]["to"]),
            (&json!("10000"), &json!("7"))
        );
    }
    assert_eq!(ask().text(), "https://hooks.example/hook/url");
    assert!(service.ops("/api/flows").text().contains("\"url\":\"https://hooks.example/hook/shop\""));
    let log = service.stop_sound().err;
    assert!(log.contains("keys=\"public.limits.connections, shutdown.grace\""), "{log}");
}

#[test]
fn a_plan_tells_what_a_reload_would_change() {
    let folder = folder();
    let service = Service::start(&folder);
    let (public, ops) = (service.public.to_string(), service.ops.to_string());
    let plan = |arguments: &[&str], ops: &str| -> Ended {
        // The server listens where the system said.
        let listens = [("HOOKFLOW_PUBLIC__LISTEN", "127.0.0.1:0"), ("HOOKFLOW_OPS__LISTEN", ops)];
        hookflow_with(folder.path(), &[&["plan"], arguments].concat(), &listens)
    };
    let same = plan(&[], &ops);
    assert_eq!(same.code, Some(0), "{same:?}");
    assert!(same.out.contains(&format!("ops.listen: 127.0.0.1:0 → {ops}")), "{same:?}");
    assert!(!same.out.contains("flows\n") && !same.out.contains("credentials\n"), "{same:?}");

    folder.put("flows/shop.yaml", says("two"));
    folder.put("flows/more.yaml", says("more"));
    folder.put(
        "config/credentials.yaml",
        format!("{CREDENTIALS}\nother: {{type: api_key, header: X, keys: [{{file: key}}]}}"),
    );
    for arguments in [&["--format", "json"][..], &["--format", "json", "--without-secrets"]] {
        let changed = plan(arguments, &ops);
        assert_eq!(changed.code, Some(0), "{changed:?}");
        let value: Value = serde_json::from_str(&changed.out).unwrap();
        assert_eq!(told(&value, "flows", "flow"), ["added more", "changed shop"]);
        assert_eq!(told(&value, "credentials", "credential"), ["added other"]);
        let flows = service.ops("/api/flows").value();
        assert_eq!(value["flows"][1]["from"], flows["items"][0]["version"]);
    }
    let text = plan(&[], &ops).out;
    assert!(text.contains("flows\n  + more   ") && text.contains("  ~ shop   "), "{text}");
    assert!(
        text.contains("credentials\n  + other   ") && text.contains("1 flow added, 1 flow changed"),
        "{text}"
    );
    assert_eq!(shop(&service), "one", "a plan changes nothing");

    folder.put("flows/more.yaml", "webhook: {auth: nobody}\nsteps: []");
    let refused = plan(&[], &ops);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("auth.unknown-credential") && refused.out.contains("would be refused"),
        "{refused:?}"
    );
    let refused: Value = serde_json::from_str(&plan(&["--format", "json"], &ops).out).unwrap();
    assert_eq!(
        (&refused["refused"], &refused["diagnostics"][0]["code"]),
        (&json!(true), &json!("auth.unknown-credential"))
    );
    folder.remove("flows/more.yaml");
    let nobody = plan(&[], &public);
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    service.stop_sound();
}

#[test]
fn only_who_may_change_anything_reloads() {
    let folder = folder()
        .with("token", "the-token-of-the-operators")
        .config("reload: {watch: false}\nops: {token: {file: token}}");
    let service = Service::start(&folder);
    let post = Request::new("POST", "/api/reload");
    let ask = |request: &Request| Wire::connect(service.ops).ask(request).status;
    let known = post.clone().header("Authorization", "Bearer the-token-of-the-operators");
    assert_eq!(ask(&post), 401);
    assert_eq!(ask(&known.clone().header("Origin", "https://evil.example")), 403);
    assert_eq!(service.send(&known).status, 404, "nothing of it is public");
    folder.put("token", "another-token-of-the-operators");
    let answer = Wire::connect(service.ops).ask(&known);
    assert_eq!(told(&answer.value(), "restart", "key"), ["rotated ops.token"]);
    assert!(!answer.text().contains("operators"), "{answer:?}");
    assert_eq!(ask(&known), 200, "the token stays until the restart");
    assert_eq!(service.stop().code, Some(0));
}
