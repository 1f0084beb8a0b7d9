//! The life of a process: its shutdown while callers wait, its secrets from one start to the next, its first folder.

use super::answers::{call, folder};
use super::service::{Folder, Service, beside, hookflow, until};
use super::target::Target;
use super::wire::{Request, Wire};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// A service with the flow `slow`, whose caller waits for the target.
fn slow(target: &Target, grace: &str) -> (Folder, Service) {
    let url = target.url("/");
    let yaml =
        format!("webhook: {{auth: key}}\nsteps: [{{http: {{url: '{url}'}}}}, {{respond: {{status: 201}}}}]");
    let config = format!("outbound: {{allow: [127.0.0.0/8]}}\nshutdown: {{grace: {grace}}}");
    let folder = folder().config(&config).flow("slow", &yaml);
    let service = Service::start(&folder);
    (folder, service)
}

fn begin(service: &Service, target: &Target) -> Wire {
    let mut wire = Wire::connect(service.public);
    wire.send(call("slow", "{}").bytes());
    assert_eq!(target.heard(1).len(), 1);
    wire
}

#[test]
fn an_answer_under_way_is_still_given() {
    let target = Target::hanging();
    let (_folder, service) = slow(&target, "60s");
    let mut caller = begin(&service, &target);
    let mut idle = Wire::connect(service.public);
    assert_eq!(idle.ask(&call("created", "{}")).status, 201);
    service.signal("TERM");
    service.until_draining();
    assert!(service.ops("/readyz").text().contains("running"));
    assert_eq!(service.ops("/healthz").status, 200, "it is not sick, it leaves");
    idle.assert_closed();
    until("a closed door", || TcpStream::connect(service.public).is_err().then_some(()));
    target.release();
    assert_eq!(caller.answer().status, 201);
    caller.assert_closed();
    let ended = service.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.err.contains("lost"), "{}", ended.err);
}

#[test]
fn who_still_waits_at_the_end_is_told_to_come_again() {
    let target = Target::hanging();
    let (_folder, service) = slow(&target, "1s");
    let mut caller = begin(&service, &target);
    service.signal("TERM");
    let answer = caller.answer();
    assert_eq!((answer.status, answer.code().as_str()), (503, "run.unanswered"));
    assert!(answer.retry_after().is_some());
    assert_eq!(answer.value()["run_id"].as_str(), answer.header("x-run-id"));
    let ended = service.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("unfinished events go on at the next start"), "{}", ended.err);
}

#[test]
fn events_that_wait_are_worked_off_before_the_end() {
    let target = Target::hanging();
    let url = target.url("/");
    let yaml = format!("webhook: {{auth: key}}\nqueue: {{workers: 1}}\nsteps: [{{http: {{url: '{url}'}}}}]");
    let folder = folder().config("outbound: {allow: [127.0.0.0/8]}").flow("one-by-one", &yaml);
    let service = Service::start(&folder);
    for _ in 0..5 {
        assert_eq!(service.send(&call("one-by-one", "{}")).status, 202);
    }
    assert_eq!(target.heard(1).len(), 1);
    service.signal("TERM");
    service.until_draining();
    target.release();
    let ended = service.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(target.count(), 5);
    assert!(ended.err.contains("no event is unfinished"), "{}", ended.err);
}

#[test]
fn who_has_said_nothing_does_not_hold_up_the_end() {
    let config = "public: {limits: {header_timeout: 10m}}\nshutdown: {grace: 10m}";
    let folder = folder().config(config);
    let service = Service::start(&folder);
    let silent = Wire::connect(service.public);
    // It has been let in once a later one is answered.
    assert_eq!(service.send(&call("created", "{}")).status, 201);
    let ended = service.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    silent.assert_closed();
}

#[test]
fn a_second_signal_does_not_wait() {
    let target = Target::hanging();
    let (_folder, service) = slow(&target, "10m");
    let mut caller = begin(&service, &target);
    service.signal("INT");
    service.until_draining();
    service.signal("INT");
    // Whoever asked it to end hears of it within the test's own patience, which is far below the grace.
    let answer = beside(move || caller.head().map(|answer| answer.status));
    assert_eq!(service.end().code, Some(0));
    assert!(matches!(answer.join().unwrap(), None | Some(503)));
}

#[test]
fn a_lost_terminal_does_not_end_it() {
    let folder = folder();
    let service = Service::start(&folder);
    service.signal("HUP");
    service.until_metric("hookflow_reloads_total{outcome=\"swapped\"}", 1);
    assert_eq!(service.send(&call("created", "{}")).status, 201);
    let ended = service.stop_sound();
    assert!(ended.err.contains("cause=\"SIGHUP\""), "{}", ended.err);
}

#[test]
fn a_secret_is_made_once_and_for_its_owner_alone() {
    let folder = Folder::new()
        .credentials(
            "key: {type: api_key, header: X-Api-Key, keys: [{file: deep/secrets/key, create: true}]}",
        )
        .flow("a", "webhook: {auth: key}\nsteps: [{respond: {}}]");
    let path = folder.path().join("deep/secrets/key");
    let service = Service::start(&folder);
    assert!(service.printed().contains("auth: key"), "{}", service.printed());
    let made = fs::read_to_string(&path).unwrap();
    assert_eq!((made.trim_end().len(), made.lines().count()), (64, 1));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let request = Request::json("/hook/a", "{}").header("X-Api-Key", made.trim_end());
    assert_eq!(service.send(&request).status, 200);
    let first = service.stop_sound();
    assert!(first.out.contains("made a random secret:"), "{}", first.out);
    assert!(!first.out.contains(made.trim_end()), "its path is printed, not the secret");

    let service = Service::start(&folder);
    assert_eq!(fs::read_to_string(&path).unwrap(), made);
    assert_eq!(service.send(&request).status, 200);
    let second = service.stop_sound();
    assert!(!second.out.contains("made a random secret"), "{}", second.out);
    assert!(!(first.err + &second.err).contains(made.trim_end()));
}

#[test]
fn a_first_folder_serves_and_its_call_is_answered() {
    let folder = Folder::new();
    let made = hookflow(folder.path(), &["init", "first"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let (_, call) = made.out.split_at(made.out.find("curl").unwrap());

    let served = Folder::new();
    copy(&folder.path().join("first"), served.path());
    let service = Service::start(&served);
    // The shell itself takes the printed call apart.
    let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{}", call.replace("first/", ""));
    let said = Command::new("sh").args(["-c", &script]).current_dir(served.path()).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8(said.stdout).unwrap();
    let words: Vec<_> = said.lines().collect();
    let target = words[0].strip_prefix("http://127.0.0.1:8080").unwrap();
    let mut request = Request::new("POST", target);
    for pair in words[1..].chunks(2) {
        request = match pair[0] {
            "-H" => request.header(pair[1].split_once(": ").unwrap().0, pair[1].split_once(": ").unwrap().1),
            "-d" => request.body(pair[1]),
            other => panic!("what is {other}?"),
        };
    }
    let answer = service.send(&request);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains("Ada"), "{answer:?}");
    assert_eq!(service.send(&request.set("X-Api-Key", "another key")).status, 401);
    service.stop_sound();
}

/// Copies a folder's files.
pub(super) fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
