//! An HTTP POST for each alert.
//!
//! The body is the alert's JSON. `X-Startle-Delivery` names the delivery, the same at every attempt; with a secret,
//! `X-Startle-Timestamp` holds the seconds since 1970 and `X-Startle-Signature: sha256=…` the HMAC-SHA256 (RFC 2104), in
//! hexadecimal, of the timestamp, a full stop and the body.

use super::WebhookSettings;
use super::send_thread::{Delivered, Sender};
use super::spool::QueuedAlert;
use crate::error::{Error, Result};
use crate::units::Stop;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

/// Answers that may be another one later: the peer is slow, busy, or broken.
const LATER: [u16; 3] = [408, 425, 429];

/// One webhook.
pub(super) struct Webhook {
    settings: WebhookSettings,
    agent: Agent,
}

impl Webhook {
    pub(super) fn new(settings: WebhookSettings) -> Result<Self> {
        let roots = match &settings.ca_file {
            None => RootCerts::PlatformVerifier,
            Some(path) => {
                let name = || path.display().to_string();
                let pem = std::fs::read(path).map_err(|e| Error::unreadable(name(), e))?;
                let items = ureq::tls::parse_pem(&pem).filter_map(std::result::Result::ok);
                let certificates: Vec<_> = items
                    .filter_map(|item| if let PemItem::Certificate(one) = item { Some(one) } else { None })
                    .collect();
                if certificates.is_empty() {
                    return Err(Error::input(name(), "holds no certificate in PEM"));
                }
                RootCerts::from(certificates)
            }
        };
        let config = Agent::config_builder()
            .timeout_global(Some(settings.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("startle/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Self { settings, agent: config.into() })
    }
}

impl Sender for Webhook {
    fn send(&mut self, message: &QueuedAlert, _stop: &Stop) -> Delivered {
        let mut request = self
            .agent
            .post(&self.settings.url.0)
            .header("Content-Type", "application/json")
            .header("X-Startle-Delivery", message.delivery());
        if let Some(secret) = &self.settings.secret {
            let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()).to_string();
            let signature = signature(secret.0.as_bytes(), &seconds, &message.line);
            request = request
                .header("X-Startle-Timestamp", &seconds)
                .header("X-Startle-Signature", format!("sha256={signature}"));
        }
        match request.send(&message.line) {
            Ok(answer) => judge(answer.status().as_u16()),
            // The whole error may hold the address.
            Err(error) => Delivered::Later(reason(&error)),
        }
    }
}

fn judge(status: u16) -> Delivered {
    match status {
        200..300 => Delivered::Done,
        // The address has moved, perhaps for a while; a secret is sent to no other than the configured one.
        307 | 308 => {
            Delivered::Later(format!("status {status}: it has moved; put its new address into the configuration"))
        }
        300..500 if !LATER.contains(&status) => Delivered::Never(format!("status {status}")),
        _ => Delivered::Later(format!("status {status}")),
    }
}

fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".into(),
        ureq::Error::HostNotFound => "its name is not known".into(),
        ureq::Error::ConnectionFailed => "no connection".into(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        _ => "the request failed".into(),
    }
}

/// HMAC-SHA256 of `timestamp.body`, hexadecimal.
fn signature(secret: &[u8], timestamp: &str, body: &str) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{timestamp}.{body}").as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_openssl_makes_of_it() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let expected = "a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03";
        assert_eq!(signature(b"key", "1700000000", r#"{"a":1}"#), expected);
    }

    #[test]
    fn what_may_change_is_tried_again() {
        assert_eq!(judge(204), Delivered::Done);
        assert!([307, 308, 408, 429, 500, 503].iter().all(|s| matches!(judge(*s), Delivered::Later(_))));
        assert!([301, 400, 401, 404, 410].iter().all(|s| matches!(judge(*s), Delivered::Never(_))));
    }
}
