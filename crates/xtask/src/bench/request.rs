//! The one request of the bench: a signed order of 1 KiB.

use super::scenes::Answer;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(super) const SECRET: &str = "only-for-the-bench-0123456789abcdef";

const SIZE: usize = 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// A JSON object of exactly 1 KiB.
pub(super) fn body() -> String {
    let start = r#"{"id":"A-1","amount":1250,"customer":{"name":"Ada Lovelace"},"items":[{"sku":"X","qty":2}],"note":""#;
    let end = "\"}";
    format!("{start}{}{end}", "n".repeat(SIZE.saturating_sub(start.len() + end.len())))
}

/// The signature over the body, in hex.
pub(super) fn signature(body: &str) -> String {
    // Any length of key is right for HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()) else {
        return String::new();
    };
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Sends it once; whether the answer is right.
pub(super) fn probe(address: SocketAddr, path: &str, right: Answer) -> io::Result<bool> {
    let body = body();
    let answer = exchange(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             X-Signature: {}\r\nContent-Length: {}\r\n\r\n{body}",
            signature(&body),
            body.len()
        ),
    )?;
    Ok(answer.starts_with(&format!("HTTP/1.1 {} ", right.status)) && answer.contains(right.text))
}

/// What stands at a path: head and body.
pub(super) fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

fn exchange(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The request as a script for wrk. With `strict` every answer is looked at, which costs the load generator so much
/// that it is done in a round of its own.
pub(super) fn script(strict: Option<Answer>) -> String {
    let body = body();
    let check = strict.map_or_else(String::new, |Answer { status, text }| {
        format!(
            "wrong = 0\n\
             response = function(status, headers, body)\n\
             \x20 if status ~= {status} or not string.find(body, '{text}', 1, true) then wrong = wrong + 1 end\n\
             end\n"
        )
    });
    format!(
        "wrk.method = 'POST'\n\
         wrk.body = [==[{body}]==]\n\
         wrk.headers['Content-Type'] = 'application/json'\n\
         wrk.headers['X-Signature'] = '{}'\n\
         local threads = {{}}\n\
         setup = function(thread) table.insert(threads, thread) end\n\
         {check}\
         done = function(summary, latency)\n\
         \x20 local e = summary.errors\n\
         \x20 local wrong = e.connect + e.read + e.write + e.timeout + e.status\n\
         \x20 for _, thread in ipairs(threads) do wrong = wrong + (thread:get('wrong') or 0) end\n\
         \x20 io.write(string.format('RESULT %d %d %d %d %d\\n', summary.requests, summary.duration, wrong,\n\
         \x20   latency:percentile(50), latency:percentile(99)))\n\
         end\n",
        signature(&body)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_a_kibibyte_of_json_and_signed() {
        let body = body();
        assert_eq!(body.len(), SIZE);
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["customer"]["name"], "Ada Lovelace");
        assert_eq!(signature(&body).len(), 64);
        assert_ne!(signature(&body), signature("{}"));
        let strict = script(Some(Answer { status: 202, text: "\"queued\"" }));
        assert!(
            strict.contains("if status ~= 202 or not string.find(body, '\"queued\"', 1, true)"),
            "{strict}"
        );
        assert!(!script(None).contains("response = "));
    }
}
