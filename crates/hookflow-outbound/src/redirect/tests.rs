use super::*;

const FROM: &str = "https://a.example/x/y?z=1";

fn request(method: Method, body: &'static str) -> Request<Vec<Body>> {
    let request = Request::builder().method(method).uri(FROM);
    let request = request.header("content-type", "text/plain").header("content-encoding", "identity");
    request.header("x-plain", "1").body(vec![Body::from(body)]).unwrap()
}

fn answer(status: u16, location: &[u8]) -> Response<Bytes> {
    let location = HeaderValue::from_bytes(location).unwrap();
    Response::builder().status(status).header(LOCATION, location).body(Bytes::new()).unwrap()
}

fn next(request: &Request<Vec<Body>>, status: u16, location: &str) -> Request<Vec<Body>> {
    redirected(request, &answer(status, location.as_bytes())).unwrap().unwrap()
}

#[test]
fn two_redirects_keep_method_and_body_and_three_end_both() {
    for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let request = request(method.clone(), "all of it");
        for status in [301, 302, 303] {
            let next = next(&request, status, "/z");
            let asks = if method == Method::HEAD { Method::HEAD } else { Method::GET };
            assert_eq!((next.method(), next.body().len()), (&asks, 0), "{status} of {method}");
            let names: Vec<_> = next.headers().keys().map(HeaderName::as_str).collect();
            assert_eq!(names, ["x-plain"], "what tells of the body goes with it");
        }
        for status in [307, 308] {
            let next = next(&request, status, "/z");
            assert_eq!((next.method(), next.headers()), (&method, request.headers()), "{status}");
            assert_eq!(next.body()[0].whole().unwrap(), "all of it");
        }
    }
}

#[test]
fn only_what_says_where_is_a_redirect() {
    let request = request(Method::GET, "");
    for status in [200, 201, 300, 304, 305, 306, 399, 400, 503] {
        assert!(redirected(&request, &answer(status, b"/z")).unwrap().is_none(), "{status}");
    }
    let nowhere = Response::builder().status(302).body(Bytes::new()).unwrap();
    assert!(redirected(&request, &nowhere).unwrap().is_none());
}

#[test]
fn a_location_is_read_from_where_it_stands() {
    let request = request(Method::GET, "");
    for (location, url) in [
        ("/z", "https://a.example/z"),
        ("z?q=%F6", "https://a.example/x/z?q=%F6"),
        ("../../../z", "https://a.example/z"),
        ("?q", "https://a.example/x/y?q"),
        ("", FROM),
        ("#part", FROM),
        ("//b.example/z#part", "https://b.example/z"),
        ("HTTPS://B.Example:443/z", "https://b.example/z"),
        ("https:\\\\b.example\\z", "https://b.example/z"),
        (" /z ", "https://a.example/z"),
        ("/gr\u{fc}\u{df}e", "https://a.example/gr%C3%BC%C3%9Fe"),
        ("https://0x7f.1/", "https://127.0.0.1/"),
        ("https://a.example@b.example/", "https://b.example/ is refused"),
    ] {
        match redirected(&request, &answer(307, location.as_bytes())) {
            Ok(next) => assert_eq!(next.unwrap().uri().to_string(), url, "{location}"),
            Err(_) => assert!(url.ends_with("is refused"), "{location}"),
        }
    }
}

#[test]
fn what_leads_nowhere_that_may_be_called_is_refused() {
    let long = format!("/{}", "a".repeat(LONGEST_URL));
    for (location, why) in [
        (&b"http://a.example/"[..], "`http`, where anybody may listen, from `https`"),
        (b"ftp://a.example/", "another scheme than `http` and `https`"),
        (b"file:///etc/passwd", "another scheme than `http` and `https`"),
        (b"data:text/plain,quiet", "another scheme than `http` and `https`"),
        (b"gopher://a.example/", "another scheme than `http` and `https`"),
        (b"https://me:quiet@a.example/", "a URL with a user name or password"),
        (b"https://quiet@a.example/", "a URL with a user name or password"),
        (b"https://", "what is no URL"),
        (b"https://a b/", "what is no URL"),
        (b"https://a.example:99999/", "what is no URL"),
        (b"https://[::1%25eth0]/", "what is no URL"),
        (b"/\xff\xfe", "what is no URL"),
        (long.as_bytes(), "a URL of more than 8192 bytes"),
    ] {
        let fault = redirected(&request(Method::GET, ""), &answer(302, location)).unwrap_err();
        assert_eq!(fault.message, format!("a.example: it redirects to {why}"));
        assert_eq!((fault.kind, fault.sent), (CallFaultKind::Refused, true));
    }
}

#[test]
fn http_may_become_https_and_nobody_comes_back_from_there() {
    let mut plain = request(Method::GET, "");
    *plain.uri_mut() = Uri::from_static("http://a.example/");
    assert_eq!(next(&plain, 301, "https://a.example/").uri(), "https://a.example/");
    assert_eq!(next(&plain, 301, "//a.example/z").uri(), "http://a.example/z");
}

#[test]
fn who_calls_is_told_to_nobody_else() {
    let mut request = request(Method::POST, "");
    let mut secret = HeaderValue::from_static("quiet");
    secret.set_sensitive(true);
    let headers = request.headers_mut();
    for name in ["authorization", "cookie", "proxy-authorization"] {
        headers.insert(name, HeaderValue::from_static("quiet"));
    }
    headers.insert("x-key", secret.clone());
    headers.append("x-both", HeaderValue::from_static("loud"));
    headers.append("x-both", secret);
    for (location, leaves) in [
        ("/z", false),
        ("https://a.example:443/z", false),
        ("https://A.EXAMPLE/z", false),
        ("https://a.example:444/z", true),
        ("https://b.example/z", true),
        ("https://sub.a.example/z", true),
        ("https://a.example./z", true),
    ] {
        let next = next(&request, 308, location);
        let left = ["authorization", "cookie", "proxy-authorization", "x-key", "x-both"]
            .iter()
            .filter(|name| !next.headers().contains_key(**name));
        assert_eq!(left.count(), if leaves { 5 } else { 0 }, "{location}");
        assert_eq!(next.headers()["x-plain"], "1");
        // Whoever comes back comes back without it.
        let back = super::tests::next(&next, 308, FROM);
        assert_eq!(back.headers().contains_key("x-key"), !leaves, "{location}");
    }
}
