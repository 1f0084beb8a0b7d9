//! `allow_from`: the addresses that may call a webhook at all.

use hookflow_text::{Code, Diagnostics, Node};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// The networks of a webhook's `allow_from`; without the key, anyone.
#[derive(Debug, Clone, Default)]
pub struct AllowFrom {
    networks: Option<Vec<IpNet>>,
}

impl AllowFrom {
    /// Reads a list of networks (`203.0.113.0/24`) and single addresses.
    pub fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let items = node.as_list(diagnostics)?;
        if items.is_empty() {
            diagnostics
                .error(Code("webhook.allow-from"), &node.span, "an empty `allow_from` lets nobody in")
                .help("list networks such as `203.0.113.0/24`, or leave the key out to let anyone in");
            return None;
        }
        let networks: Vec<_> = items.iter().map(|item| load_network(item, diagnostics)).collect();
        Some(Self { networks: Some(networks.into_iter().collect::<Option<_>>()?) })
    }

    /// Whether no address is kept out.
    pub fn is_anyone(&self) -> bool {
        let all = |networks: &Vec<IpNet>| networks.iter().any(|network| network.prefix_len() == 0);
        self.networks.as_ref().is_none_or(all)
    }

    /// An address that may call.
    pub fn an_address(&self) -> IpAddr {
        let first = self.networks.as_ref().and_then(|networks| networks.first());
        first.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), IpNet::addr)
    }

    /// Whether this address may call. An IPv4 address written as IPv6 (`::ffff:203.0.113.7`) counts as IPv4.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.networks.as_ref().is_none_or(|networks| networks.iter().any(|network| network.contains(&ip)))
    }
}

fn load_network(node: &Node, diagnostics: &mut Diagnostics) -> Option<IpNet> {
    let text = node.as_str(diagnostics)?;
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok();
    if network.is_none() {
        diagnostics.error(
            Code("webhook.allow-from"),
            &node.span,
            format!("expected a network such as `203.0.113.0/24` or an address, found `{text}`"),
        );
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_text::{Source, parse};

    fn load(text: &str) -> (Option<AllowFrom>, Vec<&'static str>) {
        let mut diagnostics = Diagnostics::default();
        let node = parse(&Source::new("a.yaml", text), &mut diagnostics).unwrap();
        let allow_from = AllowFrom::load(&node, &mut diagnostics);
        (allow_from, diagnostics.codes())
    }

    #[test]
    fn networks_and_addresses() {
        let (allow_from, codes) = load("[203.0.113.0/24, 198.51.100.7, '2001:db8::/32']");
        assert!(codes.is_empty());
        let allow_from = allow_from.unwrap();
        for (ip, allowed) in [
            ("203.0.113.9", true),
            ("::ffff:203.0.113.9", true),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("2001:db8::1", true),
            ("::1", false),
        ] {
            assert_eq!(allow_from.allows(ip.parse().unwrap()), allowed, "{ip}");
        }
        assert!(AllowFrom::default().allows("::1".parse().unwrap()));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(load("[]").1, ["webhook.allow-from"]);
        assert_eq!(load("[10.0.0.0/33, host.example]").1, ["webhook.allow-from"; 2]);
        assert!(load("[10.0.0.0/33, 10.0.0.0/8]").0.is_none());
    }
}
