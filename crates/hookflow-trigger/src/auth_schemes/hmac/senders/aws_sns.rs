//! Amazon SNS: an RSA signature in the JSON body over some of its fields, by a certificate whose URL stands there too.
//!
//! The `secret` is the topic's ARN: anybody can have a topic, and each is signed by the same certificate.

use super::super::algorithm::Encoding;
use super::super::certificate::Trust;
use super::super::only_the_sender;
use super::super::public_key::Making;
use super::Sender;
use super::paypal::https;
use crate::auth_scheme::{CannotSign, HeadProof, Reason, ReplayId, Secrets, Verifier, is_any, read_json};
use crate::{Fetched, Head, Preset};
use hookflow_text::{Diagnostics, Fields, Json, Secret};
use jiff::Timestamp;
use std::time::Duration;

pub(super) static SENDER: Sender = Sender { preset: "aws_sns", load };

/// The signed fields of a notification, in order; one that is not there is left out.
const NOTIFICATION: &[&str] = &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
/// Those of what asks to confirm that a subscription begins or ends.
const CONFIRMATION: &[&str] =
    &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
/// What the names in its certificates end with.
const NAMES: &[&str] = &[".amazonaws.com", ".amazonaws.com.cn"];
/// SNS tries again for hours.
const REMEMBER: Duration = Duration::from_hours(72);

#[derive(Debug)]
struct AwsSns {
    preset: &'static Preset,
    topics: Vec<Secret>,
    trust: Trust,
}

fn load(
    preset: &'static Preset,
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    let topics = secrets.any(fields, "secret", "secrets", diagnostics);
    let trust = Trust::load(NAMES, fields, secrets, diagnostics)?;
    let topics = topics?.into_iter().map(|(_, topic)| topic).collect();
    Some(Box::new(AwsSns { preset, topics, trust }))
}

/// A text of the body.
fn text<'b>(body: &'b Json, name: &str) -> Result<&'b str, Reason> {
    match body.get(name) {
        Some(Json::String(text)) => Ok(text),
        None => Err(Reason::Missing(format!("`{name}` in the body"))),
        Some(_) => Err(Reason::Unreadable(format!("`{name}` in the body"))),
    }
}

/// Each signed field: its name and its value, a line each.
fn content(body: &Json) -> Result<String, Reason> {
    let names = match text(body, "Type")? {
        "Notification" => NOTIFICATION,
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => CONFIRMATION,
        _ => return Err(Reason::Unexpected("`Type` in the body".into())),
    };
    let mut content = String::new();
    for name in names {
        if *name == "Subject" && body.get(name).is_none_or(Json::is_null) {
            continue;
        }
        for line in [name, text(body, name)?] {
            content.push_str(line);
            content.push('\n');
        }
    }
    Ok(content)
}

/// Whether Amazon itself serves this certificate.
fn is_amazons(url: &str) -> bool {
    https(url).is_some_and(|(host, path)| {
        is_host(host) && path.rsplit_once('.').is_some_and(|(_, ending)| ending == "pem")
    })
}

/// Whether this is a host of SNS.
pub(crate) fn is_host(host: &str) -> bool {
    let region = host
        .strip_suffix(".cn")
        .unwrap_or(host)
        .strip_suffix(".amazonaws.com")
        .and_then(|host| host.strip_prefix("sns."));
    let sound = |region: &str| {
        region.len() >= 3
            && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    region.is_some_and(sound)
}

impl Verifier for AwsSns {
    fn verify_head(&self, _: &Head) -> Result<HeadProof, Reason> {
        Ok(HeadProof::NeedsBody)
    }

    fn verify_body(
        &self,
        _: &Head,
        body: &[u8],
        now: Timestamp,
        fetched: &Fetched,
    ) -> Result<Option<ReplayId>, Reason> {
        let body = read_json(body)?;
        let making = match text(&body, "SignatureVersion")? {
            "1" => Making::RsaSha1,
            "2" => Making::RsaSha256,
            _ => return Err(Reason::Unexpected("`SignatureVersion` in the body".into())),
        };
        let certificate = text(&body, "SigningCertURL")?;
        if !is_amazons(certificate) {
            return Err(Reason::Unexpected("`SigningCertURL` in the body".into()));
        }
        let received = Encoding::Base64
            .decode(text(&body, "Signature")?)
            .ok_or_else(|| Reason::Unreadable("the signature".into()))?;
        let content = content(&body)?;
        if !bool::from(is_any(text(&body, "TopicArn")?.as_bytes(), &self.topics)) {
            return Err(Reason::Unexpected("`TopicArn` in the body".into()));
        }
        // Only for who knows the topic anything is fetched.
        let keys = self.trust.keys(certificate, now, fetched)?;
        if keys.iter().any(|key| key.verifies(making, content.as_bytes(), &received)) {
            Ok(Some(ReplayId { id: text(&body, "MessageId")?.to_owned(), remember: REMEMBER }))
        } else {
            Err(Reason::Mismatch)
        }
    }

    fn fetches(&self) -> bool {
        self.trust.fetches()
    }

    fn sign(&self, _: &mut Head, _: &[u8], _: Timestamp) -> Result<(), CannotSign> {
        Err(only_the_sender())
    }

    fn preset(&self) -> Option<&'static Preset> {
        Some(self.preset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_amazons_certificates_count() {
        for (url, expected) in [
            ("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem", true),
            ("https://sns.cn-north-1.amazonaws.com.cn/a.pem", true),
            ("http://sns.us-east-1.amazonaws.com/a.pem", false),
            ("https://sns.us-east-1.amazonaws.com.evil.test/x.pem", false),
            ("https://evil.test/sns.us-east-1.amazonaws.com/x.pem", false),
            ("https://a@sns.us-east-1.amazonaws.com/x.pem", false),
            ("https://sns.us-east-1.amazonaws.com@evil.test/x.pem", false),
            ("https://sns.us-east-1.amazonaws.com:444/x.pem", false),
            ("https://sns.us-east-1.amazonaws.com/x.pem?a", false),
            ("https://sns.us-east-1.amazonaws.com/x#.pem", false),
            ("https://sns.us-east-1.amazonaws.com\\@evil.test/x.pem", false),
            ("https://sns.us.east.amazonaws.com/x.pem", false),
            ("https://sns..amazonaws.com/x.pem", false),
            ("https://sns.amazonaws.com/x.pem", false),
            ("https://s3.us-east-1.amazonaws.com/x.pem", false),
            ("https://sns.us-east-1.amazonaws.com/x.cer", false),
        ] {
            assert_eq!(is_amazons(url), expected, "{url}");
        }
    }

    #[test]
    fn the_content_has_the_fields_that_are_there() {
        let body = json!({"Type": "Notification", "Message": "m", "MessageId": "1", "Timestamp": "t", "TopicArn": "a"});
        let expected = "Message\nm\nMessageId\n1\nTimestamp\nt\nTopicArn\na\nType\nNotification\n";
        assert_eq!(content(&body).unwrap(), expected);
        let body = json!({
            "Type": "SubscriptionConfirmation", "Message": "m", "MessageId": "1", "SubscribeURL": "u",
            "Timestamp": "t", "Token": "k", "TopicArn": "a", "Subject": "not signed here",
        });
        let expected = "Message\nm\nMessageId\n1\nSubscribeURL\nu\nTimestamp\nt\nToken\nk\nTopicArn\na\nType\n\
                        SubscriptionConfirmation\n";
        assert_eq!(content(&body).unwrap(), expected);
        assert!(content(&json!({"Type": "Other"})).is_err());
        assert!(content(&json!({"Type": "Notification", "Message": {}})).is_err());
    }
}
