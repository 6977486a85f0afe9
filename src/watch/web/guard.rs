//! What every request passes before it is answered, and every answer before it goes out.
//!
//! Invariants: nothing is told without a login where users are configured, but that one is needed; nothing changes for
//! a request that another site caused; on a loopback address only loopback names are answered (a name of another site
//! that is pointed here gets nothing).

use super::App;
use super::auth::same;
use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use utoipa::ToSchema;

/// The cookie's name.
pub(super) const COOKIE: &str = "startle_session";
/// The header that every request which changes something brings.
pub(super) const CSRF: &str = "X-Startle-Csrf";
/// What is answered without a login; what begins with `/assets/` too.
const OPEN: [&str; 6] = ["/", "/healthz", "/readyz", "/api/session", "/api/login", "/api/openapi.json"];
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An error as the API tells it.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct Refusal {
    error: String,
}

/// Says no.
pub(super) fn refuse(status: StatusCode, words: &str) -> Response {
    (status, Json(Refusal { error: words.into() })).into_response()
}

/// Whether a path is answered without a login.
pub(super) fn is_open(path: &str) -> bool {
    OPEN.contains(&path) || path.starts_with("/assets/")
}

/// Passes a request on, or refuses it.
pub(super) async fn guard(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let refused = check(&app, peer.ip(), &request);
    let path = request.uri().path().to_owned();
    let mut response = match refused {
        Some(refused) => refused,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(header::CACHE_CONTROL, if path.starts_with("/assets/") { "no-cache" } else { "no-store" });
    if app.encrypted {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

fn check(app: &App, peer: IpAddr, request: &Request) -> Option<Response> {
    let (headers, path) = (request.headers(), request.uri().path());
    if app.listen.ip().is_loopback() && !is_loopback_name(&host(request)) {
        let words = "this address is only answered under 127.0.0.1, ::1 or localhost";
        return Some(refuse(StatusCode::MISDIRECTED_REQUEST, words));
    }
    if path == "/metrics" {
        return may_scrape(app, peer, headers).err().map(|refused| *refused);
    }
    let session = app.auth.session(cookie(headers).as_deref());
    if session.is_none() && !is_open(path) {
        return Some(refuse(StatusCode::UNAUTHORIZED, "log in first"));
    }
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return None;
    }
    if is_foreign(request) {
        return Some(refuse(StatusCode::FORBIDDEN, "the request comes from another site"));
    }
    let given = headers.get(CSRF).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let proven = path == "/api/login" || session.is_some_and(|session| same(&session.csrf, given));
    (!proven).then(|| refuse(StatusCode::FORBIDDEN, "the header X-Startle-Csrf is missing or wrong: see /api/session"))
}

/// Headers by which a proxy says whom it asks for.
const PROXIED: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// Whom a request comes from: where a proxy on this machine passes it on, the address that the proxy saw. What stands before
/// the last address of `X-Forwarded-For` came with the request, and anybody may have written it.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let text = |name: &str| headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
    let told = text("x-forwarded-for").and_then(|list| list.rsplit(',').next()).or_else(|| text("x-real-ip"));
    let told = told.and_then(|address| address.trim().parse().ok());
    told.filter(|_| peer.to_canonical().is_loopback()).unwrap_or(peer)
}

/// Whether `/metrics` is answered: with the token, with a login, or, where no token is configured, on this machine alone.
fn may_scrape(app: &App, peer: IpAddr, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let proxied = PROXIED.iter().any(|name| headers.contains_key(*name));
    let local = peer.to_canonical().is_loopback() && app.listen.ip().is_loopback() && !proxied;
    let here = local && !app.auth.has_metrics_token();
    let bearer = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
    let logged_in = app.auth.is_needed() && app.auth.session(cookie(headers).as_deref()).is_some();
    if here || logged_in || bearer.is_some_and(|token| app.auth.is_metrics_token(token)) {
        return Ok(());
    }
    let mut response = refuse(StatusCode::UNAUTHORIZED, "give metrics_token of the configuration as a bearer token");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Err(Box::new(response))
}

/// Whether a page of another site caused it, as far as the browser says.
fn is_foreign(request: &Request) -> bool {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin =
        text("origin").is_some_and(|origin| origin.split_once("://").is_none_or(|(_, at)| at != host(request)));
    let site = text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    origin || site
}

/// The host that the request is for, with its port.
fn host(request: &Request) -> String {
    let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let authority = request.uri().authority().map(axum::http::uri::Authority::as_str);
    header.or(authority).unwrap_or_default().to_ascii_lowercase()
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The session's token.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// The cookie that sets or, with no time, ends a session.
pub(super) fn set_cookie(token: &str, seconds: u64, encrypted: bool) -> String {
    let secure = if encrypted { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_on_this_machine_says_whom_it_asks_for_and_nobody_else_does() {
        let (here, stranger) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([192, 0, 2, 7]));
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
        };
        let forwarded = headers(&[("x-forwarded-for", "10.9.9.9, 192.0.2.7")]);
        assert_eq!(
            (client(here, &forwarded), client(stranger, &headers(&[("x-real-ip", "10.0.0.1")]))),
            (stranger, stranger)
        );
        assert_eq!(client(here, &headers(&[("x-real-ip", "192.0.2.7")])), stranger);
        assert_eq!((client(here, &headers(&[])), client(here, &headers(&[("x-real-ip", "?")]))), (here, here));
    }

    #[test]
    fn names_of_other_sites_are_no_loopback_names() {
        for name in ["localhost", "localhost:8470", "127.0.0.1:8470", "[::1]:8470", "127.9.9.9"] {
            assert!(is_loopback_name(name), "{name}");
        }
        for name in ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8470", "10.0.0.1", "[::2]"] {
            assert!(!is_loopback_name(name), "{name}");
        }
    }
}
