//! What a caller hears of an accepted request, and of one that a guard refuses.

use super::bench::{Request, hear, limits, memory, open, open_with};
use super::broken_store::Broken;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_flow_without_respond_is_queued() {
    let bench = open().await;
    let heard = bench.send(&Request::post("/hook/quiet/any/where?a=1", "{}")).await;
    assert_eq!((heard.status, heard.header("content-type")), (202, Some("application/json")));
    assert_eq!(heard.json(), json!({"run_id": heard.run(), "status": "queued"}));
    let heard = bench.send(&Request::post("/hook/thanks", "{}")).await;
    assert_eq!((heard.status, heard.json()), (203, json!({"message": "thank you"})));
    assert!(heard.header("x-run-id").is_some_and(|run| run != "mine"), "{heard:?}");
    assert_eq!(bench.counted("hookflow_events_accepted_total{flow=\"quiet\"}").as_deref(), Some("1"));
}

#[tokio::test]
async fn respond_answers_as_written() {
    let bench = open().await;
    let heard = bench.send(&Request::post("/hook/echo/of/Zo%C3%AB?q=1", r#"{"n": 10.00}"#)).await;
    assert_eq!((heard.status, heard.header("x-got")), (201, Some("Zoë")), "{heard:?}");
    let url = "https://hooks.example/hook/echo/of/Zo%C3%AB?q=1";
    assert_eq!(
        heard.body,
        format!(r#"{{"body":{{"n":10.00}},"name":"Zoë","ip":"127.0.0.1","url":"{url}"}}"#)
    );
    assert!(heard.header("x-run-id").is_some() && heard.header("x-request-id") != Some("mine"));
    let chunked = Request { length: None, ..Request::post("/hook/echo/of/a", "[1]") };
    assert_eq!(bench.send(&chunked).await.json()["body"], json!([1]));
    let get = Request { body: String::new(), length: Some(0), ..Request::post("/hook/echo/of/a?b[c]=1", "") };
    assert_eq!(bench.send(&get.method("GET")).await.json()["body"], json!({"b": {"c": "1"}}));
    let heard = bench.send(&Request::post("/hook/nothing", "{}")).await;
    assert_eq!((heard.status, heard.body.as_str(), heard.header("content-length")), (204, "", None));
}

#[tokio::test]
async fn the_end_of_a_run_without_respond_is_told() {
    let bench = open().await;
    let heard = bench.send(&Request::post("/hook/silent", "{}")).await;
    assert_eq!((heard.status, heard.json()), (200, json!({"run_id": heard.run(), "status": "completed"})));
    for (flow, status) in [("broken", 500), ("teapot", 418), ("invalid", 422)] {
        let heard = bench.send(&Request::post(&format!("/hook/{flow}"), "{}")).await;
        assert_eq!((heard.status, heard.code().as_str()), (status, "flow-failed"), "{flow}");
        assert!(!heard.run().is_empty() && !heard.body.contains("secret"), "{heard:?}");
    }
}

/// A flow that waits for a server that does not answer.
async fn slow(id: &str, webhook: &str) -> (TcpListener, String) {
    let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", hole.local_addr().unwrap());
    let steps =
        format!("[{{http: {{method: POST, url: '{url}'}}, timeout: 20s}}, {{respond: {{status: 200}}}}]");
    (hole, format!("flow: {id}\nwebhook: {{auth: none, {webhook}}}\nsteps: {steps}\n"))
}

#[tokio::test]
async fn a_caller_waits_no_longer_than_its_time() {
    let (_hole, late) = slow("late", "timeout: 100ms").await;
    let (_hole, later) = slow("later", "timeout: 100ms, on_timeout: 202").await;
    let bench = open_with(&[&late, &later], limits(), memory()).await;
    let heard = bench.send(&Request::post("/hook/late", "{}")).await;
    assert_eq!((heard.status, heard.code().as_str()), (504, "flow-timeout"));
    assert!(!heard.run().is_empty());
    let heard = bench.send(&Request::post("/hook/later", "{}")).await;
    assert_eq!((heard.status, heard.json()), (202, json!({"run_id": heard.run(), "status": "running"})));
}

#[tokio::test]
async fn nobody_waits_through_a_shutdown() {
    let (_hole, flow) = slow("late", "timeout: 1m").await;
    let bench = open_with(&[&flow], limits(), memory()).await;
    let request = Request::post("/hook/late", "{}");
    let asking = bench.send(&request);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.tasks.drain(Duration::from_millis(500)).await;
    };
    let (heard, ()) = tokio::join!(asking, stopping);
    assert_eq!((heard.status, heard.code().as_str()), (503, "run.unanswered"));
    assert_eq!(heard.header("retry-after"), Some("1"));
    assert!(!heard.run().is_empty());
}

#[tokio::test]
async fn a_request_that_comes_during_shutdown_is_sent_elsewhere() {
    let bench = open().await;
    let mut stream = bench.connect().await;
    stream.write_all(b"POST /nowhere HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let draining = bench.tasks.drain(Duration::from_secs(5));
    let asking = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(b"Content-Length: 0\r\n\r\n").await.unwrap();
        hear(&mut stream).await
    };
    let (_, heard) = tokio::join!(draining, asking);
    assert_eq!((heard.status, heard.code().as_str()), (503, "service.draining"));
    assert_eq!(heard.header("retry-after"), Some("1"));
    assert!(tokio::net::TcpStream::connect(bench.addr).await.is_err(), "nothing new is accepted");
}

#[tokio::test]
async fn what_is_not_there_looks_the_same_as_what_is_not_shown() {
    let bench = open().await;
    let mut bodies = Vec::new();
    for path in [
        "/hook/unknown",
        "/hook/off",
        "/hook/inner",
        "/hook/echo/other/path",
        "/hook/echo/of/%FF",
        "/hook/echo",
        "/hook/Quiet",
        "/hook/%71uiet",
        "/hook/",
        "/hook",
        "/hook//",
        "/",
        "/resume/0123",
        "//hook/quiet",
        "/hook/\u{e9}\u{fffd}%",
        "http://elsewhere/hook/off",
    ] {
        let heard = bench.send(&Request::post(path, "{}").header("X-Request-Id", "same")).await;
        assert_eq!((heard.status, heard.code().as_str()), (404, "route.unknown"), "{path}");
        bodies.push(heard.body);
        let heard = bench.send(&Request::post(path, "").method("HEAD")).await;
        assert_eq!((heard.status, heard.body.as_str()), (404, ""), "{path}");
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
}

#[tokio::test]
async fn head_tells_that_a_flow_is_there_and_runs_nothing() {
    let bench = open().await;
    for path in ["/hook/quiet", "/hook/partner", "/hook/held", "/hook/echo/of/x"] {
        let heard = bench.send(&Request::post(path, "").method("HEAD")).await;
        assert_eq!((heard.status, heard.body.as_str(), heard.header("x-run-id")), (200, "", None), "{path}");
        assert!(heard.header("x-request-id").is_some());
    }
    assert_eq!(bench.counted("hookflow_events_accepted_total{flow=\"quiet\"}"), None);
}

#[tokio::test]
async fn another_method_hears_which_are_taken() {
    let bench = open().await;
    for method in ["GET", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"] {
        let heard = bench.send(&Request::post("/hook/quiet", "").method(method)).await;
        assert_eq!((heard.status, heard.code().as_str()), (405, "route.method"), "{method}");
        assert_eq!(heard.header("allow"), Some("POST, PUT, HEAD"));
    }
}

#[tokio::test]
async fn one_body_for_every_reason_not_to_be_let_in() {
    let bench = open().await;
    let right = Request::post("/hook/signed", "{}").header("X-Request-Id", "same");
    assert_eq!(bench.send(&right.clone().signed(&bench)).await.status, 200);
    assert_eq!(bench.send(&right.clone().header("X-Api-Key", "the secret of KEY")).await.status, 200);
    let wrong_bytes = Request { body: "[]".into(), ..right.clone().signed(&bench) };
    let mut bodies = Vec::new();
    for request in [
        right.clone(),
        wrong_bytes,
        right.clone().header("X-Signature", ""),
        right.clone().header("X-Signature", &"0".repeat(64)),
        right.clone().header("X-Api-Key", "the secret of key"),
    ] {
        let heard = bench.send(&request).await;
        assert_eq!((heard.status, heard.code().as_str()), (401, "auth.unauthorized"), "{request:?}");
        assert_eq!(heard.header("www-authenticate"), None);
        bodies.push(heard.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    assert_eq!(bench.send(&Request::post("/hook/partner", "{}").by_partner()).await.status, 200);
    let heard = bench.send(&Request::post("/hook/partner", "{}")).await;
    assert!(
        heard.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Basic ")),
        "{heard:?}"
    );
    assert_eq!(
        bench
            .counted("hookflow_requests_refused_total{code=\"auth.unauthorized\",flow=\"signed\"}")
            .as_deref(),
        Some("5")
    );
}

#[tokio::test]
async fn bodies_that_are_not_taken() {
    let bench = open().await;
    let partner = |body: &str| Request::post("/hook/partner", body).by_partner();
    for (media_type, status, code) in [
        ("application/xml", 415, "body.media-type"),
        ("application/x-www-form-urlencoded", 415, "body.media-type"),
        ("application/json", 400, "body.malformed"),
    ] {
        let heard = bench.send(&partner("{\n \"a\": x}").header("Content-Type", media_type)).await;
        assert_eq!((heard.status, heard.code().as_str()), (status, code));
    }
    let heard = bench.send(&partner("{\n \"a\": x}")).await.json();
    assert_eq!((&heard["line"], &heard["column"]), (&json!(2), &json!(7)));
    let heard = bench.send(&partner("{}").header("Content-Encoding", "zstd")).await;
    assert_eq!((heard.status, heard.code().as_str()), (415, "body.content-encoding"));
    let heard = bench.send(&partner(&"[".repeat(1000))).await;
    assert_eq!((heard.status, heard.code().as_str()), (400, "body.too-deep"));
    let mut untyped = Request::post("/hook/quiet", "x");
    untyped.headers.retain(|(name, _)| *name != "Content-Type");
    assert_eq!(bench.send(&untyped).await.code(), "body.media-type");
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_again() {
    let bench = open().await;
    for (flow, status) in [("full", 429), ("full503", 503)] {
        let request = Request::post(&format!("/hook/{flow}"), "{}").by_partner();
        assert_eq!(bench.send(&request).await.status, 202, "{flow}: a paused flow accepts and holds");
        let heard = bench.send(&request).await;
        assert_eq!((heard.status, heard.code().as_str()), (status, "queue.full"));
        let seconds: u64 = heard.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=300).contains(&seconds), "{heard:?}");
        assert_eq!(heard.header("x-run-id"), None);
    }
    let heard = bench.send(&Request::post("/hook/stopped", "{}")).await;
    assert_eq!((heard.status, heard.code().as_str()), (503, "flow.paused"));
    assert!(heard.header("retry-after").is_some());
}

#[tokio::test]
async fn the_request_id_is_the_callers_when_it_is_sane() {
    let bench = open().await;
    let ask = async |id: &str| {
        let heard = bench.send(&Request::post("/hook/quiet", "{}").header("X-Request-Id", id)).await;
        heard.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(ask("4bf92f35-77b3").await, "4bf92f35-77b3");
    let longest = "a".repeat(129);
    for bad in ["", "a b", "<script>", &longest] {
        let ours = ask(bad).await;
        assert!(ours.len() == 36 && ours != bad, "{ours}");
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_neither_accepted_nor_the_callers_fault() {
    let (_hole, late) = slow("late", "timeout: 100ms, on_timeout: 202").await;
    let bench = open_with(&[&late], limits(), Arc::new(Broken(memory()))).await;
    let resume = "/resume/r~0~00112233445566778899aabbccddeeff";
    for path in ["/hook/quiet", "/hook/thanks", "/hook/echo/of/x", "/hook/silent", "/hook/late", resume] {
        let heard = bench.send(&Request::post(path, "{}")).await;
        assert_eq!(heard.status, 503, "{path}: {heard:?}");
        assert!(heard.header("retry-after").is_some(), "{heard:?}");
        assert_eq!(heard.code(), "store.unavailable", "{path}");
        assert_eq!(heard.header("x-run-id"), None, "nothing is there to be looked up");
    }
}

#[tokio::test]
async fn what_was_refused_is_kept_for_the_operator_without_secrets() {
    let bench = open().await;
    let wrong = Request::post("/hook/partner/a?key=a-secret", r#"{"a": "a-secret"}"#);
    let wrong = wrong.header("Authorization", "Basic a-secret").header("X-Request-Id", "mine");
    assert_eq!(bench.send(&wrong.header("Cookie", "a-secret")).await.status, 401);
    let malformed = Request { body: "{a-secret".into(), ..Request::post("/hook/signed", "{a-secret") };
    assert_eq!(bench.send(&malformed.signed(&bench)).await.status, 400);
    assert_eq!(bench.say(b"POST /a-secret\r\n\r\n").await.status, 400);
    assert_eq!(bench.send(&Request::post("/hook/quiet", "{}")).await.status, 202);
    assert_eq!(
        bench.send(&Request::post("/hook/broken", "{}")).await.status,
        500,
        "a failed flow was no refusal"
    );
    let kept = bench.rejections.latest(None, 10);
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(!kept.iter().any(|line| line.to_string().contains("a-secret")), "{kept:?}");
    assert_eq!((&kept[0]["code"], &kept[0]["method"]), (&json!("request.malformed"), &json!(null)));
    assert_eq!((&kept[1]["flow"], &kept[1]["received"]), (&json!("signed"), &json!(9)));
    let first = bench.rejections.latest(Some("partner"), 10).remove(0);
    for (key, value) in [
        ("request", json!("mine")),
        ("ip", json!("127.0.0.1")),
        ("status", json!(401)),
        ("code", json!("auth.unauthorized")),
        ("path", json!("/hook/partner/a")),
        ("headers", json!({"host": "x", "content-type": "application/json", "content-length": "17"})),
        ("received", json!(0)),
    ] {
        assert_eq!(first[key], value, "{key}");
    }
    assert!(first["reason"].as_str().is_some_and(|reason| reason.starts_with("partner: ")), "{first}");
}

#[tokio::test]
async fn a_lost_request_is_kept_with_what_it_asked_for() {
    let bench = open().await;
    let long = format!("/hook/{}?token=a-secret", "x".repeat(500));
    assert_eq!(bench.send(&Request::post(&long, "{}")).await.status, 404);
    assert_eq!(bench.send(&Request::post("/hook/quiet?a-secret", "").method("DELETE")).await.status, 405);
    let big = Request { length: Some(2 << 20), ..Request::post("/hook/quiet", "{}") };
    assert_eq!(bench.send(&big).await.status, 413);
    let kept = bench.rejections.latest(None, 10);
    let cut = format!("/hook/{}", "x".repeat(194));
    assert_eq!((&kept[2]["method"], &kept[2]["path"]), (&json!("POST"), &json!(cut)));
    assert_eq!((&kept[1]["method"], &kept[1]["path"]), (&json!("DELETE"), &json!("/hook/quiet")));
    assert_eq!(kept[0]["reason"], "at most 1048576 bytes are taken");
}
