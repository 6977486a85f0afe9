//! Where alerts go, and what each destination wants to hear.

use crate::media::open::redacted;
use crate::watch::engine::Phase;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A word or an address that is shown nowhere.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Which phases of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phases {
    /// When it begins.
    pub begun: bool,
    /// When it is over.
    pub over: bool,
}

/// What a destination wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which phases.
    pub phases: Phases,
    /// Of which cameras, by name; none: of all.
    pub cameras: Vec<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { phases: Phases { begun: true, over: true }, cameras: Vec::new() }
    }
}

impl Wanted {
    /// The same for the same wishes, whatever version of the program: part of a queue's name.
    pub(super) fn text(&self) -> String {
        let Phases { begun, over } = self.phases;
        format!("begun={begun} over={over} {}", serde_json::json!(self.cameras))
    }

    pub(super) fn holds(&self, camera: &str, phase: Phase) -> bool {
        let phase = match phase {
            Phase::Begun => self.phases.begun,
            Phase::Over => self.phases.over,
        };
        phase && (self.cameras.is_empty() || self.cameras.iter().any(|name| name == camera))
    }
}

/// An HTTP POST for every alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where to.
    pub url: Secret,
    /// Signs the body; without one it is not signed.
    pub secret: Option<Secret>,
    /// Of one attempt, from connecting to the answer.
    pub timeout: Duration,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// What it wants.
    pub wanted: Wanted,
}

impl WebhookSettings {
    /// Without what must not be shown: the path of a webhook is often its password.
    pub fn name(&self) -> String {
        let url = redacted(&self.url.0);
        let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
        format!("webhook {scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default())
    }
}

/// A program that is run for every alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSettings {
    /// The program and its arguments; never empty.
    pub argv: Vec<String>,
    /// It is killed, with what it has started, after so long.
    pub timeout: Duration,
    /// What it wants.
    pub wanted: Wanted,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttSettings {
    /// `mqtt://host[:1883]` or `mqtts://host[:8883]`.
    pub url: Secret,
    /// Who we are to it.
    pub username: Option<Secret>,
    /// And our word.
    pub password: Option<Secret>,
    /// First part of our topics.
    pub topic_prefix: String,
    /// Where Home Assistant looks; `None`: it is not told.
    pub discovery_prefix: Option<String>,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl MqttSettings {
    /// Without what must not be shown.
    pub fn name(&self) -> String {
        format!("MQTT broker {}", redacted(&self.url.0))
    }
}

/// All destinations, and the disk before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySettings {
    /// Where alerts wait; `None`: `startle/spool` in the user's folder for states.
    pub folder: Option<PathBuf>,
    /// For each destination at most.
    pub bytes: u64,
    /// Webhooks.
    pub webhooks: Vec<WebhookSettings>,
    /// Commands.
    pub commands: Vec<CommandSettings>,
    /// A broker.
    pub mqtt: Option<MqttSettings>,
}
