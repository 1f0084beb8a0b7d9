//! Asks the ops listener of the running server, for commands that tell what only it knows or change what it does.

use crate::sections::Ops;
use anyhow::{Context as _, bail, ensure};
use hookflow_text::Json;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;
use url::form_urlencoded::byte_serialize;

/// How long the server may take to answer; it is on this machine or near.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer.
const LARGEST: u64 = 64 << 20;

/// What the server answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// A JSON document.
    pub(crate) body: Json,
}

impl Answer {
    /// What a good answer says, or why it is none, in one line.
    pub(crate) fn judge(self) -> Result<Json, String> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let word = |key: &str| self.body.get(key).and_then(Json::as_str).unwrap_or("-");
        Err(format!("{} ({}, status {})", word("title"), word("code"), self.status))
    }
}

/// What the server answers at `path`, a JSON document.
pub(crate) fn get(ops: &Ops, path: &str) -> anyhow::Result<Json> {
    match send(ops, "GET", path, None)?.judge() {
        Ok(body) => Ok(body),
        Err(why) => bail!("the server answers: {why}"),
    }
}

/// Asks the server at `path`, whatever it answers.
pub(crate) fn ask(ops: &Ops, path: &str) -> anyhow::Result<Answer> {
    send(ops, "GET", path, None)
}

/// The path of a run.
pub(crate) fn run_path(run: &str, rest: &str) -> String {
    path("runs", run, rest)
}

/// The path of one of a list.
pub(crate) fn path(list: &str, one: &str, rest: &str) -> String {
    // A space in a path is not a plus.
    let one: String = byte_serialize(one.as_bytes()).collect();
    format!("/api/{list}/{}{rest}", one.replace('+', "%20"))
}

/// Has the server do something.
pub(crate) fn post(ops: &Ops, path: &str, body: &Json) -> anyhow::Result<Answer> {
    send(ops, "POST", path, Some(body))
}

fn send(ops: &Ops, method: &str, path: &str, body: Option<&Json>) -> anyhow::Result<Answer> {
    let address = reachable(ops.listen)?;
    let token = match &ops.token {
        Some(token) => {
            let token = std::str::from_utf8(token.expose()).context("the ops token is not text")?;
            ensure!(!token.contains(['\r', '\n']), "the ops token holds a line break");
            format!("Authorization: Bearer {token}\r\n")
        }
        None => String::new(),
    };
    let body = body.map(ToString::to_string).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{token}Content-Length: {length}\r\n\r\n{body}"
    );
    let answer = exchange(address, &request).with_context(|| format!("no server answers at {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the server's answer is no HTTP")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.context("the server's answer is no HTTP")?;
    let body = serde_json::from_str(body)
        .with_context(|| format!("the answer of the server at {address}, status {status}, is no JSON"))?;
    Ok(Answer { status, body })
}

fn exchange(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(LARGEST).read_to_string(&mut answer)?;
    Ok(answer)
}

/// A listener on every address is reached over loopback.
fn reachable(mut listen: SocketAddr) -> anyhow::Result<SocketAddr> {
    ensure!(listen.port() != 0, "`ops.listen` has port 0, so nobody knows where the server is");
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(listen)
}
