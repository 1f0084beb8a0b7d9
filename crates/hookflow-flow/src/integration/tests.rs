use super::*;
use crate::proof::{self, answer, prove};
use crate::{End, Flow, HttpCall, Surroundings};
use hookflow_text::{SecretRef, Source, parse};
use hookflow_trigger::Credentials;

struct Canary;

impl SecretSource for Canary {
    fn resolve(&self, reference: &SecretRef) -> Result<Vec<u8>, String> {
        match reference {
            SecretRef::Env(name) if name == "TOKEN" => Ok(b"canary".to_vec()),
            _ => Err("it is not set".into()),
        }
    }
}

fn read(text: &str) -> (Integrations, Diagnostics) {
    let (mut integrations, mut diagnostics) = (Integrations::default(), Diagnostics::default());
    let root = parse(&Source::new("config/integrations/a.yaml", text), &mut diagnostics).unwrap();
    integrations.load(&root, &Canary, &mut diagnostics);
    (integrations, diagnostics)
}

fn compile(flow: &str, integrations: &Integrations) -> (Option<Flow>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let credentials = Credentials::default();
    let surroundings = Surroundings {
        credentials: &credentials,
        integrations,
        body_limit: 1 << 20,
        read_file: &|path| Err(format!("there is no {path}")),
    };
    let root = parse(&Source::new("flows/t.yaml", flow), &mut diagnostics).unwrap();
    (Flow::load(&root, &surroundings, &mut diagnostics), diagnostics)
}

const WAREHOUSE: &str = "
integration: warehouse
root_url: https://a.example/v3
headers: {Content-Type: application/xml, X-Token: {env: TOKEN}}
webhooks:
  reserve:
    url: items/${ sku }?t=${ WebhookRequest.TransactionalId }
    headers: {X-Token: null, X-Own: {value: {env: TOKEN}}, X-Sku: '${ vars.sku }'}
    body: <a>${ sku }</a>
    capture: {no: 'data[0].id'}
  plain: {method: GET, url: 'items', retry: {tries: 2}}
";
const STEPS: &str = "
webhook: {auth: none, sample: {body: {sku: 'A/<1>'}}}
steps:
  - {id: a, call: warehouse.reserve, with: {sku: '${ webhook.body.sku }'}}
  - {id: b, call: warehouse.plain}
  - {id: c, http: {integration: warehouse, url: 'x/${ webhook.body.sku }', text: '<b>${ webhook.body.sku }</b>'}}
";

fn calls(flow: &Flow) -> Vec<HttpCall> {
    let rehearsal = prove(flow, &mut |_, call| answer(call, 200, r#"{"data": [{"id": "R-7"}]}"#));
    assert!(matches!(rehearsal.end, Some(End::Succeeded(_))), "{:?}", rehearsal.end);
    let result = rehearsal.steps.iter().find(|step| &*step.name == "a").unwrap();
    assert_eq!(result.value["no"], "R-7");
    rehearsal.calls.into_iter().map(|(_, call)| call).collect()
}

fn shown(call: &HttpCall) -> String {
    let without: Vec<_> = call.via.iter().flat_map(|via| via.without.iter()).collect();
    format!(
        "{} {} {:?} {without:?} {}",
        call.method,
        call.url,
        call.headers,
        String::from_utf8_lossy(&call.body.shown())
    )
}

#[test]
fn a_webhook_is_called_with_what_it_is_given() {
    let (integrations, diagnostics) = read(WAREHOUSE);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    let (flow, diagnostics) = compile(STEPS, &integrations);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    let flow = flow.unwrap();
    let all = calls(&flow);
    let [reserve, plain, http] = all.as_slice() else { panic!("{all:?}") };
    let (path, id) =
        reserve.url.to_string().split_once("?t=").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!((path.as_str(), id.len()), ("items/A%2F%3C1%3E", 36));
    // The content type of the integration says how values are escaped.
    let expected =
        format!(r#"POST items/A%2F%3C1%3E?t={id} {{"x-sku": "A/<1>"}} ["x-token"] <a>A/&lt;1&gt;</a>"#);
    assert_eq!(shown(reserve), expected);
    assert!(reserve.is_repeatable() && !http.is_repeatable());
    assert_eq!(shown(plain), "GET items {} [] ");
    assert_eq!(shown(http), "POST x/A%2F%3C1%3E {} [] <b>A/&lt;1&gt;</b>");

    // A kept version is the same without the integration's file.
    let kept =
        Flow::of_version(&flow.id, &flow.plan.version, &flow.document, &Credentials::default()).unwrap();
    assert_eq!((&kept.document, &kept.plan.version), (&flow.document, &flow.plan.version));
    let kept = Flow { webhook: flow.webhook, ..kept };
    assert_eq!(calls(&kept).iter().map(shown).collect::<Vec<_>>(), all.iter().map(shown).collect::<Vec<_>>());
    assert!(!format!("{integrations:?}{kept:?}{all:?}").contains("canary"));
}

#[test]
fn a_version_covers_the_definitions_that_are_called_and_nothing_else() {
    let version = |integration: &str| compile(STEPS, &read(integration).0).0.unwrap().plan.version.clone();
    let first = version(WAREHOUSE);
    let same = WAREHOUSE
        .replace("https://a.example/v3", "https://b.example")
        .replace("X-Token: {env: TOKEN}}", "X-Token: new, X-More: {env: TOKEN}}\nrate_limit: 8/s")
        .replace("plain: {method: GET, url: 'items'", "plain:  {method: 'GET', url: items")
        + "  more: {url: other}\n";
    assert_eq!(version(&same), first);
    for (from, to) in [("items/", "things/"), ("application/xml", "text/html"), ("tries: 2", "tries: 3")] {
        assert_ne!(version(&WAREHOUSE.replace(from, to)), first, "{from}");
    }
}

#[test]
fn mistakes_are_told_with_the_nearest_word() {
    for (text, code, help) in [
        ("integration: a\nweb_hooks: {}", "yaml.unknown-key", "did you mean `webhooks`?"),
        ("webhooks: {}", "yaml.missing-key", "needs `integration`"),
        ("integration: a b", "flow.name", ""),
        ("integration: a\nroot_url: ftp://x", "integration.url", "begins with"),
        ("integration: a\nroot_url: https://u:p@x/", "integration.url", "use a header"),
        ("integration: a\nheaders: {X: '${ run.id }'}", "integration.header", "not evaluated"),
        ("integration: a\nheaders: {X: {env: NONE}}", "secret.missing", ""),
        ("integration: a\nheaders: {Host: x}", "http.header", ""),
        ("integration: a\nallow: [x]", "config.range", ""),
        ("integration: a\ntls: {cert: a.pem}", "integration.tls", ""),
        ("integration: a\nwebhooks: {b: {url: x}}", "integration.url", "no `root_url`"),
        (
            "integration: a\nroot_url: https://x\nwebhooks: {b: {url: 'https://y/z'}}",
            "integration.url",
            "another origin",
        ),
        (
            "integration: a\nroot_url: https://x\nwebhooks: {b: {url: '${ webhook.id }'}}",
            "expr.unknown-name",
            "with",
        ),
        ("integration: a\nroot_url: https://x\nwebhooks: {b: {method: HEAD}}", "yaml.word", ""),
        ("integration: a\nroot_url: https://x\nwebhooks: {b: {body: a, json: {}}}", "http.two-bodies", ""),
    ] {
        let (_, diagnostics) = read(text);
        let shown = diagnostics.render(false);
        assert_eq!(diagnostics.codes(), [code], "{text}\n{shown}");
        assert!(shown.contains(help), "{help} in {shown}");
    }
}

#[test]
fn what_a_flow_says_of_an_integration_is_checked() {
    let (integrations, _) = read(WAREHOUSE);
    for (step, code, help) in [
        ("call: warehuse.plain", "integration.unknown", "did you mean `warehouse`?"),
        ("call: warehouse.plan", "call.unknown-webhook", "did you mean `warehouse.plain`?"),
        ("call: plain", "call.name", ""),
        ("{call: warehouse.reserve, with: {sku: 1, skuu: 2}}", "call.unread-variable", "did you mean `sku`?"),
        ("call: warehouse.reserve", "call.missing-variable", "add `sku`"),
        ("{call: warehouse.plain, with: {run: 1}}", "flow.name", "already means something"),
        ("{call: warehouse.plain, with: {a: '${ sku }'}}", "expr.unknown-name", ""),
        ("http: {integration: warehuse}", "integration.unknown", "did you mean `warehouse`?"),
        (
            "http: {integration: warehouse, url: 'https://other.example/'}",
            "integration.url",
            "another origin",
        ),
    ] {
        let flow = format!("webhook: {{auth: none}}\nsteps:\n  - {step}\n");
        let (_, diagnostics) = compile(&flow, &integrations);
        let shown = diagnostics.render(false);
        assert_eq!(diagnostics.codes(), [code], "{step}\n{shown}");
        assert!(shown.contains(help), "{help} in {shown}");
    }
}

#[test]
fn a_template_makes_no_segment_that_leads_up() {
    let (integrations, _) = read(WAREHOUSE);
    for value in ["..", "."] {
        let flow = format!(
            "webhook: {{auth: none, sample: {{body: '{value}'}}}}\nsteps:\n  - http: {{integration: warehouse, url: '${{ webhook.body }}/x'}}\n"
        );
        let flow = compile(&flow, &integrations).0.unwrap();
        let rehearsal = prove(&flow, &mut |_, call| answer(call, 200, "{}"));
        let Some(End::Failed(fault)) = rehearsal.end else { panic!("{value}") };
        assert_eq!(fault.code, "http.url-refused");
    }
}

#[test]
fn the_example_is_sound() {
    assert_eq!(Integrations::of_examples().iter().count(), 1);
    drop(proof::flow("webhook: {auth: none}\nsteps: [{call: warehouse.stock_levels, with: {sku: a}}]\n"));
}
