//! By which way calls leave, and under which bounds: proxies, TLS, connections, and how much and how long.

use super::service::{Folder, Service, hookflow_with};
use super::target::{Play, Target};
use super::tls_target::{CA, CERTIFICATE, KEY, TlsTarget};
use super::wire::Request;
use hookflow_runtime::Clock;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;

const PASSWORD: &str = "canary-password-5b21";
const SECRETS: &[(&str, &str)] = &[("PROXY_PASSWORD", PASSWORD)];
/// `me:canary-password-5b21`
const KNOWN: &str = "Basic bWU6Y2FuYXJ5LXBhc3N3b3JkLTViMjE=";

/// Calls whatever its caller says and tells what came of it.
pub(super) fn flow(integration: &str) -> String {
    format!(
        "webhook: {{auth: none}}
steps:
  - id: call
    http: {{{integration}url: '${{ webhook.body.url }}'}}
    on_error: continue
  - respond:
      json: {{status: '${{ steps.call.status }}', error: '${{ steps.call.error | default(null) }}', body: '${{ steps.call.body }}'}}
"
    )
}

/// A folder with the flow `calls`, and with one for each integration, which has this behind its name.
pub(super) fn folder(config: &str, integrations: &[(&str, &str)]) -> Folder {
    let mut folder = Folder::new().config(config).flow("calls", &flow(""));
    for (name, yaml) in integrations {
        folder = folder
            .with(&format!("config/integrations/{name}.yaml"), format!("integration: {name}\n{yaml}\n"))
            .flow(name, &flow(&format!("integration: {name}, ")).replace("'${ webhook.body.url }'", "'x'"));
    }
    folder
}

pub(super) fn ask(service: &Service, flow: &str, url: &str) -> Value {
    let answer = service.send(&Request::json(&format!("/hook/{flow}"), json!({"url": url}).to_string()));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.value()
}

pub(super) fn kind(answer: &Value) -> &str {
    answer["error"]["kind"].as_str().unwrap_or("none")
}

#[test]
fn calls_leave_by_the_proxy_and_say_who_asks() {
    let tls = TlsTarget::start(&["h2", "http/1.1"], false);
    let end = tls.address;
    let proxy = Target::start(move |heard| match heard.header("proxy-authorization") {
        Some(KNOWN) if heard.method == "CONNECT" => Play::Tunnel(end),
        Some(KNOWN) => Play::Answer(200, r#"{"by":"the proxy"}"#),
        _ => Play::Answer(407, "{}"),
    });
    let direct = Target::start(|_| Play::Answer(200, r#"{"by":"itself"}"#));
    let config = format!(
        "outbound:\n  allow: [127.0.0.0/8, '::1']\n  proxy: {{url: '{}', username: me, password: {{env: PROXY_PASSWORD}}, no_proxy: [127.0.0.1]}}",
        proxy.url("")
    );
    let own = format!("root_url: {}\ntls: {{ca: ca.pem}}", tls.url("/"));
    let straight = format!("root_url: {}\nproxy: null", direct.url("/").replace("127.0.0.1", "localhost"));
    let stranger = format!("root_url: http://nobody.invalid/\nproxy: {}", proxy.url(""));
    let folder = folder(&config, &[("own", &own), ("straight", &straight), ("stranger", &stranger)])
        .with("ca.pem", CA);
    let service = Service::start_with(&folder, SECRETS);

    // The proxy is who knows the name.
    let answer = ask(&service, "calls", "http://nobody.invalid:81/a?b=c");
    assert_eq!(answer["body"]["by"], "the proxy", "{answer}");
    let heard = proxy.heard(1);
    assert_eq!(heard[0].target, "http://nobody.invalid:81/a?b=c");
    assert_eq!(heard[0].header("host"), Some("nobody.invalid:81"));
    let answer = ask(&service, "own", "");
    assert_eq!(answer["body"]["version"], "HTTP/2.0", "TLS is the target's, within the tunnel: {answer}");
    let heard = proxy.heard(2);
    assert_eq!(heard[1].target, format!("localhost:{}", end.port()));
    for (flow, url) in [("calls", direct.url("/")), ("straight", String::new())] {
        assert_eq!(ask(&service, flow, &url)["body"]["by"], "itself", "{flow}");
    }
    let answer = ask(&service, "stranger", "");
    assert_eq!(kind(&answer), "connect", "it says nothing of who asks: {answer}");
    assert_eq!(proxy.count(), 3);

    let mut shown = vec![service.ops("/api/generation").text(), service.ops("/api/runs").text()];
    assert!(shown[0].contains("as me, not for 127.0.0.1/32"), "{}", shown[0]);
    for arguments in [&["check"][..], &["plan"]] {
        let ended = hookflow_with(folder.path(), arguments, SECRETS);
        shown.push(format!("{}{}", ended.out, ended.err));
    }
    let ended = service.stop_sound();
    shown.push(format!("{}{}", ended.out, ended.err));
    assert!(shown.iter().all(|shown| !shown.contains("canary") && !shown.contains(KNOWN)), "{shown:?}");
}

#[test]
fn a_proxy_is_no_way_around_what_may_be_called() {
    let proxy = Target::start(|_| Play::Answer(200, "{}"));
    let folder = folder(&format!("outbound: {{proxy: '{}'}}", proxy.url("")), &[]);
    let service = Service::start(&folder);
    for host in ["127.0.0.1", "127.1", "0x7f000001", "[::ffff:10.0.0.1]", "169.254.169.254", "localhost"] {
        for scheme in ["http", "https"] {
            let answer = ask(&service, "calls", &format!("{scheme}://{host}:9/"));
            assert_eq!(kind(&answer), "refused", "{scheme}://{host}: {answer}");
        }
    }
    assert_eq!(proxy.count(), 0);
    assert_eq!(ask(&service, "calls", "http://nobody.invalid/")["status"], 200);
    service.stop_sound();
}

#[test]
fn an_integration_goes_by_another_proxy_as_soon_as_its_file_says_so() {
    let [one, two] = [(); 2].map(|()| Target::start(|_| Play::Answer(200, "{}")));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let own = |proxy: &str| format!("integration: own\nroot_url: http://nobody.invalid/\nproxy: '{proxy}'\n");
    let folder = folder("", &[("own", "root_url: http://nobody.invalid/")]);
    let service = Service::start(&folder);
    assert_eq!(kind(&ask(&service, "own", "")), "connect", "nobody knows the name");
    for (proxy, expected) in
        [(one.url(""), "none"), (two.url(""), "none"), (format!("http://{closed}"), "connect")]
    {
        folder.put("config/integrations/own.yaml", own(&proxy));
        assert_eq!(service.reload().status, 200);
        let answer = ask(&service, "own", "");
        assert_eq!(kind(&answer), expected, "{answer}");
    }
    assert_eq!((one.count(), two.count()), (1, 1));
    service.stop_sound();
}

#[test]
fn a_call_takes_as_long_as_the_configuration_says_unless_its_integration_says_otherwise() {
    let target = Target::hanging();
    let config = "outbound: {allow: [127.0.0.0/8], timeout: 300ms}";
    let patient = format!("root_url: {}\ntimeout: 1500ms", target.url("/"));
    let folder = folder(config, &[("patient", &patient)]);
    let service = Service::start(&folder);
    for (flow, at_least) in [("calls", 300), ("patient", 1_500)] {
        let began = Clock::system().monotonic();
        let answer = ask(&service, flow, &target.url("/"));
        assert_eq!(kind(&answer), "timeout", "{answer}");
        assert!(began.elapsed() >= Duration::from_millis(at_least), "{:?}", began.elapsed());
    }
    service.stop_sound();
}

#[test]
fn an_integration_takes_as_much_of_an_answer_as_it_says() {
    let much: &str = format!("{{\"text\": \"{}\"}}", "x".repeat(5_000)).leak();
    let target = Target::start(move |_| Play::Answer(200, much));
    let root = format!("root_url: {}", target.url("/"));
    let (less, more) = (format!("{root}\nmax_response: 1KiB"), format!("{root}\nmax_response: 1MiB"));
    let config = "outbound: {allow: [127.0.0.0/8], response: 2KiB}";
    let folder = folder(config, &[("less", &less), ("more", &more), ("same", &root)]);
    let service = Service::start(&folder);
    for (flow, expected) in [("less", "too_large"), ("same", "too_large"), ("more", "none")] {
        let answer = ask(&service, flow, "");
        assert_eq!(kind(&answer), expected, "{flow}: {answer}");
    }
    service.stop_sound();
}

#[test]
fn tls_is_the_best_that_both_speak_with_whom_the_integration_trusts() {
    let (both, old) = (TlsTarget::start(&["h2", "http/1.1"], false), TlsTarget::start(&["http/1.1"], false));
    let asking = TlsTarget::start(&["h2"], true);
    let (ca, identity) = ("tls: {ca: ca.pem}", "tls: {ca: ca.pem, cert: own.pem, key: own.key}");
    let at = |target: &TlsTarget, tls: &str| format!("root_url: {}\n{tls}", target.url("/"));
    let integrations = [
        ("both", at(&both, ca)),
        ("old", at(&old, ca)),
        ("untrusted", at(&both, "")),
        ("otherwise", at(&both, ca).replace("localhost", "127.0.0.1")),
        ("shown", at(&asking, identity)),
        ("unshown", at(&asking, ca)),
    ];
    let integrations: Vec<_> = integrations.iter().map(|(name, yaml)| (*name, yaml.as_str())).collect();
    let folder = folder("outbound: {allow: [127.0.0.0/8, '::1']}", &integrations)
        .with("ca.pem", CA)
        .with("own.pem", CERTIFICATE)
        .with("own.key", KEY);
    let service = Service::start(&folder);
    for (flow, version, shown) in
        [("both", "HTTP/2.0", false), ("old", "HTTP/1.1", false), ("shown", "HTTP/2.0", true)]
    {
        let answer = ask(&service, flow, "");
        let body = &answer["body"];
        assert_eq!((&body["version"], &body["shown"]), (&json!(version), &json!(shown)), "{flow}: {answer}");
    }
    for flow in ["untrusted", "otherwise"] {
        let answer = ask(&service, flow, "");
        assert_eq!(kind(&answer), "tls", "{flow}: {answer}");
    }
    // With TLS 1.3 the server's no comes after the handshake.
    let answer = ask(&service, "unshown", "");
    assert!(["tls", "connect"].contains(&kind(&answer)), "{answer}");
    service.stop_sound();
}

/// Sixty calls at once.
const MANY: &str = "
webhook: {auth: none}
steps:
  - id: all
    for: n
    in: ${ range(60) }
    parallel: 60
    do:
      - {id: call, http: {integration: it, url: x}}
    collect: ${ steps.call.body.connection }
  - respond: {json: '${ steps.all }'}
";

#[test]
fn calls_at_once_share_a_connection_where_both_speak_http_2() {
    let target = TlsTarget::start(&["h2", "http/1.1"], false);
    let own = format!("root_url: {}\ntls: {{ca: ca.pem}}", target.url("/"));
    let folder = folder("outbound: {allow: [127.0.0.0/8, '::1']}", &[("it", &own)])
        .with("ca.pem", CA)
        .flow("many", MANY);
    let service = Service::start(&folder);
    assert_eq!(ask(&service, "it", "")["body"]["connection"], 1);
    let answer = ask(&service, "many", "");
    assert_eq!(answer, json!(vec![1; 60]));
    service.stop_sound();
}

#[test]
fn connections_are_kept_for_the_next_call_as_the_pool_says() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let root = format!("root_url: {}", target.url("/"));
    let own = [("same", ""), ("none", "\npool: {idle: 0}"), ("short", "\npool: {idle_timeout: 100ms}")];
    let own = own.map(|(name, pool)| (name, format!("{root}{pool}")));
    let own: Vec<_> = own.iter().map(|(name, yaml)| (*name, yaml.as_str())).collect();
    // Long enough for a machine that is busy.
    let folder = folder("outbound: {allow: [127.0.0.0/8], pool: {idle: 1, idle_timeout: 5m}}", &own);
    let service = Service::start(&folder);
    let mut before = 0;
    for (flow, opened) in [("same", 1), ("none", 3), ("short", 3)] {
        for _ in 0..3 {
            assert_eq!(ask(&service, flow, "")["status"], 200, "{flow}");
            if flow == "short" {
                std::thread::sleep(Duration::from_millis(300));
            }
        }
        assert_eq!(target.connections() - before, opened, "{flow}");
        before = target.connections();
    }
    service.stop_sound();
}

#[test]
fn the_service_itself_is_reached_at_its_hooks_alone_whatever_is_allowed() {
    let proxy = Target::start(|_| Play::Answer(200, "{}"));
    let inner = "webhook: {auth: none, methods: [GET]}\nsteps: [{respond: {json: {inner: true}}}]";
    let by_proxy = format!(", proxy: '{}'", proxy.url(""));
    for by in ["", &by_proxy] {
        let config = format!("outbound: {{allow: [0.0.0.0/0, '::/0']{by}}}");
        let folder = folder(&config, &[]).flow("inner", inner);
        let service = Service::start(&folder);
        let (public, ops) = (service.public.port(), service.ops.port());
        for host in ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"] {
            let closed = ["/", "/healthz", "/hook", "/hook/../healthz", "/HOOK/inner", "//hook/inner"];
            let closed = closed.map(|path| (public, path)).into_iter();
            let closed =
                closed.chain(["/healthz", "/api/runs", "/hook/inner", "/resume/x"].map(|path| (ops, path)));
            for (port, path) in closed {
                let answer = ask(&service, "calls", &format!("http://{host}:{port}{path}"));
                assert_eq!(kind(&answer), "refused", "{host} {path}{by}: {answer}");
            }
            if by.is_empty() {
                let answer = ask(&service, "calls", &format!("http://{host}:{public}/hook/inner"));
                assert_eq!(answer["body"]["inner"], true, "{host}: {answer}");
                let answer = ask(&service, "calls", &format!("http://{host}:{public}/resume/x"));
                assert_eq!(answer["error"]["status"], 404, "{host}: {answer}");
            }
        }
        service.stop_sound();
    }
    assert_eq!(proxy.count(), 0);
}
