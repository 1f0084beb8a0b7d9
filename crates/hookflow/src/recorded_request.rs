//! A request as a recorder wrote it down: `{method, url, headers: [[name, value]], body, body_encoding}` in JSON.

use anyhow::{Context as _, bail};
use hookflow_text::Json;
use hookflow_trigger::{Head, Received};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use jiff::Timestamp;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Reads a recorded request. `base_url` is our address where the record says none.
pub(crate) fn read(text: &[u8], base_url: &Arc<str>, at: Timestamp) -> anyhow::Result<Received> {
    let record: Json = serde_json::from_slice(text).context("it is not JSON")?;
    let text = |key: &str| match record.get(key) {
        Some(Json::String(text)) => Ok(Some(text.as_str())),
        None | Some(Json::Null) => Ok(None),
        Some(_) => bail!("`{key}` is not a text"),
    };
    let url = text("url")?.context("it has no `url`")?;
    let method = text("method")?.unwrap_or("POST");
    let mut head = head(method, url, base_url, at)?;
    for header in record.get("headers").and_then(Json::as_array).into_iter().flatten() {
        let (Some(name), Some(value)) = (header.pointer("/0"), header.pointer("/1")) else {
            bail!("a header is not `[name, value]`");
        };
        let (Some(name), Some(value)) = (name.as_str(), value.as_str()) else {
            bail!("the name and the value of a header are texts");
        };
        // Blanks around a value are dropped on the wire.
        let value = HeaderValue::from_bytes(value.trim_matches([' ', '\t']).as_bytes());
        let value = value.with_context(|| format!("`{name}` cannot stand in a head"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).context("there is no such header name")?;
        head.headers.append(name, value);
    }
    let body = text("body")?.unwrap_or_default();
    let body = match text("body_encoding")? {
        None | Some("utf8") => body.as_bytes().to_vec(),
        Some("base64") => hookflow_trigger::from_base64(body).context("`body` is not base64")?,
        Some(other) => bail!("`body_encoding` is `utf8` or `base64`, not `{other}`"),
    };
    // Recorders leave it out, and every request has it.
    head.headers.entry(CONTENT_LENGTH).or_insert_with(|| body.len().into());
    Ok(Received { head, body: body.into() })
}

/// A head without headers.
pub(crate) fn head(method: &str, url: &str, base_url: &Arc<str>, at: Timestamp) -> anyhow::Result<Head> {
    let method: Method = method.parse().with_context(|| format!("`{method}` is not a method"))?;
    let (base_url, rest) = match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (format!("{scheme}://{host}").into(), path)
        }
        None if url.starts_with('/') => (Arc::clone(base_url), url),
        None => bail!("`{url}` is neither a URL nor a path"),
    };
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    Ok(Head {
        method,
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers: HeaderMap::new(),
        ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        received_at: at,
        base_url,
    })
}

/// Writes a request down.
pub(crate) fn write(head: &Head, body: &[u8]) -> Json {
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]));
    let (body, encoding) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), "utf8"),
        Err(_) => (hookflow_trigger::to_base64(body), "base64"),
    };
    json!({
        "method": head.method.as_str(),
        "url": head.url(),
        "headers": headers.collect::<Vec<_>>(),
        "body": body,
        "body_encoding": encoding,
    })
}

/// Whether a text can be called.
pub(crate) fn is_url(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| uri.host().is_some() && uri.scheme().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_it(record: &Json) -> Result<Received, String> {
        read(record.to_string().as_bytes(), &"https://hooks.example".into(), Timestamp::UNIX_EPOCH)
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_record_is_read_and_written() {
        let record = json!({
            "method": "PUT", "url": "https://a.test:8443/hook/b?c=%20&d", "headers": [["x-a", "1"], ["x-a", "ö"], ["content-length", "2"]],
            "body": "ö", "body_encoding": "utf8",
        });
        let read = read_it(&record).unwrap();
        assert_eq!(read.head.url(), "https://a.test:8443/hook/b?c=%20&d");
        assert_eq!(write(&read.head, read.body.held().unwrap()), record);
        let bytes = json!({"method": "POST", "url": "https://a.test", "headers": [["content-length", "1"]], "body": "/w==", "body_encoding": "base64"});
        let read = read_it(&bytes).unwrap();
        assert_eq!((&**read.body.held().unwrap(), read.head.url().as_str()), (&[0xff][..], "https://a.test"));
        assert_eq!(write(&read.head, read.body.held().unwrap()), bytes);
        let short = read_it(&json!({"url": "/hook/a", "headers": [["a", " b\t"]]})).unwrap();
        assert_eq!(short.head.url(), "https://hooks.example/hook/a");
        assert_eq!(
            (&short.head.method, &short.head.headers["a"]),
            (&Method::POST, &HeaderValue::from_static("b"))
        );
    }

    #[test]
    fn what_is_no_record_is_said() {
        for (record, expected) in [
            (json!({}), "it has no `url`"),
            (json!({"url": 1}), "`url` is not a text"),
            (json!({"url": "a"}), "`a` is neither a URL nor a path"),
            (json!({"url": "/", "method": "a b"}), "`a b` is not a method: invalid HTTP method"),
            (json!({"url": "/", "headers": [["a"]]}), "a header is not `[name, value]`"),
            (json!({"url": "/", "headers": [["a", 1]]}), "the name and the value of a header are texts"),
            (json!({"url": "/", "body": "%", "body_encoding": "base64"}), "`body` is not base64"),
            (json!({"url": "/", "body_encoding": "hex"}), "`body_encoding` is `utf8` or `base64`, not `hex`"),
        ] {
            assert_eq!(read_it(&record).unwrap_err(), expected);
        }
        assert!(read_it(&json!({"url": "/", "headers": [["a b", "c"]]})).is_err());
        assert!(read_it(&json!({"url": "/", "headers": [["a", "b\r\nc: d"]]})).is_err());
    }
}
