//! Who may call from where, seen through proxies, and how often.

use super::bench::{Request, limits, memory, open_behind, open_with};

const LOOPBACK: &str = "127.0.0.0/8";

const ELSEWHERE: &str = "flow: elsewhere
webhook: {auth: none, methods: [POST, GET], allow_from: [203.0.113.0/24]}
steps: [{respond: {json: '${ webhook.ip }'}}]";

#[tokio::test]
async fn from_elsewhere_a_flow_is_not_there() {
    let bench = open_with(&[ELSEWHERE], limits(), memory()).await;
    let ask = |path: &str| Request::post(path, "{}").header("X-Request-Id", "same");
    let unknown = bench.send(&ask("/hook/unknown")).await;
    let heard = bench.send(&ask("/hook/elsewhere")).await;
    assert_eq!((heard.status, &heard.body), (404, &unknown.body));
    for method in ["HEAD", "PATCH"] {
        assert_eq!(bench.send(&ask("/hook/elsewhere").method(method)).await.status, 404, "{method}");
    }
    // Nobody's word is taken without a proxy that is trusted.
    for name in ["X-Forwarded-For", "Forwarded", "X-Real-Ip"] {
        let spoofed = ask("/hook/elsewhere").header(name, "203.0.113.9");
        assert_eq!(bench.send(&spoofed).await.status, 404, "{name}");
    }
}

#[tokio::test]
async fn behind_proxies_the_caller_is_who_called_the_first_of_them() {
    let proxies = [LOOPBACK.parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    let bench = open_behind(&proxies, &[ELSEWHERE]).await;
    let ask = |name, value| Request::post("/hook/elsewhere", "{}").header(name, value);
    for request in [
        ask("X-Forwarded-For", "203.0.113.9"),
        ask("X-Forwarded-For", "198.51.100.1, 203.0.113.9, 10.0.0.1"),
        ask("Forwarded", "for=203.0.113.9;proto=https"),
    ] {
        let heard = bench.send(&request).await;
        assert_eq!((heard.status, heard.body.as_str()), (200, "\"203.0.113.9\""), "{request}");
    }
    for request in [
        ask("X-Forwarded-For", "203.0.113.9, 198.51.100.1"),
        ask("X-Forwarded-For", "203.0.113.9, 198.51.100.1, 10.0.0.1"),
        ask("Forwarded", "for=203.0.113.9, for=198.51.100.1"),
        Request::post("/hook/elsewhere", "{}"),
    ] {
        assert_eq!(bench.send(&request).await.status, 404, "{request}");
    }
    let both = ask("X-Forwarded-For", "198.51.100.1").header("Forwarded", "for=203.0.113.9");
    let heard = bench.send(&both).await;
    assert_eq!((heard.status, heard.code().as_str()), (400, "request.origin"));
}

const RARE: &str = "flow: rare
webhook: {auth: partner, body: json, rate_limit: 3/h, rate_limit_per_address: 2/h}
steps: [{set: {a: 1}}]";

#[tokio::test]
async fn who_comes_too_often_hears_when_to_come_again() {
    let bench = open_behind(&[LOOPBACK.parse().unwrap()], &[RARE]).await;
    let from = |ip: &str| Request::post("/hook/rare", "{}").by_partner().header("X-Forwarded-For", ip);
    // What an earlier guard refuses counts for nothing.
    for _ in 0..5 {
        assert_eq!(bench.send(&Request::post("/hook/rare", "{}")).await.status, 401);
        let malformed = Request { body: "{!".into(), ..from("203.0.113.1") };
        assert_eq!(bench.send(&malformed).await.status, 400);
    }
    for _ in 0..2 {
        assert_eq!(bench.send(&from("203.0.113.1")).await.status, 202);
    }
    let heard = bench.send(&from("203.0.113.1")).await;
    assert_eq!((heard.status, heard.code().as_str()), (429, "rate.limited"));
    let wait: u64 = heard.header("retry-after").unwrap().parse().unwrap();
    assert!((1_700..=1_800).contains(&wait), "{wait}");
    // Another word in front of what the proxy wrote is no other address.
    assert_eq!(bench.send(&from("198.51.100.7, 203.0.113.1")).await.status, 429);
    assert_eq!(bench.send(&from("203.0.113.2")).await.status, 202);
    let heard = bench.send(&from("203.0.113.3")).await;
    assert_eq!((heard.status, heard.code().as_str()), (429, "rate.limited"), "three from everybody");
    // A change of the file refills nothing.
    bench.install(&[&RARE.replace("a: 1", "a: 2")]).await;
    assert_eq!(bench.send(&from("203.0.113.3")).await.status, 429);
    bench.install(&[&RARE.replace("flow: rare", "flow: other")]).await;
    bench.install(&[RARE]).await;
    assert_eq!(bench.send(&from("203.0.113.3")).await.status, 429);
    bench.install(&[&RARE.replace("3/h", "9/s").replace("2/h", "9/s")]).await;
    let heard = bench.send(&from("203.0.113.3")).await;
    assert_eq!(heard.header("retry-after"), Some("1"), "a quicker rate holds at once");
}

#[tokio::test]
async fn what_is_not_as_expected_is_refused_or_counted() {
    let strict = "flow: strict
webhook:
  auth: mobile
  expects: {strict: true, headers: [X-Shop, X-Api-Key], query: {page: integer?}, body: {id: string, items: [{n: integer}]}}
steps: [{respond: {status: 200}}]";
    let advice = strict.replace("flow: strict", "flow: advice").replace("strict: true, ", "");
    let bench = open_with(&[strict, &advice], limits(), memory()).await;
    let ask = |path: &str, body: &str| {
        Request::post(path, body).header("X-Api-Key", "the secret of KEY").header("X-Shop", "a")
    };
    let right = r#"{"id": "A", "items": [{"n": 1}]}"#;
    assert_eq!(bench.send(&ask("/hook/strict?page=2", right)).await.status, 200);
    let wrong = r#"{"id": "A", "items": [{"n": "a secret"}]}"#;
    let heard = bench.send(&ask("/hook/strict?page=two", wrong)).await;
    assert_eq!((heard.status, heard.code().as_str()), (422, "expects.mismatch"));
    let expected = serde_json::json!([
        {"at": "query.page", "expected": "integer"},
        {"at": "body.items[0].n", "expected": "integer"},
    ]);
    assert_eq!(heard.json()["errors"], expected);
    assert!(!heard.body.contains("secret") && !heard.body.contains("two"), "{heard:?}");
    assert_eq!(
        bench.send(&Request::post("/hook/strict", wrong)).await.status,
        401,
        "strangers learn nothing"
    );
    assert_eq!(bench.send(&ask("/hook/advice?page=two", wrong)).await.status, 200);
    let series = "hookflow_events_mismatched_total{flow=\"advice\"}";
    assert_eq!(bench.counted(series).as_deref(), Some("1"));
}
