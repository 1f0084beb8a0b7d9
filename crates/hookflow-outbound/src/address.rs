//! Which addresses may be called. What is judged is the address about to be connected to, never a name, so a name that
//! resolves differently the next time gains nothing.

use crate::Policy;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Ranges that are not public, and what they are. IANA's special-purpose registries, and one cloud's metadata address
/// that lies in public space.
const SPECIAL: [(IpNet, &str); 20] = [
    (v4(0, 0, 0, 0, 8), "an address of this network"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 0, 10), "a carrier's shared address"),
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(168, 63, 129, 16, 32), "a cloud's metadata address"),
    (v4(169, 254, 0, 0, 16), "a link-local address"),
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 0, 0, 0, 24), "a protocol's reserved address"),
    (v4(192, 0, 2, 0, 24), "an address for documentation"),
    (v4(192, 88, 99, 0, 24), "a relay's address"),
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(198, 18, 0, 0, 15), "an address for benchmarks"),
    (v4(198, 51, 100, 0, 24), "an address for documentation"),
    (v4(203, 0, 113, 0, 24), "an address for documentation"),
    (v4(240, 0, 0, 0, 4), "a reserved address"),
    (IpNet::V6(v6(1, 128)), "a loopback address"),
    (IpNet::V6(v6(0xfc00 << 112, 7)), "a private address"),
    (IpNet::V6(v6(0xfe80 << 112, 10)), "a link-local address"),
    (IpNet::V6(v6(0x2001_0db8 << 96, 32)), "an address for documentation"),
    (IpNet::V6(v6(0x3fff << 112, 20)), "an address for documentation"),
];

/// The only part of IPv6 that is handed out to the public …
const GLOBAL: Ipv6Net = v6(0x2000 << 112, 3);
/// … and the part of it that belongs to protocols, Teredo's tunnels among them.
const PROTOCOLS: Ipv6Net = v6(0x2001 << 112, 23);
/// NAT64: the last 32 bits are the IPv4 address that is reached.
const NAT64: Ipv6Net = v6(0x0064_ff9b << 96, 96);
/// 6to4: bits 16 to 48 are the IPv4 address that is reached.
const SIX_TO_FOUR: Ipv6Net = v6(0x2002 << 112, 16);

/// Why `address` must not be called, as the end of the sentence "the host is …"; `None` when it may be.
///
/// `public_path` says that the request is for a path that the product's public listener serves.
pub(crate) fn objection(policy: &Policy, address: SocketAddr, public_path: bool) -> Option<String> {
    let ip = reached(address.ip());
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    if ip.is_unspecified() || ip.is_multicast() || broadcast {
        return Some(format!("{ip}, which is no one's address"));
    }
    if is_among(&policy.ops_listeners, address)
        || (!public_path && is_among(&policy.public_listeners, address))
    {
        return Some("this service itself".into());
    }
    let special = special(ip)?;
    if policy.allow.iter().any(|net| net.contains(&ip)) {
        return None;
    }
    Some(format!("{ip}, {special}, and no `allow` names its range"))
}

/// Whether a connection to `address` arrives at a listener of the product's own.
pub(crate) fn is_own(policy: &Policy, address: SocketAddr) -> bool {
    is_among(&policy.ops_listeners, address) || is_among(&policy.public_listeners, address)
}

fn is_among(listeners: &[SocketAddr], address: SocketAddr) -> bool {
    listeners.iter().any(|listener| meets(*listener, address, reached(address.ip())))
}

/// The address that is reached in the end, where one address carries another.
fn reached(ip: IpAddr) -> IpAddr {
    let v6 = match ip.to_canonical() {
        IpAddr::V4(v4) => return IpAddr::V4(v4),
        IpAddr::V6(v6) => v6,
    };
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [.., high, low] if NAT64.contains(&v6) => from(high, low),
        [_, high, low, ..] if SIX_TO_FOUR.contains(&v6) => from(high, low),
        // ISATAP, in whichever network: the last 32 bits are the IPv4 address that is tunnelled to.
        [.., 0 | 0x0200, 0x5efe, high, low] => from(high, low),
        _ => IpAddr::V6(v6),
    }
}

/// What an address is that is not public.
fn special(ip: IpAddr) -> Option<&'static str> {
    if let Some((_, what)) = SPECIAL.iter().find(|(net, _)| net.contains(&ip)) {
        return Some(what);
    }
    match ip {
        IpAddr::V6(ip) if !GLOBAL.contains(&ip) || PROTOCOLS.contains(&ip) => Some("a reserved address"),
        _ => None,
    }
}

/// Whether a connection to `address`, which reaches `ip`, arrives at `listener`.
fn meets(listener: SocketAddr, address: SocketAddr, ip: IpAddr) -> bool {
    if listener.port() != address.port() {
        return false;
    }
    let bound = listener.ip().to_canonical();
    if !bound.is_unspecified() {
        return bound == ip;
    }
    // A wildcard listener answers on every address of this machine, and only the system knows which those are: it
    // lets nobody bind to another.
    let mut probe = address;
    probe.set_ip(ip);
    probe.set_port(0);
    ip.is_loopback() || UdpSocket::bind(probe).is_ok()
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn v6(bits: u128, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), prefix)
}

#[cfg(test)]
mod tests;
