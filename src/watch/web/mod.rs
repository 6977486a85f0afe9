//! The dashboard: a page with every camera's picture, curve and events, its JSON API, and metrics.
//!
//! The listener only notes what it hears (`hub`, `events`); a runtime with threads of its own answers (`api`), after
//! every request has passed the `guard`. `auth` knows who may look.
//!
//! Invariants: a viewer, however slow, holds nothing up; memory is bounded whatever strangers do; off the loopback
//! address nothing is served without a login.

mod api;
mod assets;
mod auth;
mod describe;
mod events;
mod guard;
mod hub;
mod limit;
mod metrics;

pub use assets::{GRAFANA, SYSTEMD};
pub use auth::hash_password;

use crate::error::{Error, Result};
use crate::watch::engine::{CameraId, Meters};
use crate::watch::{Bulletin, DashboardConfig, Listener};
use auth::Auth;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use events::Events;
use hub::Hub;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Where the page is when nothing is said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8470";
/// Between two pictures of a camera.
const PICTURE: Duration = Duration::from_millis(500);
/// Time that answers in flight get at the end.
const GRACE: Duration = Duration::from_millis(200);

/// A panic elsewhere leaves what is locked here whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all requests share.
struct App {
    hub: Hub,
    events: Events,
    auth: Auth,
    listen: SocketAddr,
    encrypted: bool,
    /// Events that may have a clip soon, and how often it was looked for.
    awaited: Mutex<Vec<(String, u32)>>,
}

/// The running dashboard.
pub struct Dashboard {
    app: Arc<App>,
    runtime: Option<Runtime>,
    handle: Handle<SocketAddr>,
}

impl Dashboard {
    /// Starts to answer. `clips` is the folder of evidence, `state` where marks are kept when there is none.
    ///
    /// # Errors
    /// [`Error::Config`] when it would be open to others without a login, or the address or the certificate can't be
    /// used; [`Error::Input`] when the file of marks is damaged.
    pub fn start(config: &DashboardConfig, clips: Option<PathBuf>, state: &Path, meters: Arc<Meters>) -> Result<Self> {
        let listen = config.listen;
        if !listen.ip().is_loopback() && config.users.is_empty() {
            return Err(Error::Config(format!(
                "the dashboard at {listen} could be seen by others, and no login is configured: make a password with \
                 `startle passwd` and put it into [[dashboard.user]] of the configuration (name, password_hash), or \
                 listen on {DEFAULT_LISTEN}"
            )));
        }
        let tls = config.tls.as_ref().map(|(cert, key)| server_config(cert, key)).transpose()?;
        let cant = |e: std::io::Error| {
            Error::Config(format!("the dashboard can't listen on {listen}: {e}; choose another address with --listen"))
        };
        let socket = TcpListener::bind(listen).map_err(cant)?;
        socket.set_nonblocking(true).map_err(cant)?;
        let listen = socket.local_addr().map_err(cant)?;
        let marks = clips.clone().unwrap_or_else(|| state.to_owned());
        let app = Arc::new(App {
            hub: Hub::new(meters),
            events: Events::open(clips, &marks)?,
            auth: Auth::new(config.users.clone(), config.metrics_token.clone())?,
            listen,
            encrypted: tls.is_some(),
            awaited: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(8)
            .thread_name("dashboard")
            .enable_all()
            .build()
            .map_err(cant)?;
        let handle = Handle::new();
        runtime.spawn(api::serve(Arc::clone(&app), socket, tls, handle.clone()));
        runtime.spawn(refresh(Arc::clone(&app)));
        Ok(Self { app, runtime: Some(runtime), handle })
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        format!("{}://{}/", if self.app.encrypted { "https" } else { "http" }, self.app.listen)
    }

    /// What whoever started it should know: passwords would travel in the clear.
    pub fn warning(&self) -> Option<String> {
        let clear = !self.app.encrypted && !self.app.listen.ip().is_loopback();
        clear.then(|| {
            "the dashboard is not encrypted: passwords can be read on the way; set tls_cert and tls_key, or put it \
             behind a proxy that encrypts"
                .into()
        })
    }
}

impl Listener for Dashboard {
    fn take(&mut self, bulletin: &Bulletin) -> Result<()> {
        self.app.hub.take(bulletin);
        let Some(alert) = &bulletin.alert else { return Ok(()) };
        self.app.hub.tell("event", &self.app.events.take(alert));
        let mut awaited = lock(&self.app.awaited);
        awaited.retain(|(known, _)| *known != alert.incident);
        awaited.push((alert.incident.clone(), 0));
        Ok(())
    }

    fn gone(&mut self, camera: CameraId) {
        self.app.hub.gone(camera);
    }

    fn finish(&mut self, limit: Duration) -> Result<()> {
        self.handle.graceful_shutdown(Some(GRACE));
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(limit.min(GRACE * 2));
        }
        Ok(())
    }
}

/// Looks for clips that were awaited, so often: two minutes.
const LOOKS: u32 = 240;

/// Shows pictures, measures rates and tells of clips that are finished.
async fn refresh(app: Arc<App>) {
    let mut tick = tokio::time::interval(PICTURE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = 0_u64;
    loop {
        tick.tick().await;
        count += 1;
        let app = Arc::clone(&app);
        let work = move || {
            app.hub.show();
            if count.is_multiple_of(2) {
                app.hub.measure();
                look_for_clips(&app);
            }
        };
        if tokio::task::spawn_blocking(work).await.is_err() {
            return;
        }
    }
}

fn look_for_clips(app: &App) {
    let waiting = std::mem::take(&mut *lock(&app.awaited));
    let mut left = Vec::new();
    for (id, looks) in waiting {
        match app.events.file(&id, &["event.json"]).and_then(|_| app.events.one(&id)) {
            Some(event) => app.hub.tell("event", &event),
            None if looks < LOOKS => left.push((id, looks + 1)),
            None => {}
        }
    }
    lock(&app.awaited).extend(left);
}

/// TLS 1.2 and 1.3 with a certificate chain and its key, both PEM.
fn server_config(cert: &Path, key: &Path) -> Result<RustlsConfig> {
    let wrong = |path: &Path, e: String| Error::Config(format!("{}: {e}; give PEM files", path.display()));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|e| wrong(cert, format!("the certificate can't be read: {e}")))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, format!("the key can't be read: {e}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|e| wrong(cert, format!("the certificate and its key can't be used: {e}")))?;
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
