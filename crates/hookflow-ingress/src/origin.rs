//! Where a request comes from, seen through the proxies that the operator trusts.
//!
//! Each proxy adds the address that it was called from at the right end of `X-Forwarded-For` (or `Forwarded`, RFC 7239).
//! So the list is read from the right, for as long as who added an entry is trusted: what stands further left was
//! written by a stranger and decides nothing.

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word about a caller's address is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// The two headers name different callers. A proxy sets one of them and passes the other on as it came, and nobody
/// here knows which: either may be a stranger's invention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contradiction;

impl TrustedProxies {
    /// The proxies in these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether a connection from `ip` is a proxy's.
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Where a request that came from `peer` comes from.
    pub(crate) fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, Contradiction> {
        if !self.trusts(peer) {
            return Ok(peer);
        }
        let plain = headers.get_all(X_FORWARDED_FOR);
        let plain = self.follow(peer, plain.iter().map(|value| (value, address as fn(&str) -> _)));
        let standard = headers.get_all(FORWARDED);
        let standard =
            self.follow(peer, standard.iter().map(|value| (value, forwarded_for as fn(&str) -> _)));
        match (plain, standard) {
            (Some(one), Some(other)) if one != other => Err(Contradiction),
            (found, other) => Ok(found.or(other).unwrap_or(peer)),
        }
    }

    /// Goes from `peer` from hop to hop; `None` without the header. It ends at the first hop that is not a trusted
    /// proxy, at the beginning of the list, and at an entry that names no address.
    fn follow<'h, I>(&self, peer: IpAddr, values: I) -> Option<IpAddr>
    where
        I: DoubleEndedIterator<Item = (&'h HeaderValue, fn(&str) -> Option<IpAddr>)>,
    {
        let mut values = values.rev().peekable();
        values.peek()?;
        let mut here = peer;
        for (value, read) in values {
            // Byte by byte: what a stranger wrote on the left must not make the right unreadable.
            for entry in value.as_bytes().rsplit(|byte| *byte == b',') {
                let entry = std::str::from_utf8(entry.trim_ascii()).ok();
                let Some(next) = entry.and_then(read) else { return Some(here) };
                here = next;
                if !self.trusts(here) {
                    return Some(here);
                }
            }
        }
        Some(here)
    }
}

/// Who counts as one caller: an IPv6 subscriber has a whole /64, so its addresses count as one.
pub(crate) fn subscriber(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// An entry of `X-Forwarded-For`: an address, or an address and a port.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    let ip = bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(ip.to_canonical())
}

/// An entry of `Forwarded`, such as `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(entry: &str) -> Option<IpAddr> {
    let mut pairs = entry.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(node.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()])
    }

    fn origin(peer: &str, headers: &[(&'static str, &str)]) -> Result<String, Contradiction> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        proxies().origin(peer.parse().unwrap(), &map).map(|ip| ip.to_string())
    }

    #[test]
    fn only_trusted_hops_are_followed() {
        type Headers = &'static [(&'static str, &'static str)];
        const XFF: &str = "x-forwarded-for";
        let cases: &[(&str, Headers, &str)] = &[
            ("203.0.113.9", &[(XFF, "198.51.100.1")], "203.0.113.9"),
            ("203.0.113.9", &[("forwarded", "for=198.51.100.1")], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "198.51.100.1, 203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "198.51.100.1, 10.9.9.9, 203.0.113.9, 10.0.0.2")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "198.51.100.1"), (XFF, "203.0.113.9"), (XFF, "10.0.0.2")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", &[(XFF, "203.0.113.9:4711")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "[2001:db8::7]:4711")], "2001:db8::7"),
            ("10.0.0.1", &[(XFF, "2001:db8::7, 2001:db8:1::1")], "2001:db8::7"),
            ("10.0.0.1", &[(XFF, "::ffff:203.0.113.9")], "203.0.113.9"),
            // An entry without an address: the last one that is known.
            ("10.0.0.1", &[(XFF, "203.0.113.9, unknown, 10.0.0.2")], "10.0.0.2"),
            ("10.0.0.1", &[(XFF, "")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "\u{e9}\t, 203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[("forwarded", "for=\"\u{e9}, for=203.0.113.9")], "203.0.113.9"),
            ("10.0.0.1", &[(XFF, "203.0.113.9,")], "10.0.0.1"),
            ("10.0.0.1", &[("forwarded", "for=198.51.100.1, for=203.0.113.9;proto=https")], "203.0.113.9"),
            ("10.0.0.1", &[("forwarded", "proto=https; For=\"[2001:db8::7]:80\"")], "2001:db8::7"),
            ("10.0.0.1", &[("forwarded", "for=_hidden")], "10.0.0.1"),
            ("10.0.0.1", &[(XFF, "203.0.113.9"), ("forwarded", "for=203.0.113.9")], "203.0.113.9"),
        ];
        for (peer, headers, expected) in cases {
            assert_eq!(origin(peer, headers).as_deref(), Ok(*expected), "{peer} {headers:?}");
        }
    }

    #[test]
    fn two_headers_that_disagree_are_believed_neither() {
        let headers = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=10.0.0.7")];
        assert_eq!(origin("10.0.0.1", &headers), Err(Contradiction));
        assert_eq!(origin("203.0.113.1", &headers).as_deref(), Ok("203.0.113.1"), "nobody asks a stranger");
    }

    #[test]
    fn an_ipv6_subscriber_is_one_caller() {
        let of = |ip: &str| subscriber(ip.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("203.0.113.9"), "203.0.113.9");
    }
}
