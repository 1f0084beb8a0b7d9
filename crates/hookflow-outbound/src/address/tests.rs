use super::*;

fn with(allow: &[&str]) -> Policy {
    Policy { allow: allow.iter().map(|net| net.parse().unwrap()).collect(), ..Policy::default() }
}

fn refused(policy: &Policy, ip: &str) -> bool {
    objection(policy, SocketAddr::new(ip.parse().unwrap(), 443), false).is_some()
}

/// Each with a range that would let it through, if any does.
fn corpus() -> Vec<(&'static str, Option<&'static str>)> {
    let lines = include_str!("corpus.txt").lines().filter(|line| !line.starts_with('#'));
    let both = |line: &'static str| {
        let (ip, range) = line.split_once(' ').unwrap();
        (ip, (range != "-").then_some(range))
    };
    lines.map(both).collect()
}

#[test]
fn what_is_not_public_is_refused_unless_its_range_is_allowed() {
    let (closed, open) = (Policy::default(), with(&["0.0.0.0/0", "::/0"]));
    let corpus = corpus();
    assert!(corpus.len() >= 65, "{}", corpus.len());
    for (ip, range) in corpus {
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
        "2a00:1450::5efe:8.8.8.8",
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
