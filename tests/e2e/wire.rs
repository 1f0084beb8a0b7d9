//! A plain HTTP/1.1 client over a socket: what it sends is exactly what it is told.

use super::service::SOON;
use serde_json::Value;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// A request, as it is to stand on the wire.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST of JSON.
    pub(super) fn json(target: &str, body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", target).header("Content-Type", "application/json").body(body)
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this header instead of those of the same name.
    pub(super) fn set(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    pub(super) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// The head alone: `Host` and the body's length are added unless they are written.
    pub(super) fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.has("host") {
            head.push_str("Host: localhost\r\n");
        }
        let says_length = self.has("content-length") || self.has("transfer-encoding");
        if !says_length && (!self.body.is_empty() || self.method == "POST") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "\r\n"
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        [self.head().as_bytes(), &self.body].concat()
    }
}

/// An answer, read to its end.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a no, after a look at its form.
    pub(super) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let value = self.value();
        assert_eq!(value["status"], self.status, "{self:?}");
        assert_eq!(value["request_id"].as_str(), self.header("x-request-id"), "{self:?}");
        assert!(value["title"].as_str().is_some_and(|title| !title.is_empty()), "{self:?}");
        let code = value["code"].as_str().unwrap().to_owned();
        assert!(value["type"].as_str().is_some_and(|page| page.ends_with(&code)), "{self:?}");
        code
    }

    /// The whole seconds of `Retry-After`.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").map(|seconds| seconds.parse().unwrap())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes()))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

/// A connection.
pub(super) struct Wire(BufReader<TcpStream>);

impl Wire {
    pub(super) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// From an address of its own on the loopback network.
    pub(super) fn connect_from(source: [u8; 4], address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((source, 0).into()).unwrap();
            socket.connect(address).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        Self::over(stream)
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as much as the other side still takes.
    pub(super) fn send_if_open(&mut self, bytes: &[u8]) {
        drop(self.0.get_mut().write_all(bytes));
    }

    /// Sends as much as the other side still takes, and says whether it has not closed.
    pub(super) fn is_open_for(&mut self, bytes: &[u8]) -> bool {
        self.0.get_ref().set_nonblocking(true).unwrap();
        let read = self.0.fill_buf().map(<[u8]>::len);
        self.0.get_ref().set_nonblocking(false).unwrap();
        let silent = read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        silent && self.0.get_mut().write_all(bytes).is_ok()
    }

    /// Says that nothing more is to come.
    pub(super) fn end_sending(&self) {
        self.0.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Sends a request and reads its answer.
    pub(super) fn ask(&mut self, request: &Request) -> Answer {
        self.send(request.bytes());
        if request.method == "HEAD" { self.head().unwrap() } else { self.answer() }
    }

    /// The status of the answer, if the other side listens at all.
    pub(super) fn ask_if_open(&mut self, request: &Request) -> Option<u16> {
        self.0.get_mut().write_all(&request.bytes()).ok()?;
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        line.split(' ').nth(1)?.parse().ok()
    }

    /// The next answer that is not preliminary.
    pub(super) fn answer(&mut self) -> Answer {
        loop {
            let Some(mut answer) = self.head() else { panic!("the connection ended without an answer") };
            if answer.status >= 200 {
                answer.body = self.body(&answer);
                return answer;
            }
        }
    }

    /// The next head; `None` when the connection has ended.
    pub(super) fn head(&mut self) -> Option<Answer> {
        let mut line = String::new();
        if self.0.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let mut answer = Answer { status: status.expect(&line), headers: Vec::new(), body: Vec::new() };
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "it ended within a head");
            let Some((name, value)) = line.trim_end().split_once(':') else { return Some(answer) };
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn body(&mut self, answer: &Answer) -> Vec<u8> {
        assert_eq!(answer.header("transfer-encoding"), None, "every answer is whole when it leaves");
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        body
    }

    /// Whatever else comes until the other side closes.
    pub(super) fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // One that is cut off has ended too.
        drop(self.0.read_to_end(&mut rest));
        rest
    }

    /// Asserts that the other side has closed, or does so now.
    pub(super) fn assert_closed(self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}
