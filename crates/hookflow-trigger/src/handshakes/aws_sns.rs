//! Amazon SNS asks to visit a URL before it sends anything, and once more when a subscription ends: that visit would
//! begin it anew, so it is not made.

use crate::Handshake;
use crate::auth_schemes::is_sns_host;
use crate::handshake::{Asks, HandshakeAnswer, HandshakeRefusal, Need, body_json};
use hookflow_text::Json;
use http::{Method, StatusCode};

/// The longest URL that is visited.
const LONGEST_URL: usize = 2048;

pub(super) static AWS_SNS: Handshake = Handshake {
    name: "aws_sns",
    summary: "A signed `SubscriptionConfirmation`: answers 200 and visits its `SubscribeURL`. An `UnsubscribeConfirmation`: answers 200.",
    method: Method::POST,
    needs: Need::Nothing,
    probes: false,
    asks: Asks::Signed(|_, _, body| {
        let body = body_json(body);
        let text = |name: &str| body.get(name).and_then(Json::as_str);
        let answer = HandshakeAnswer::empty(StatusCode::OK);
        match text("Type") {
            Some("SubscriptionConfirmation") => {
                let url = text("SubscribeURL").filter(|url| is_amazons(url));
                let url = url.ok_or_else(HandshakeRefusal::malformed)?;
                Ok(Some(HandshakeAnswer { visit: Some(url.to_owned()), ..answer }))
            }
            Some("UnsubscribeConfirmation") => Ok(Some(answer)),
            _ => Ok(None),
        }
    }),
};

fn is_amazons(url: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/?=&:%+".contains(&byte);
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?']).next());
    url.len() <= LONGEST_URL && url.bytes().all(plain) && host.is_some_and(is_sns_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_url_of_amazons_is_visited() {
        let right = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-west-2:1:MyTopic&Token=2336412f37";
        let long = format!("{right}{}", "a".repeat(LONGEST_URL));
        for (url, expected) in [
            (right, true),
            ("https://sns.cn-north-1.amazonaws.com.cn?Action=ConfirmSubscription", true),
            (long.as_str(), false),
            ("http://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription", false),
            ("https://sns.us-west-2.amazonaws.com.evil.test/?a", false),
            ("https://sns.us-west-2.amazonaws.com:8443/?a", false),
            ("https://a@sns.us-west-2.amazonaws.com/?a", false),
            ("https://evil.test/?https://sns.us-west-2.amazonaws.com/", false),
            ("https://sns.us-west-2.amazonaws.com/ HTTP/1.1\r\nHost: evil.test", false),
            ("https://sns.us-west-2.amazonaws.com\\evil.test/", false),
            ("https://", false),
            ("", false),
        ] {
            assert_eq!(is_amazons(url), expected, "{url}");
        }
    }
}
