//! The request of the bench: a signed order.

use super::scenes::{Answer, Pace, Payload, Shape};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(super) const SECRET: &str = "only-for-the-bench-0123456789abcdef";

const KIB: usize = 1024;
/// Requests that wrk prepares for many flows, and sends in turn.
const PREPARED: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(5);

impl Payload {
    /// The order, of exactly the size asked for.
    pub(super) fn body(self) -> String {
        let (start, end, size) = match self {
            Self::Json(size) => (
                r#"{"id":"A-1","amount":1250,"customer":{"name":"Ada Lovelace"},"items":[{"sku":"X","qty":2}],"note":""#,
                "\"}",
                size,
            ),
            Self::Form => ("id=A-1&amount=1250&customer=Ada+Lovelace&sku=X&qty=2&note=", "", KIB),
            Self::Xml => (
                "<order><id>A-1</id><amount>1250</amount><customer>Ada Lovelace</customer>\
                 <items><item><sku>X</sku><qty>2</qty></item></items><note>",
                "</note></order>",
                KIB,
            ),
        };
        format!("{start}{}{end}", "n".repeat(size.saturating_sub(start.len() + end.len())))
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Xml => "application/xml",
        }
    }
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
pub(super) fn probe(address: SocketAddr, path: &str, payload: Payload, right: Answer) -> io::Result<bool> {
    let body = payload.body();
    let answer = post(address, path, payload, &signature(&body))?;
    Ok(answer.starts_with(&format!("HTTP/1.1 {} ", right.status)) && answer.contains(right.text))
}

/// Sends it with the signature of another body.
pub(super) fn is_forgery_refused(address: SocketAddr, path: &str, payload: Payload) -> io::Result<bool> {
    Ok(post(address, path, payload, &signature("{}"))?.starts_with("HTTP/1.1 401 "))
}

fn post(address: SocketAddr, path: &str, payload: Payload, signature: &str) -> io::Result<String> {
    let body = payload.body();
    exchange(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: {}\r\n\
             X-Signature: {signature}\r\nContent-Length: {}\r\n\r\n{body}",
            payload.content_type(),
            body.len()
        ),
    )
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
pub(super) fn script(shape: Shape, connections: usize, strict: Option<Answer>) -> String {
    let body = shape.payload.body();
    let pace = pace(shape.pace, connections);
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
         wrk.headers['Content-Type'] = '{}'\n\
         wrk.headers['X-Signature'] = '{}'\n\
         local threads = {{}}\n\
         setup = function(thread) table.insert(threads, thread); thread:set('number', #threads) end\n\
         {pace}{check}\
         done = function(summary, latency)\n\
         \x20 local e = summary.errors\n\
         \x20 local wrong = e.connect + e.read + e.write + e.timeout + e.status\n\
         \x20 for _, thread in ipairs(threads) do wrong = wrong + (thread:get('wrong') or 0) end\n\
         \x20 io.write(string.format('RESULT %d %d %d %d %d %d\\n', summary.requests, summary.duration, wrong,\n\
         \x20   latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))\n\
         end\n",
        shape.payload.content_type(),
        signature(&body)
    )
}

/// When wrk sends, and where to.
fn pace(pace: Pace, connections: usize) -> String {
    match pace {
        Pace::Closed => String::new(),
        // Half a millisecond is what wrk cuts off on average.
        Pace::Open(rate) => format!(
            "init = function(args) math.randomseed(number) end\n\
             delay = function() return 0.5 - math.log(1 - math.random()) * {connections} * 1000 / {rate} end\n"
        ),
        Pace::Zipf => format!(
            "local requests, at = {{}}, 0\n\
             init = function(args)\n\
             \x20 math.randomseed(number)\n\
             \x20 local sums, total = {{}}, 0\n\
             \x20 for n = 1, tonumber(args[1]) do total = total + 1 / n; sums[n] = total end\n\
             \x20 for i = 1, {PREPARED} do\n\
             \x20   local x, n = math.random() * total, 1\n\
             \x20   while sums[n] < x do n = n + 1 end\n\
             \x20   requests[i] = wrk.format(nil, n == 1 and wrk.path or '/hook/other-' .. n - 1)\n\
             \x20 end\n\
             end\n\
             request = function() at = at % {PREPARED} + 1; return requests[at] end\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenes::PLAIN;
    use super::*;

    #[test]
    fn the_request_is_a_kibibyte_of_json_and_signed() {
        for payload in [Payload::Json(KIB), Payload::Form, Payload::Xml] {
            assert_eq!(payload.body().len(), KIB, "{payload:?}");
        }
        let body = Payload::Json(KIB).body();
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["customer"]["name"], "Ada Lovelace");
        assert_eq!(signature(&body).len(), 64);
        assert_ne!(signature(&body), signature("{}"));
        let strict = script(PLAIN, 64, Some(Answer { status: 202, text: "\"queued\"" }));
        assert!(
            strict.contains("if status ~= 202 or not string.find(body, '\"queued\"', 1, true)"),
            "{strict}"
        );
        let plain = script(PLAIN, 64, None);
        assert!(!plain.contains("response = ") && !plain.contains("init = "), "{plain}");
        let open = script(Shape { pace: Pace::Open(2000), ..PLAIN }, 64, None);
        assert!(open.contains("* 64 * 1000 / 2000"), "{open}");
        assert!(script(Shape { pace: Pace::Zipf, ..PLAIN }, 64, None).contains("/hook/other-"));
    }
}
