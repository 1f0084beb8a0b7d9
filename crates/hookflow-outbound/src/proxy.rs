//! A proxy between the product and whom it calls: who goes by it, and a connection that says so.

use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use std::io::{IoSlice, Result};
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// A proxy that speaks HTTP: `CONNECT` for `https://`, whole URLs for `http://`. Its own address is not judged.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its name or address; one of IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it is told of who asks.
    pub authorization: Option<HeaderValue>,
    /// Addresses that are called without it, when they stand in the URL.
    pub no_proxy_ranges: Vec<IpNet>,
    /// Hosts that are called without it, in small letters, each with all names below it.
    pub no_proxy_names: Vec<String>,
}

impl Proxy {
    /// Whether this host is called by the proxy.
    pub(crate) fn serves(&self, target: &Uri) -> bool {
        let host = bare_host(target).to_ascii_lowercase();
        if let Ok(ip) = host.parse::<IpAddr>() {
            return !self.no_proxy_ranges.iter().any(|range| range.contains(&ip.to_canonical()));
        }
        let host = host.trim_end_matches('.');
        let below = |name: &String| {
            host.strip_suffix(&**name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        !self.no_proxy_names.iter().any(below)
    }
}

/// A URL's host, one of IPv6 without brackets.
pub(crate) fn bare_host(target: &Uri) -> &str {
    let host = target.host().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether a host can only be an address, in whichever of the ways that addresses are written.
pub(crate) fn is_address(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    host.contains(':') || last.starts_with(|first: char| first.is_ascii_digit())
}

/// A connection, and whether it ends at a proxy that wants whole URLs.
pub(crate) struct Line {
    pub(crate) stream: TokioIo<TcpStream>,
    pub(crate) whole_urls: bool,
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.whole_urls)
    }
}

impl Read for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_exempt_is_called_without_it() {
        let proxy = Proxy {
            host: "p".into(),
            port: 1,
            authorization: None,
            no_proxy_ranges: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
            no_proxy_names: vec!["internal".into(), "b.example".into()],
        };
        for (host, served) in [
            ("a.example", true),
            ("b.example", false),
            ("x.B.Example.", false),
            ("xb.example", true),
            ("internal", false),
            ("internal.example", true),
            ("10.1.2.3", false),
            ("[::ffff:10.1.2.3]", false),
            ("11.1.2.3", true),
            ("[::1]", false),
            ("[::2]", true),
        ] {
            assert_eq!(proxy.serves(&format!("http://{host}:8/").parse().unwrap()), served, "{host}");
        }
    }

    #[test]
    fn what_can_only_be_an_address_is_known() {
        for host in ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0x7f000001", "::1", "a.1.", "1"] {
            assert!(is_address(host), "{host}");
        }
        for host in ["localhost", "a.example", "1.example", "x0", "", "."] {
            assert!(!is_address(host), "{host}");
        }
    }
}
