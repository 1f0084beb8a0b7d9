use super::*;
use crate::outside::shelf::Shelf;
use hookflow_runtime::Tasks;
use jiff::Timestamp;
use std::sync::atomic::{AtomicUsize, Ordering};

const PEM: &[u8] = include_bytes!("../../../hookflow-trigger/testdata/sns.pem");
const URL: &str = "https://sns.eu-west-1.amazonaws.com/a.pem";

fn open_at(shelf: &Arc<Shelf>, now: &str) -> (Arc<Certificates>, Clock) {
    let clock = Clock::turned(now.parse::<Timestamp>().unwrap());
    let outside: Arc<dyn Outside> = Arc::<Shelf>::clone(shelf);
    let certificates = Certificates::new(outside, clock.clone(), Tasks::new(clock.clone()));
    (Arc::new(certificates), clock)
}

fn open(shelf: &Arc<Shelf>) -> (Arc<Certificates>, Clock) {
    open_at(shelf, "2030-01-01T00:00:00Z")
}

#[tokio::test]
async fn requests_share_one_fetch_and_it_serves_for_a_day() {
    let shelf = Shelf::silent();
    shelf.put(URL, 200, PEM);
    let (certificates, clock) = open(&shelf);
    let waiting = Tasks::new(clock.clone());
    let served = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        let (certificates, served) = (Arc::clone(&certificates), Arc::clone(&served));
        waiting.spawn("request", async move {
            certificates.get(URL).await.unwrap();
            served.fetch_add(1, Ordering::SeqCst);
        });
    }
    tokio::task::yield_now().await;
    shelf.answering.add_permits(1);
    // The clock does not go by itself, so it is no deadline.
    waiting.drain(Duration::from_secs(1)).await;
    assert_eq!((served.load(Ordering::SeqCst), shelf.asked()), (20, 1));
    clock.advance(KEEP.checked_sub(Duration::from_secs(1)).unwrap());
    certificates.get(URL).await.unwrap();
    assert_eq!(shelf.asked(), 1);
    clock.advance(Duration::from_secs(1));
    shelf.answering.add_permits(1);
    certificates.get(URL).await.unwrap();
    assert_eq!(shelf.asked(), 2);
}

#[tokio::test]
async fn a_certificate_is_not_kept_beyond_its_own_time() {
    let shelf = Shelf::new();
    shelf.put(URL, 200, PEM);
    let (certificates, clock) = open_at(&shelf, "2119-12-31T23:00:00Z");
    certificates.get(URL).await.unwrap();
    clock.advance(Duration::from_mins(61));
    certificates.get(URL).await.unwrap();
    assert_eq!(shelf.asked(), 2);
    // Its time is over, and still it is not fetched for each request.
    certificates.get(URL).await.unwrap();
    assert_eq!(shelf.asked(), 2);
}

#[tokio::test]
async fn what_failed_is_not_tried_again_at_once() {
    let shelf = Shelf::new();
    let (certificates, clock) = open(&shelf);
    let large = vec![b' '; 65_537];
    for (answer, why) in [
        (None, "there is nobody"),
        (Some((404, PEM)), "it was answered with 404"),
        (Some((302, PEM)), "it was answered with 302"),
        (Some((200, b"<html>".as_slice())), "there is no certificate with an RSA key"),
        (Some((200, large.as_slice())), "more than 65536 bytes are no certificate"),
    ] {
        if let Some((status, body)) = answer {
            shelf.put(URL, status, body);
        }
        let before = shelf.asked();
        let expected = Unfetched { why: format!("{URL}: {why}"), retry_after: KEEP_FAILED };
        assert_eq!(certificates.get(URL).await.unwrap_err(), expected);
        clock.advance(Duration::from_secs(4));
        let again = certificates.get(URL).await.unwrap_err();
        assert_eq!((again.retry_after, shelf.asked()), (Duration::from_secs(6), before + 1));
        clock.advance(Duration::from_secs(6));
    }
    shelf.put(URL, 200, PEM);
    certificates.get(URL).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_nothing() {
    let shelf = Shelf::silent();
    shelf.put(URL, 200, PEM);
    let (certificates, clock) = open(&shelf);
    let gone = clock.timeout(Duration::ZERO, certificates.get(URL)).await;
    assert!(gone.is_err());
    shelf.answering.add_permits(1);
    certificates.get(URL).await.unwrap();
    assert_eq!(shelf.asked(), 1);
}

#[tokio::test]
async fn strangers_can_make_us_fetch_a_few_at_a_time_and_in_a_minute() {
    let shelf = Shelf::silent();
    let (certificates, clock) = open(&shelf);
    let url = |number: u32| format!("https://sns.eu-west-1.amazonaws.com/{number}.pem");
    for number in 0..8 {
        drop(certificates.coming(&url(number)).unwrap());
    }
    assert_eq!(certificates.coming(&url(8)).unwrap_err(), "too many certificates are being fetched");
    shelf.answering.add_permits(1_000);
    for number in 0..60 {
        assert!(certificates.get(&url(number)).await.unwrap_err().why.ends_with("there is nobody"));
    }
    let refused = certificates.get(&url(60)).await.unwrap_err();
    assert_eq!(refused.why, "too many certificates were fetched within a minute");
    clock.advance(Duration::from_mins(1));
    assert!(certificates.get(&url(60)).await.unwrap_err().why.ends_with("there is nobody"));
}

#[tokio::test]
async fn failures_never_push_a_certificate_out() {
    let shelf = Shelf::new();
    shelf.put(URL, 200, PEM);
    let (certificates, clock) = open(&shelf);
    certificates.get(URL).await.unwrap();
    for number in 0..600_u32 {
        let url = format!("https://sns.eu-west-1.amazonaws.com/{number}.pem");
        assert!(certificates.get(&url).await.unwrap_err().why.ends_with("there is nobody"));
        clock.advance(Duration::from_secs(2));
    }
    assert_eq!(certificates.lock().by_url.len(), REMEMBERED);
    certificates.get(URL).await.unwrap();
    assert_eq!(shelf.asked(), 601);
}
