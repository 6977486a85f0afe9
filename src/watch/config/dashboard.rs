//! `[dashboard]`: where the page is, and who may look.

use super::toml_place::TomlPlace;
use crate::error::Result;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::Spanned;

/// The dashboard's settings. `Debug` shows no secret.
#[derive(Clone, PartialEq)]
pub struct DashboardConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Name and argon2 hash of everybody who may look; empty: everybody may.
    pub users: Vec<(String, String)>,
    /// Certificate chain and key, PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The bearer token for `/metrics`.
    pub metrics_token: Option<String>,
}

impl std::fmt::Debug for DashboardConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DashboardConfig").field("listen", &self.listen).finish_non_exhaustive()
    }
}

impl DashboardConfig {
    /// At this address, without a login.
    pub const fn at(listen: SocketAddr) -> Self {
        Self { listen, users: Vec::new(), tls: None, metrics_token: None }
    }
}

/// `[dashboard]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenDashboard {
    listen: Option<SocketAddr>,
    #[serde(default)]
    user: Vec<WrittenUser>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    metrics_token: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUser {
    name: Spanned<String>,
    password_hash: Spanned<String>,
}

impl WrittenDashboard {
    pub(super) fn config(self, place: &TomlPlace<'_>, span: std::ops::Range<usize>) -> Result<DashboardConfig> {
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(place.error(Some(span), "[dashboard] needs both of tls_cert and tls_key, or neither")),
        };
        let mut users: Vec<(String, String)> = Vec::new();
        for user in self.user {
            if user.name.get_ref().is_empty() || users.iter().any(|(name, _)| name == user.name.get_ref()) {
                return Err(place.error(Some(user.name.span()), "name: each user needs one of his own"));
            }
            if !user.password_hash.get_ref().starts_with("$argon2") {
                let words = "password_hash: is no argon2 hash; `startle passwd` makes one";
                return Err(place.error(Some(user.password_hash.span()), words));
            }
            users.push((user.name.into_inner(), user.password_hash.into_inner()));
        }
        if let Some(token) = self.metrics_token.as_ref().filter(|token| token.get_ref().len() < 16) {
            return Err(place.error(Some(token.span()), "metrics_token: has less than 16 characters"));
        }
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8470)));
        Ok(DashboardConfig { listen, users, tls, metrics_token: self.metrics_token.map(Spanned::into_inner) })
    }
}
