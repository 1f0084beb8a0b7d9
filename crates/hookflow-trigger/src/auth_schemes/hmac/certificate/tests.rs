use super::*;
use crate::encoding;

const SNS: &[u8] = include_bytes!("../../../../testdata/sns.pem");

#[test]
fn a_certificate_is_read_with_its_name_and_its_dates() {
    let text = String::from_utf8(SNS.to_vec()).unwrap();
    let bundle = format!("subject=/CN=sns.amazonaws.com\n{text}{text}");
    for pem in [text, bundle] {
        let certificate = Certificate::read(pem.as_bytes()).unwrap();
        assert_eq!(certificate.name, "sns.amazonaws.com");
        assert_eq!(certificate.from.strftime("%Y").to_string(), "2020");
        assert_eq!(certificate.until().strftime("%Y").to_string(), "2120");
    }
}

#[test]
fn what_is_no_certificate_is_none() {
    let text = String::from_utf8(SNS.to_vec()).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = encoding::base64(&body).unwrap();
    let pem = |der: &[u8]| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", encoding::to_base64(der))
    };
    assert!(Certificate::read(pem(&der).as_bytes()).is_some());
    for length in 0..der.len() {
        assert!(Certificate::read(pem(&der[..length]).as_bytes()).is_none(), "{length}");
    }
    for at in 0..der.len() {
        let mut other = der.clone();
        other[at] ^= 0x55;
        // Whether it can still be read depends on the place: it never panics.
        drop(Certificate::read(pem(&other).as_bytes()));
    }
    for text in ["", "<html>", "-----BEGIN CERTIFICATE-----", "-----BEGIN \u{e9}-----END "] {
        assert!(Certificate::read(text.as_bytes()).is_none(), "{text}");
    }
    assert!(Certificate::read(&[0xff; 64]).is_none());
}

#[test]
fn a_moment_is_written_in_two_ways() {
    for (written, expected) in [
        ("491231235959Z", Some("2049-12-31T23:59:59Z")),
        ("500101000000Z", Some("1950-01-01T00:00:00Z")),
        ("20500101000000Z", Some("2050-01-01T00:00:00Z")),
        ("491331235959Z", None),
        ("20500101000000", None),
        ("é91231235959", None),
        ("", None),
    ] {
        assert_eq!(moment(written.as_bytes()).map(|at| at.to_string()).as_deref(), expected, "{written}");
    }
}
