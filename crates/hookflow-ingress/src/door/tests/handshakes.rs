//! Senders that ask whether the webhook is ours: answered at the door, without an event.

use super::bench::{Bench, Request, limits, memory, open_with};

const FLOWS: &[&str] = &[
    "flow: tweets\nwebhook: {auth: x}\nsteps: [{set: {a: 1}}]",
    "flow: chats\nwebhook: {auth: slack, methods: [PUT]}\nsteps: [{set: {a: 1}}]",
    "flow: sales\nwebhook: {auth: woo}\nsteps: [{set: {a: 1}}]",
    "flow: books\nwebhook: {auth: xero}\nsteps: [{set: {a: 1}}]",
    "flow: tasks\nwebhook: {auth: asana}\nsteps: [{set: {a: 1}}]",
    "flow: posts\nwebhook: {auth: meta}\nsteps: [{set: {a: 1}}]",
];

async fn bench() -> Bench {
    open_with(FLOWS, limits(), memory()).await
}

fn get(path: &str) -> Request {
    Request::post(path, "").method("GET")
}

#[tokio::test]
async fn an_unsigned_question_is_answered_though_the_flow_takes_no_such_method() {
    let bench = bench().await;
    let heard = bench.send(&get("/hook/tweets?crc_token=9b4507b3-9040")).await;
    assert_eq!((heard.status, heard.header("content-type")), (200, Some("application/json")));
    assert_eq!(heard.header("x-content-type-options"), Some("nosniff"));
    assert!(heard.body.starts_with(r#"{"response_token":"sha256="#), "{heard:?}");
    assert!(heard.header("x-run-id").is_none() && heard.header("x-request-id").is_some());
    // No signature of an event is given away, and no other GET is taken.
    let heard = bench.send(&get("/hook/tweets?crc_token=%7B%22for_user_id%22%3A%221%22%7D")).await;
    assert_eq!((heard.status, heard.code().as_str()), (400, "handshake.refused"));
    assert_eq!(bench.send(&get("/hook/tweets")).await.code(), "route.method");
    let heard = bench.send(&get("/hook/posts?hub.mode=subscribe&hub.challenge=1&hub.verify_token=no")).await;
    assert_eq!((heard.status, heard.code().as_str()), (403, "handshake.refused"));
    assert_eq!(bench.counted("hookflow_events_accepted_total{flow=\"tweets\"}").as_deref(), Some("0"));
}

#[tokio::test]
async fn a_signed_question_is_answered_once_it_is_verified() {
    let bench = bench().await;
    let asking = Request::post("/hook/chats", r#"{"type":"url_verification","challenge":"3eZbrw1a"}"#);
    let asking = asking.signed_by(&bench, "slack");
    let heard = bench.send(&asking).await;
    assert_eq!((heard.status, heard.body.as_str()), (200, "3eZbrw1a"));
    assert_eq!(heard.header("content-type"), Some("text/plain"));
    let forged = Request { body: asking.body.replace("3eZ", "4eZ"), ..asking };
    assert_eq!(bench.send(&forged).await.code(), "auth.unauthorized");
    // The flow takes PUT alone: only the question passes by another method.
    let event = Request::post("/hook/chats", r#"{"type":"event_callback"}"#).signed_by(&bench, "slack");
    assert_eq!(bench.send(&event).await.code(), "route.method");
    assert_eq!(bench.send(&event.method("PUT")).await.status, 202);
    assert_eq!(bench.counted("hookflow_events_accepted_total{flow=\"chats\"}").as_deref(), Some("1"));
}

#[tokio::test]
async fn an_unsigned_form_of_woocommerce_is_answered_and_no_other() {
    let bench = bench().await;
    let form = |body: &str| {
        Request::post("/hook/sales", body).header("Content-Type", "application/x-www-form-urlencoded")
    };
    let heard = bench.send(&form("webhook_id=12")).await;
    assert_eq!((heard.status, heard.body.as_str()), (200, ""));
    assert_eq!(bench.send(&form("webhook_id=12&a=b")).await.code(), "auth.unauthorized");
    let chunked = Request { length: None, ..form("webhook_id=12") };
    assert_eq!(bench.send(&chunked).await.code(), "auth.unauthorized");
}

#[tokio::test]
async fn xero_hears_200_and_401_and_no_word_more() {
    let bench = bench().await;
    let asking = Request::post("/hook/books", r#"{"events":[],"entropy":"S0m3r4Nd0mt3xt"}"#);
    let heard = bench.send(&asking.clone().signed_by(&bench, "xero")).await;
    assert_eq!((heard.status, heard.body.as_str()), (200, ""));
    for wrong in [asking.clone(), asking.header("X-Xero-Signature", "AAAA")] {
        let heard = bench.send(&wrong).await;
        assert_eq!((heard.status, heard.body.as_str(), heard.header("content-type")), (401, "", None));
        assert!(heard.header("x-request-id").is_some());
    }
    let kept = bench.rejections.latest(Some("books"), 1);
    assert!(format!("{kept:?}").contains("auth.unauthorized"), "{kept:?}");
}

#[tokio::test]
async fn asana_hears_its_secret_again() {
    let bench = bench().await;
    let asking = Request::post("/hook/tasks", "").header("X-Hook-Secret", "b537207f20cbfa02");
    let heard = bench.send(&asking).await;
    assert_eq!((heard.status, heard.header("x-hook-secret")), (200, Some("b537207f20cbfa02")));
    assert_eq!(bench.send(&asking.without("X-Hook-Secret")).await.code(), "auth.unauthorized");
    assert_eq!(bench.counted("hookflow_events_accepted_total{flow=\"tasks\"}").as_deref(), Some("0"));
}
