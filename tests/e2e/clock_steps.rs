//! A time of day that is set while the service runs: the real binary with `tests/clock/steps.c` put before libc. It needs
//! glibc on Linux.

use super::lossy_disk::compiled;
use super::service::{Folder, Service, until};
use super::target::{Play, Target};
use super::wire::Request;
use hookflow_runtime::Clock;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PACED: &str = "
webhook: {auth: none}
steps: [{http: {integration: paced, url: x}}]
";
const HOUR: i64 = 3_600;

fn call(service: &Service) {
    assert_eq!(service.send(&Request::json("/hook/paced", "{}")).status, 202);
}

fn is_waiting(service: &Service, runs: usize) {
    until("runs that wait", || {
        let listed = service.ops("/api/runs?flow=paced").text();
        (listed.matches("\"status\":\"waiting\"").count() == runs).then_some(())
    });
}

#[test]
fn a_rate_is_kept_whatever_the_time_of_day_is_set_to() {
    let (clock, arrivals) = (Clock::system(), Arc::<Mutex<Vec<Instant>>>::default());
    let told = Arc::clone(&arrivals);
    let target = Target::start(move |_| {
        told.lock().unwrap().push(clock.monotonic());
        Play::Answer(200, "{}")
    });
    let folder = Folder::new()
        .config("outbound: {allow: [127.0.0.0/8]}")
        .with("steps", "0")
        .with(
            "config/integrations/paced.yaml",
            format!("integration: paced\nroot_url: {}\nrate_limit: 20/m\n", target.url("")),
        )
        .flow("paced", PACED);
    let (library, steps) = (compiled("tests/clock/steps.c"), folder.path().join("steps"));
    let variables = [("LD_PRELOAD", library.to_str().unwrap()), ("CLOCK_STEPS", steps.to_str().unwrap())];
    let service = Service::start_with(&folder, &variables);
    let set = |hours: i64| folder.put("steps", (hours * HOUR).to_string());
    let apart = |from: usize| {
        let arrivals = arrivals.lock().unwrap();
        arrivals[from + 1].duration_since(arrivals[from])
    };

    call(&service);
    target.heard(1);
    call(&service);
    is_waiting(&service, 1);
    // By the time of day its turn is long over now.
    set(1);
    call(&service);
    target.heard(3);
    for from in 0..2 {
        assert!(apart(from) >= Duration::from_millis(2_500), "{:?}", apart(from));
    }
    // And now nobody is to wait for an hour.
    set(-1);
    call(&service);
    target.heard(4);
    assert!(apart(2) >= Duration::from_millis(2_500), "{:?}", apart(2));
    service.stop_sound();
}
