use super::*;

fn with(allow: &[&str]) -> Policy {
    Policy { allow: allow.iter().map(|net| net.parse().unwrap()).collect(), ..Policy::default() }
}

fn refused(policy: &Policy, ip: &str) -> bool {
    objection(policy, SocketAddr::new(ip.parse().unwrap(), 443), false).is_some()
}

/// Each with a range that would let it through, if any does.
const CORPUS: [(&str, Option<&str>); 62] = [
    ("0.0.0.0", None),
    ("0.1.2.3", Some("0.0.0.0/8")),
    ("10.0.0.0", Some("10.0.0.0/8")),
    ("10.255.255.255", Some("10.255.255.255/32")),
    ("100.64.0.1", Some("100.64.0.0/10")),
    ("100.100.100.200", Some("100.100.100.200/32")),
    ("100.127.255.255", Some("100.64.0.0/10")),
    ("127.0.0.1", Some("127.0.0.0/8")),
    ("127.1.2.3", Some("127.0.0.0/8")),
    ("127.255.255.255", Some("127.0.0.0/8")),
    ("168.63.129.16", Some("168.63.129.16/32")),
    ("169.254.0.0", Some("169.254.0.0/16")),
    ("169.254.169.254", Some("169.254.169.254/32")),
    ("169.254.170.2", Some("169.254.0.0/16")),
    ("172.16.0.1", Some("172.16.0.0/12")),
    ("172.31.255.255", Some("172.16.0.0/12")),
    ("192.0.0.1", Some("192.0.0.0/24")),
    ("192.0.0.192", Some("192.0.0.0/24")),
    ("192.0.2.1", Some("192.0.2.0/24")),
    ("192.88.99.1", Some("192.88.99.0/24")),
    ("192.168.0.1", Some("192.168.0.0/16")),
    ("192.168.255.255", Some("192.168.0.0/16")),
    ("198.18.0.1", Some("198.18.0.0/15")),
    ("198.19.255.255", Some("198.18.0.0/15")),
    ("198.51.100.7", Some("198.51.100.0/24")),
    ("203.0.113.7", Some("203.0.113.0/24")),
    ("224.0.0.1", None),
    ("239.255.255.250", None),
    ("240.0.0.1", Some("240.0.0.0/4")),
    ("255.255.255.254", Some("240.0.0.0/4")),
    ("255.255.255.255", None),
    ("::", None),
    ("::1", Some("::1/128")),
    ("::2", Some("::/96")),
    ("::127.0.0.1", Some("::/96")),
    ("::10.0.0.1", Some("::/96")),
    ("::8.8.8.8", Some("::/96")),
    ("::ffff:0.0.0.0", None),
    ("::ffff:10.0.0.1", Some("10.0.0.0/8")),
    ("::ffff:127.0.0.1", Some("127.0.0.0/8")),
    ("::ffff:169.254.169.254", Some("169.254.0.0/16")),
    ("::ffff:0:127.0.0.1", Some("::ffff:0:0:0/96")),
    ("64:ff9b::0.0.0.0", None),
    ("64:ff9b::127.0.0.1", Some("127.0.0.0/8")),
    ("64:ff9b::10.0.0.1", Some("10.0.0.0/8")),
    ("64:ff9b::169.254.169.254", Some("169.254.0.0/16")),
    ("64:ff9b:1::10.0.0.1", Some("64:ff9b:1::/48")),
    ("100::1", Some("100::/64")),
    ("2001::1", Some("2001::/32")),
    ("2001:0:4136:e378:8000:63bf:f5ff:fffe", Some("2001::/32")),
    ("2001:10::1", Some("2001:10::/28")),
    ("2001:db8::1", Some("2001:db8::/32")),
    ("2002:7f00:1::", Some("127.0.0.0/8")),
    ("2002:a00:1::1", Some("10.0.0.0/8")),
    ("3fff::1", Some("3fff::/20")),
    ("4000::1", Some("4000::/16")),
    ("5f00::1", Some("5f00::/16")),
    ("fc00::1", Some("fc00::/7")),
    ("fd00:ec2::254", Some("fd00:ec2::/32")),
    ("fe80::1", Some("fe80::/10")),
    ("fec0::1", Some("fec0::/10")),
    ("ff02::1", None),
];

#[test]
fn what_is_not_public_is_refused_unless_its_range_is_allowed() {
    let (closed, open) = (Policy::default(), with(&["0.0.0.0/0", "::/0"]));
    for (ip, range) in CORPUS {
        assert!(refused(&closed, ip), "{ip}");
        assert!(refused(&with(&["1.0.0.0/8", "2a00::/16"]), ip), "{ip}");
        match range {
            Some(range) => assert!(!refused(&with(&[range]), ip), "{ip}"),
            None => assert!(refused(&open, ip), "{ip}"),
        }
    }
}

#[test]
fn what_is_public_is_not_refused() {
    for ip in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00:1450::1",
    ] {
        assert!(!refused(&Policy::default(), ip), "{ip}");
    }
}

#[test]
fn allowing_the_carrier_does_not_allow_what_it_carries() {
    assert!(refused(&with(&["::/0"]), "::ffff:127.0.0.1"));
    assert!(refused(&with(&["::/0"]), "64:ff9b::127.0.0.1"));
    assert!(refused(&with(&["2000::/3"]), "2002:7f00:1::"));
}

#[test]
fn own_listeners_are_refused_whatever_is_allowed() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let policy = Policy {
        public_listeners: vec![address("127.0.0.1:8080")],
        ops_listeners: vec![address("[::]:8081"), address("10.0.0.5:8082")],
        ..with(&["0.0.0.0/0", "::/0"])
    };
    let refused = |to: &str, public_path| objection(&policy, address(to), public_path).is_some();
    for to in ["127.0.0.1:8081", "127.9.9.9:8081", "[::1]:8081", "[::ffff:127.0.0.1]:8081"] {
        assert!(refused(to, false) && refused(to, true), "{to}");
    }
    assert!(refused("10.0.0.5:8082", true) && refused("[64:ff9b::10.0.0.5]:8082", true));
    assert!(!refused("10.0.0.6:8082", true) && !refused("10.0.0.5:8083", true));
    // An address of another machine, on the port of a wildcard listener.
    assert!(!refused("192.0.2.1:8081", true));
    assert!(refused("127.0.0.1:8080", false) && !refused("127.0.0.1:8080", true));
    assert!(refused("[::ffff:127.0.0.1]:8080", false) && !refused("127.0.0.2:8080", false));
    let closed = Policy { allow: Vec::new(), ..policy.clone() };
    assert!(objection(&closed, address("127.0.0.1:8080"), true).is_some());
}
