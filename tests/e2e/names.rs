//! Names that change what they mean: the real binary with a DNS server of the test's, `tests/names/names.c`, put before
//! libc. It needs glibc on Linux.

use super::egress::{ask, flow, folder, kind};
use super::hops::corpus;
use super::lossy_disk::compiled;
use super::service::{Folder, Service, beside, until};
use super::wire::Request;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

const ALLOWED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const CLOUD: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const PRIVATE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Answers each question with the next of these, as bytes of a DNS packet.
struct Dns {
    port: u16,
    asked: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Dns {
    fn start(answers: &'static [&'static [Ipv4Addr]]) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let (asked, ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, end) = (Arc::clone(&asked), Arc::clone(&ended));
        beside(move || {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let addresses = answers[count.fetch_add(1, Ordering::SeqCst)];
                let mut answer = packet[..length].to_vec();
                answer[2..4].copy_from_slice(&[0x81, 0x80]);
                answer[7] = u8::try_from(addresses.len()).unwrap();
                for address in addresses {
                    // The name asked for, an address of the internet, good for no time at all.
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                    answer.extend(address.octets());
                }
                socket.send_to(&answer, from).unwrap();
            }
        });
        Self { port, asked, ended }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let wake = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        drop(wake.send_to(&[0], (Ipv4Addr::LOCALHOST, self.port)));
    }
}

/// A server at all of this machine's addresses: at which of them it was reached. It closes after each answer, 503 for
/// the first so many and then 200.
fn everywhere(down: usize) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let reached = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&reached);
    beside(move || {
        // Until the tests' process ends.
        for stream in listener.incoming().flatten() {
            let nth = {
                let mut told = told.lock().unwrap();
                told.push(stream.local_addr().unwrap().ip().to_string());
                told.len()
            };
            drop(answer(stream, if nth <= down { "503 x" } else { "200 x" }));
        }
    });
    (port, reached)
}

/// `/on` leads to `/`.
fn answer(mut stream: TcpStream, status: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = if line.starts_with("GET /on ") { "302 x\r\nLocation: /" } else { status };
    line.clear();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    write!(stream, "HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}")
}

static LIBRARY: OnceLock<PathBuf> = OnceLock::new();

fn start(config: &str, dns: &Dns, retry: &str) -> (Folder, Service) {
    let tried = flow("").replace("    on_error: continue", &format!("{retry}    on_error: continue"));
    let folder = folder(config, &[]).flow("tried", &tried);
    let library = LIBRARY.get_or_init(|| compiled("tests/names/names.c"));
    let port = dns.port.to_string();
    let variables = [("LD_PRELOAD", library.to_str().unwrap()), ("NAMES_PORT", &port)];
    let service = Service::start_with(&folder, &variables);
    (folder, service)
}

#[test]
fn every_connection_is_judged_by_what_the_name_means_then() {
    let dns = Dns::start(&[
        &[ALLOWED],
        &[PRIVATE],
        &[ALLOWED],
        &[CLOUD],
        &[PRIVATE, CLOUD],
        &[PRIVATE, ALLOWED, CLOUD],
        &[],
    ]);
    let (port, reached) = everywhere(0);
    let (_folder, service) = start("outbound: {allow: [127.0.0.2]}", &dns, "");
    for (nth, expected) in
        ["none", "refused", "none", "refused", "refused", "none", "connect"].into_iter().enumerate()
    {
        let answer = ask(&service, "calls", &format!("http://rebound.test:{port}/"));
        assert_eq!(kind(&answer), expected, "{nth}: {answer}");
        assert_eq!(dns.asked(), nth + 1, "the name is asked for once for a connection");
    }
    assert_eq!(*reached.lock().unwrap(), ["127.0.0.2"; 3]);
    service.stop_sound();
}

#[test]
fn another_try_is_judged_anew() {
    let dns = Dns::start(&[&[ALLOWED], &[PRIVATE]]);
    let (port, reached) = everywhere(1);
    let retry = "    retry: {tries: 2, on: [503], backoff: 50ms}\n";
    let (_folder, service) = start("outbound: {allow: [127.0.0.2]}", &dns, retry);
    let answer = ask(&service, "tried", &format!("http://rebound.test:{port}/"));
    assert_eq!((kind(&answer), dns.asked()), ("refused", 2), "{answer}");
    assert_eq!(*reached.lock().unwrap(), ["127.0.0.2"]);
    service.stop_sound();
}

#[test]
fn each_hop_is_judged_anew() {
    let dns = Dns::start(&[&[ALLOWED], &[ALLOWED], &[ALLOWED], &[CLOUD]]);
    let (port, reached) = everywhere(0);
    let config = "outbound: {allow: [127.0.0.2]}";
    let library = LIBRARY.get_or_init(|| compiled("tests/names/names.c"));
    let (folder, port_of_names) =
        (folder(config, &[]).flow("hops", &flow("redirects: 1, ")), dns.port.to_string());
    let variables = [("LD_PRELOAD", library.to_str().unwrap()), ("NAMES_PORT", &port_of_names)];
    let service = Service::start_with(&folder, &variables);
    for (expected, asked) in [("none", 2), ("refused", 4)] {
        let answer = ask(&service, "hops", &format!("http://rebound.test:{port}/on"));
        assert_eq!((kind(&answer), dns.asked()), (expected, asked), "{answer}");
    }
    assert_eq!(*reached.lock().unwrap(), ["127.0.0.2"; 3]);
    service.stop_sound();
}

const ALARMS: &str = "
webhook: {auth: sns, body: json}
steps: [{set: {a: 1}}]
";

#[test]
fn no_certificate_is_fetched_from_where_no_call_goes() {
    let corpus: Vec<Ipv4Addr> = corpus().filter_map(|(ip, _)| ip.parse().ok()).collect();
    assert!(corpus.len() > 25, "{corpus:?}");
    let answers: Vec<&'static [Ipv4Addr]> = corpus.iter().map(|ip| &*vec![*ip].leak()).collect();
    let dns = Dns::start(answers.leak());
    let folder = Folder::new().flow("alarms", ALARMS).with("topic", "the topic");
    let folder = folder.credentials("sns: {type: hmac, preset: aws_sns, secret: {file: topic}}");
    let library = LIBRARY.get_or_init(|| compiled("tests/names/names.c"));
    let port = dns.port.to_string();
    let variables = [("LD_PRELOAD", library.to_str().unwrap()), ("NAMES_PORT", &port)];
    let service = Service::start_with(&folder, &variables);
    for (nth, ip) in corpus.iter().enumerate() {
        let message = json!({
            "Type": "Notification", "Message": "{}", "MessageId": "m-1", "Timestamp": "2026-11-22T00:00:00Z",
            "TopicArn": "the topic", "SignatureVersion": "2", "Signature": "c2lnbmVk",
            "SigningCertURL": format!("https://sns.eu-west-1.amazonaws.com/{nth}.pem"),
        });
        let request = Request::new("POST", "/hook/alarms").header("Content-Type", "text/plain");
        let answer = service.send(&request.body(message.to_string()));
        assert_eq!((answer.status, dns.asked()), (503, nth + 1), "{ip}: {answer:?}");
        let why = until(&format!("{ip}"), || {
            let listed = service.ops("/api/rejected?limit=1").text();
            listed.contains(&format!("/{nth}.pem")).then_some(listed)
        });
        assert!(why.contains(&format!("it is {ip}, ")), "{why}");
    }
    service.stop_sound();
}

#[test]
fn behind_a_proxy_a_name_is_refused_that_has_one_address_which_is_not_allowed() {
    let dns = Dns::start(&[&[ALLOWED], &[ALLOWED, PRIVATE], &[CLOUD]]);
    let (port, reached) = everywhere(0);
    let config = format!("outbound: {{allow: [127.0.0.2], proxy: 'http://127.0.0.1:{port}'}}");
    let (_folder, service) = start(&config, &dns, "");
    for expected in ["none", "refused", "refused"] {
        let answer = ask(&service, "calls", "http://rebound.test/");
        assert_eq!(kind(&answer), expected, "{answer}");
    }
    assert_eq!(*reached.lock().unwrap(), ["127.0.0.1"], "the proxy itself is not judged");
    service.stop_sound();
}
