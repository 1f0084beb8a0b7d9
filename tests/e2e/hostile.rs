//! Requests that nobody would write: hundreds of them, spoilt at random from a seed, so that one that does harm is met
//! again. None of them brings the service down, and none gets in without a credential.

use super::answers::{CREDENTIALS, KEY, call, folder};
use super::service::{Folder, Service};
use super::wire::{Request, Wire};

/// Xorshift: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }
}

/// Bytes with which readers of HTTP and JSON have had their troubles.
const SPICE: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"%00",
    b"%2e%2e%2f",
    b"%",
    b"../",
    b"//",
    b"?",
    b"#",
    b"{",
    b"[[[[[[[[",
    b"\"",
    b"\\u0000",
    b"1e999999999",
    b"-",
    b"99999999999999999999999999",
    b"${ webhook }",
    b"@{for a in b}",
    b"Content-Length: 0\r\n",
    b"Content-Length: 18446744073709551615\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"HTTP/1.0\r\n",
    b"HTTP/9.9\r\n",
    b"Host: a\r\nHost: b\r\n",
    b"Authorization: Basic\r\n",
    b"X-Signature: \r\n",
    b"GET http://169.254.169.254/ HTTP/1.1\r\n\r\n",
];

fn spoil(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len() + 1);
        match dice.roll(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, dice.pick(SPICE).iter().copied())),
            2 => {
                let end = (at + dice.roll(16)).min(bytes.len());
                bytes.splice(at..end, dice.pick(SPICE).iter().copied());
            }
            3 => {
                let end = (at + dice.roll(40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let times = 1 + dice.roll(200);
                bytes.splice(at..at, part.repeat(times));
            }
            4 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            _ if at < bytes.len() => bytes[at] = u8::try_from(dice.roll(256)).unwrap(),
            _ => {}
        }
    }
    bytes
}

/// Sends each on a connection of its own, several at a time, and returns all that came back.
fn storm(service: &Service, requests: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    for some in requests.chunks(60) {
        let mut wires: Vec<_> = some.iter().map(|_| Wire::connect(service.public)).collect();
        for (wire, bytes) in wires.iter_mut().zip(some) {
            wire.send_if_open(bytes);
        }
        heard.extend(wires.into_iter().map(Wire::rest));
    }
    heard
}

/// The statuses of all answers on one connection.
fn statuses(heard: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(heard);
    let starts = text.match_indices("HTTP/1.1 ");
    starts.filter_map(|(at, word)| text.get(at + word.len()..)?.get(..3)?.parse().ok()).collect()
}

const HASTY: &str = "public: {limits: {header_timeout: 400ms, body_timeout: 400ms}}";

#[test]
fn nothing_gets_in_without_a_credential() {
    let closed = |flow: &str| Request::json(&format!("/hook/{flow}"), r#"{"a": [1, {"b": null}]}"#);
    let bases = [
        closed("created"),
        closed("queued").header("X-Api-Key", KEY.strip_prefix('t').unwrap()),
        closed("partner").header("Authorization", "Basic cGFydG5lcjp0aGUta2V5"),
        closed("signed").header("X-Signature", &"0".repeat(64)),
        closed("item/of/x?a=b"),
        Request { body: b"3\r\n{}\n\r\n0\r\n\r\n".to_vec(), ..closed("thanks") }
            .header("Transfer-Encoding", "chunked"),
    ];
    let folder = folder().config(HASTY);
    let service = Service::start(&folder);
    let requests: Vec<_> =
        (0..360).map(|seed| spoil(bases[seed % bases.len()].bytes(), &mut Dice::new(seed as u64))).collect();
    let mut spoken = 0;
    for (seed, heard) in storm(&service, &requests).iter().enumerate() {
        let statuses = statuses(heard);
        spoken += usize::from(!statuses.is_empty());
        // A spoilt method may have become HEAD, which tells that a flow is there and nothing else.
        let fine = statuses.iter().all(|status| (400..500).contains(status) || *status == 100);
        assert!(fine, "seed {seed}: {statuses:?} to {}", String::from_utf8_lossy(&requests[seed]));
    }
    assert!(spoken > 200, "most are answered: {spoken}");
    for flow in ["created", "queued", "partner", "signed", "item", "thanks"] {
        assert_eq!(
            service.metric(&format!("hookflow_events_accepted_total{{flow=\"{flow}\"}}")),
            Some(0),
            "{flow}"
        );
    }
    assert_eq!(service.send(&call("created", "{}")).status, 201);
    service.stop_sound();
}

#[test]
fn nothing_that_gets_in_does_harm() {
    let touching = "
webhook: {auth: key, methods: [POST, GET, PUT, PATCH, DELETE]}
steps:
  - id: all
    set:
      text: ${ webhook.body | json }
      raw: ${ webhook.raw | length }
      of: ${ webhook.path ~ webhook.suffix ~ webhook.url }
      query: ${ webhook.query | json }
  - respond: {json: '${ steps.all }'}
";
    let folder = Folder::new().with("key", KEY).credentials(CREDENTIALS).config(HASTY).flow("all", touching);
    let service = Service::start(&folder);
    let bases = [
        call("all/some/path?a[b][]=c&d=%41", r#"{"deep": [[[{"a": "\u00e9\ud83d\ude00"}]]], "n": -1.5e10}"#),
        call("all", "a[b][c][]=1&a[b][c][]=2&x=%C3%A9+y")
            .set("Content-Type", "application/x-www-form-urlencoded"),
        call("all", "plain text \u{e9}").set("Content-Type", "text/plain; charset=latin1"),
        call("all", "\0\x01\x02").set("Content-Type", "application/octet-stream"),
        Request::get("/hook/all?a=1&a=2&b[]=3&c").header("X-Api-Key", KEY),
    ];
    let requests: Vec<_> = (0..300)
        .map(|seed| spoil(bases[seed % bases.len()].bytes(), &mut Dice::new(1_000 + seed as u64)))
        .collect();
    let mut accepted = 0;
    for (seed, heard) in storm(&service, &requests).iter().enumerate() {
        let statuses = statuses(heard);
        accepted += usize::from(statuses.contains(&200));
        let fine = statuses.iter().all(|status| *status < 500);
        assert!(fine, "seed {seed}: {statuses:?} to {}", String::from_utf8_lossy(&requests[seed]));
    }
    assert!(accepted > 20, "some get in: {accepted}");
    assert_eq!(service.send(&call("all", "{}")).status, 200);
    service.stop_sound();
}
