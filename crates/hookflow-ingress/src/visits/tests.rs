use super::*;
use crate::outside::shelf::Shelf;
use jiff::Timestamp;

const URL: &str = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=1";

fn open(shelf: &Arc<Shelf>) -> (Visits, Clock, Tasks) {
    let clock = Clock::turned(Timestamp::UNIX_EPOCH);
    let tasks = Tasks::new(clock.clone());
    let outside: Arc<dyn Outside> = Arc::<Shelf>::clone(shelf);
    (Visits::new(outside, clock.clone(), tasks.clone()), clock, tasks)
}

/// Waits until there is no visit any more.
async fn end(tasks: &Tasks) {
    while tasks.running().get("visit").is_some_and(|count| *count > 0) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_visit_is_tried_four_times() {
    let shelf = Shelf::new();
    shelf.put(URL, 503, b"");
    let (visits, clock, tasks) = open(&shelf);
    visits.begin("alarms".into(), URL.into()).unwrap();
    for tries in 1..=3 {
        clock.advance_to_next().await;
        assert_eq!(shelf.asked(), tries);
    }
    end(&tasks).await;
    assert_eq!(shelf.asked(), 4);
}

#[tokio::test]
async fn a_visit_ends_with_the_first_success_and_with_the_service() {
    let shelf = Shelf::new();
    shelf.put(URL, 200, b"<ConfirmSubscriptionResponse/>");
    let (visits, clock, tasks) = open(&shelf);
    visits.begin("alarms".into(), URL.into()).unwrap();
    end(&tasks).await;
    assert_eq!(shelf.asked(), 1);
    shelf.put(URL, 302, b"");
    visits.begin("alarms".into(), URL.into()).unwrap();
    clock.advance_to_next().await;
    // It waits for its next try, which the shutdown spares.
    assert!(tasks.drain(Duration::from_secs(1)).await.is_empty());
    assert!((2..=3).contains(&shelf.asked()));
}

#[tokio::test]
async fn visits_are_bounded() {
    let shelf = Shelf::silent();
    let (visits, _, tasks) = open(&shelf);
    for _ in 0..AT_ONCE {
        visits.begin("alarms".into(), URL.into()).unwrap();
    }
    assert_eq!(visits.begin("alarms".into(), URL.into()), Err(TooManyVisits));
    shelf.put(URL, 200, b"");
    shelf.answering.add_permits(AT_ONCE);
    end(&tasks).await;
    assert_eq!(visits.begin("alarms".into(), URL.into()), Ok(()));
}
