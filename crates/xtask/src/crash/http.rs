//! Just enough HTTP to be a caller, an operator and a target.

use std::io::{self, BufRead, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(1);
/// How long an answer may take: longer than any flow of the proof.
const ANSWER: Duration = Duration::from_secs(30);
/// No line of a head, and no body, is longer.
const LONGEST: u64 = 16 << 20;

pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// A request that a target has received.
pub(super) struct Received {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// A POST as it stands on the wire.
pub(super) fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Sends it on a connection of its own. An error means that nobody knows what became of it.
pub(super) fn ask(address: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    let mut stream = send(address, request)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let mut reader = bytes.as_slice();
    let line = line(&mut reader)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    let headers = headers(&mut reader)?;
    let answer = Answer { status, headers, body: reader.to_vec() };
    let length = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
    if length != Some(answer.body.len()) {
        return Err(broken());
    }
    Ok(answer)
}

/// Sends it and leaves the answer to whoever keeps the connection.
pub(super) fn send(address: SocketAddr, request: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.write_all(request)?;
    Ok(stream)
}

/// The next request of a connection.
pub(super) fn receive(reader: &mut impl BufRead) -> io::Result<Received> {
    let line = line(reader)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(broken()) };
    let mut received = Received { method, target, headers: headers(reader)?, body: Vec::new() };
    let length = received.header("content-length").map_or(Some(0), |length| length.parse().ok());
    let length = length.filter(|length| *length <= LONGEST).ok_or_else(broken)?;
    let mut body = Vec::new();
    if reader.take(length).read_to_end(&mut body)? as u64 != length {
        return Err(broken());
    }
    received.body = body;
    Ok(received)
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(LONGEST).read_line(&mut line)?;
    if !line.ends_with('\n') {
        return Err(broken());
    }
    Ok(line.trim_end().to_owned())
}

fn headers(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or_else(broken)?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn broken() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// The fields of a query, decoded.
pub(super) fn query(target: &str) -> Vec<(String, String)> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let fields = query.split('&').filter_map(|field| field.split_once('='));
    fields.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let hex: Vec<u8> = bytes.by_ref().take(2).collect();
                let hex = std::str::from_utf8(&hex).ok();
                out.extend(hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_half_of_one_is_none() {
        let whole = post("/call?event=e%2D1&why=a+b", "X-Id: 7\r\n", b"body");
        let received = receive(&mut whole.as_slice()).unwrap();
        assert_eq!((received.header("x-id"), received.body.as_slice()), (Some("7"), &b"body"[..]));
        assert_eq!(query(&received.target), [("event".into(), "e-1".into()), ("why".into(), "a b".into())]);
        for cut in [0, 10, whole.len() - 1] {
            assert!(receive(&mut &whole[..cut]).is_err(), "{cut}");
        }
    }
}
