//! What the flows call: a server that keeps what it heard and answers as the test says, or not until the test says so.

use super::service::{SOON, beside};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A request that it heard.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Heard {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What it does with a request.
pub(super) enum Play {
    /// Answers at once with this status and this JSON.
    Answer(u16, &'static str),
    /// Answers at once with this status and this `Retry-After`.
    Later(u16, &'static str),
    /// Answers at once with this status and this `Location`.
    Redirect(u16, String),
    /// Answers 200 once it is released.
    Hang,
    /// Answers that there is a tunnel, and is one to this address.
    Tunnel(SocketAddr),
}

type Script = dyn Fn(&Heard) -> Play + Send + Sync;

/// The server. Dropping it ends it.
pub(super) struct Target {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Box<Script>,
    told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Default)]
struct Told {
    connections: usize,
    heard: Vec<Heard>,
    released: bool,
    ended: bool,
}

impl Target {
    pub(super) fn start(script: impl Fn(&Heard) -> Play + Send + Sync + 'static) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, script)
    }

    /// At this address.
    pub(super) fn start_at(ip: Ipv4Addr, script: impl Fn(&Heard) -> Play + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            Arc::new(State { script: Box::new(script), told: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&state);
        beside(move || {
            for stream in listener.incoming() {
                if accepting.told().ended {
                    return;
                }
                let state = Arc::clone(&accepting);
                state.told().connections += 1;
                // A caller that goes away half way is its own affair.
                beside(move || stream.is_ok_and(|stream| state.converse(&stream).is_some()));
            }
        });
        Self { address, state }
    }

    /// One that answers nobody before it is released.
    pub(super) fn hanging() -> Self {
        Self::start(|_| Play::Hang)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until it has heard so many requests.
    pub(super) fn heard(&self, count: usize) -> Vec<Heard> {
        let waiting = |told: &mut Told| told.heard.len() < count;
        let (told, late) = self.state.changed.wait_timeout_while(self.state.told(), SOON, waiting).unwrap();
        assert!(!late.timed_out(), "it heard {} of {count}", told.heard.len());
        told.heard.clone()
    }

    /// How many it has heard by now.
    pub(super) fn count(&self) -> usize {
        self.state.told().heard.len()
    }

    /// How many connections were made to it.
    pub(super) fn connections(&self) -> usize {
        self.state.told().connections
    }

    /// Lets everything go that hangs, now and later.
    pub(super) fn release(&self) {
        self.state.told().released = true;
        self.state.changed.notify_all();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.state.told().ended = true;
        self.release();
        // Wakes who accepts, unless it is gone already.
        drop(TcpStream::connect(self.address));
    }
}

impl State {
    fn told(&self) -> MutexGuard<'_, Told> {
        // A test that has failed under the lock still ends what it began.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers until the other side closes.
    fn converse(&self, mut stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let heard = read(&mut reader)?;
            let play = (self.script)(&heard);
            self.told().heard.push(heard);
            self.changed.notify_all();
            let (status, more, body) = match play {
                Play::Answer(status, body) => (status, String::new(), body),
                Play::Later(status, when) => (status, format!("Retry-After: {when}\r\n"), "{}"),
                Play::Redirect(status, to) => (status, format!("Location: {to}\r\n"), "{}"),
                Play::Hang => {
                    drop(self.changed.wait_while(self.told(), |told| !told.released).unwrap());
                    (200, String::new(), r#"{"late":true}"#)
                }
                Play::Tunnel(end) => {
                    stream.write_all(b"HTTP/1.1 200 x\r\n\r\n").ok()?;
                    return tunnel(stream, end);
                }
            };
            let length = body.len();
            // In one piece: what is written bit by bit waits for the other side's acknowledgements.
            let answer = format!(
                "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).ok()?;
        }
    }
}

/// What comes from either side goes to the other, until one of them closes.
fn tunnel(stream: &TcpStream, end: SocketAddr) -> Option<()> {
    let further = TcpStream::connect(end).ok()?;
    let (mut from, mut to) = (stream.try_clone().ok()?, further.try_clone().ok()?);
    let there = beside(move || {
        drop(std::io::copy(&mut from, &mut to));
        to.shutdown(Shutdown::Write)
    });
    drop(std::io::copy(&mut &further, &mut &*stream));
    drop(stream.shutdown(Shutdown::Both));
    there.join().ok()?.ok()
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Heard> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut heard = Heard { method, target, headers, body: Vec::new() };
    let length = heard.header("content-length").map_or(0, |length| length.parse().unwrap());
    heard.body = vec![0; length];
    reader.read_exact(&mut heard.body).ok()?;
    Some(heard)
}
