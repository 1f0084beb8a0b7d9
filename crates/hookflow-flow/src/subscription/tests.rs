use super::*;
use hookflow_text::{Source, parse};
use http::Request;

const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Fixed;
impl SecretSource for Fixed {
    fn resolve(&self, reference: &SecretRef) -> Result<Vec<u8>, String> {
        match reference {
            SecretRef::Env(name) if name == "NEW" => Ok(WHSEC.into()),
            SecretRef::Env(name) if name == "OLD" => Ok(b"b2xkLXNlY3JldC1vZi10aGUtY3Jt".to_vec()),
            _ => Ok(b"not base64!".to_vec()),
        }
    }
}

fn load(text: &str) -> (Option<Arc<Subscription>>, Vec<&'static str>) {
    let mut diagnostics = Diagnostics::default();
    let root = parse(&Source::new("config/subscriptions/crm.yaml", text), &mut diagnostics).unwrap();
    let mut all = Subscriptions::default();
    all.load(&root, &Fixed, &mut diagnostics);
    (all.iter().next().cloned(), diagnostics.codes())
}

fn sound(more: &str) -> Arc<Subscription> {
    let (subscription, codes) =
        load(&format!("subscription: crm\ncallback_url: https://crm.example/hooks\nevents: ['*']\n{more}"));
    assert!(codes.is_empty(), "{codes:?}");
    subscription.unwrap()
}

fn sent(subscription: &Subscription, data: &str) -> Request<bytes::Bytes> {
    let created_at = "2026-11-22T08:00:00Z".parse().unwrap();
    let message = Message { delivery: "e1_crm", event_id: "e1", event: "order.created", created_at, data };
    subscription.request(&message, "2026-11-22T09:00:00.5Z".parse().unwrap()).unwrap()
}

fn header<'r>(request: &'r Request<bytes::Bytes>, name: &str) -> Option<&'r str> {
    request.headers().get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn names_are_matched_whole_or_by_their_beginning() {
    let (subscription, codes) = load(
        "subscription: crm-eu\ncallback_url: http://crm.example\nevents: [order.created, 'invoice.*', 'in-*']",
    );
    assert!(codes.is_empty(), "{codes:?}");
    let subscription = subscription.unwrap();
    for name in ["order.created", "invoice.paid", "invoice.line.added", "in-1"] {
        assert!(subscription.gets(name), "{name}");
    }
    for name in ["order.created.twice", "order", "invoice", "invoices.paid", "Order.created", ""] {
        assert!(!subscription.gets(name), "{name}");
    }
    assert_eq!((subscription.max_attempts, subscription.enabled), (5, true));
    assert!(sound("").gets("anything"));
}

#[test]
fn what_is_wrong_is_told() {
    let file = |more: &str| format!("subscription: crm\ncallback_url: https://crm.example\n{more}");
    for (text, code) in [
        (file(""), "yaml.missing-key"),
        (file("events: []"), "subscription.event"),
        (file("events: ['a b']"), "subscription.event"),
        (file("events: ['*.created']"), "subscription.event"),
        (file("events: ['*']\nsignature: both"), "subscription.secret"),
        (file("events: ['*']\nsecrets: []"), "subscription.secret"),
        (file("events: ['*']\nsecrets: [{env: BAD}]\nsignature: standard-webhooks"), "subscription.secret"),
        (file("events: ['*']\nsecrets: [hunter2]"), "secret.plain-text"),
        (file("events: ['*']\nmax_attempts: 21"), "yaml.type"),
        (file("events: ['*']\nmethod: GET"), "yaml.word"),
        (file("events: ['*']\ncolour: red"), "yaml.unknown-key"),
        ("subscription: crm\ncallback_url: ftp://a\nevents: ['*']".into(), "subscription.url"),
        ("subscription: crm\ncallback_url: 'https://u:p@a'\nevents: ['*']".into(), "subscription.url"),
        ("subscription: crm\ncallback_url: 'https://${ a }'\nevents: ['*']".into(), "subscription.url"),
        ("subscription: 'a/b'\ncallback_url: https://a\nevents: ['*']".into(), "flow.name"),
    ] {
        let (_, codes) = load(&text);
        assert!(codes.contains(&code), "{text}: {codes:?}");
    }
    let mut all = Subscriptions::default();
    let mut diagnostics = Diagnostics::default();
    for _ in 0..2 {
        let text = file("events: ['*']");
        let root = parse(&Source::new("config/subscriptions/crm.yaml", text), &mut diagnostics).unwrap();
        all.load(&root, &Fixed, &mut diagnostics);
    }
    assert_eq!(diagnostics.codes(), ["subscription.duplicate"]);
}

#[test]
fn the_data_leaves_as_it_was_kept() {
    let request = sent(&sound("method: PUT"), r#"{"total":10.10,"n":123456789012345678901234567890}"#);
    assert_eq!(
        request.body(),
        r#"{"id":"e1","event":"order.created","created_at":"2026-11-22T08:00:00Z","data":{"total":10.10,"n":123456789012345678901234567890}}"#
    );
    assert_eq!((request.method().as_str(), header(&request, "content-type")), ("PUT", Some(JSON)));
    assert_eq!(header(&request, "webhook-id"), Some("e1_crm"));
    assert_eq!(header(&request, "x-signature"), None, "it has no secret");
}

#[test]
fn a_form_nests_by_brackets() {
    let data = r#"{"a":{"b":"c d"},"list":[1.10,{"x":true}],"none":null,"empty":[]}"#;
    let request = sent(&sound(&format!("content_type: {FORM}")), data);
    let pairs: Vec<_> = url::form_urlencoded::parse(request.body()).into_owned().collect();
    let expected = [
        ("id", "e1"),
        ("event", "order.created"),
        ("created_at", "2026-11-22T08:00:00Z"),
        ("data[a][b]", "c d"),
        ("data[list][0]", "1.10"),
        ("data[list][1][x]", "true"),
        ("data[none]", ""),
        ("data[empty]", ""),
    ];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(header(&request, "content-type"), Some(FORM));
}

#[test]
fn each_secret_signs_and_by_either_scheme() {
    let old = sent(&sound("secrets: [{env: OLD}]\nsignature: both"), "1");
    let new = sent(&sound("secrets: [{env: NEW}]\nsignature: both"), "1");
    let both = sent(&sound("secrets: [{env: NEW}, {env: OLD}]\nsignature: both"), "1");
    assert_eq!(header(&both, "x-signature"), header(&new, "x-signature"));
    assert_eq!(header(&both, "x-signature-2"), header(&old, "x-signature"));
    assert_eq!(header(&both, "x-signature").map(str::len), Some(64));
    let list = [&new, &old].map(|request| header(request, "webhook-signature").unwrap()).join(" ");
    assert_eq!(header(&both, "webhook-signature"), Some(&*list));
    assert_eq!(header(&both, "webhook-timestamp"), Some("1795338000"));
    let plain = sent(&sound("secrets: [{env: BAD}]"), "1");
    assert!(header(&plain, "x-signature").is_some() && header(&plain, "webhook-signature").is_none());
    let standard = sent(&sound("secrets: [{env: NEW}]\nsignature: standard-webhooks"), "1");
    assert_eq!(header(&standard, "x-signature"), None);
}

#[test]
fn a_signature_is_the_one_of_the_published_vector() {
    // https://github.com/standard-webhooks/standard-webhooks: the vector of its libraries.
    let subscription = sound("secrets: [{env: NEW}]\nsignature: standard-webhooks");
    let mut headers = http::HeaderMap::new();
    let now = jiff::Timestamp::from_second(1_614_265_330).unwrap();
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    subscription.sign_as_standard(&mut headers, id, br#"{"test": 2432232314}"#, now).unwrap();
    assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}
