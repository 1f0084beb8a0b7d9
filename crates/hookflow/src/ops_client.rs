//! Asks the ops listener of the running server, for commands that tell what only it knows.

use crate::sections::Ops;
use anyhow::{Context as _, bail, ensure};
use hookflow_text::Json;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long the server may take to answer; it is on this machine or near.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer.
const LARGEST: u64 = 16 << 20;

/// What the server answers at `path`, a JSON document.
pub(crate) fn get(ops: &Ops, path: &str) -> anyhow::Result<Json> {
    let address = reachable(ops.listen)?;
    let token = match &ops.token {
        Some(token) => {
            let token = std::str::from_utf8(token.expose()).context("the ops token is not text")?;
            ensure!(!token.contains(['\r', '\n']), "the ops token holds a line break");
            format!("Authorization: Bearer {token}\r\n")
        }
        None => String::new(),
    };
    let answer = ask(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{token}\r\n"));
    let answer = answer.with_context(|| format!("no server answers at {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the server's answer is no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        bail!("the server at {address} answers with status {status}");
    }
    serde_json::from_str(body).context("the server's answer is no JSON")
}

fn ask(address: SocketAddr, request: &str) -> std::io::Result<String> {
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
