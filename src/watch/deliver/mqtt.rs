//! An MQTT broker, with Home Assistant's discovery.
//!
//! Under `PREFIX/` there are `status` (`online`, and by our last will `offline`), and for each camera `CAMERA/state` (`ON`
//! from an event's beginning to its end), `CAMERA/event` (the alert as JSON, without its picture) and `CAMERA/thumbnail`
//! (JPEG). All at least once (quality of service 1); an alert is acknowledged when the broker has acknowledged each of its
//! messages.

use super::send_thread::{Delivered, Sender};
use super::spool::QueuedAlert;
use super::{MqttSettings, slug};
use crate::error::{Error, Result};
use crate::units::Stop;
use crate::watch::engine::Phase;
use base64::Engine;
use rumqttc::{
    Client, Connection, Event, LastWill, MqttOptions, Outgoing, Packet, PublishOptions, QoS, RecvTimeoutError,
    Transport,
};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// Requests that wait for the connection, beside two for each camera.
const REQUESTS: usize = 64;
/// How long a broker may take to acknowledge.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest look at the connection while it is up.
const LOOK: Duration = Duration::from_millis(100);
/// And while it is being made: an attempt that is cut short is none.
const LONG_LOOK: Duration = Duration::from_secs(2);
/// Largest packet, bytes: a thumbnail has some ten thousand.
const LARGEST: usize = 4 << 20;

/// The broker.
pub(super) struct Broker {
    settings: MqttSettings,
    /// Names of the cameras.
    cameras: Vec<String>,
    client: Client,
    connection: Connection,
    connected: bool,
    /// What was asked for and has no number yet: whether it belongs to the alert.
    asked: VecDeque<bool>,
    /// Numbers that are known, and whether each belongs to the alert.
    numbers: HashMap<u16, bool>,
    /// The alert that is on its way.
    current: Option<String>,
    fault: String,
}

impl Broker {
    pub(super) fn new(settings: MqttSettings, cameras: &[String]) -> Result<Self> {
        // Both TLS stacks of ours name it themselves; this one asks for the process's. Somebody may have set it: fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (client, connection) = Client::builder(options(&settings)?).capacity(REQUESTS + 2 * cameras.len()).build();
        Ok(Self {
            settings,
            cameras: cameras.to_vec(),
            client,
            connection,
            connected: false,
            asked: VecDeque::new(),
            numbers: HashMap::new(),
            current: None,
            fault: String::new(),
        })
    }

    fn topic(&self, camera: &str, what: &str) -> String {
        format!("{}/{}/{what}", self.settings.topic_prefix, slug(camera))
    }

    fn publish(&mut self, topic: String, retain: bool, payload: Vec<u8>, of_alert: bool) -> bool {
        let once = PublishOptions::at_least_once();
        let options = if retain { once.retained() } else { once };
        let asked = self.client.try_publish(topic, payload, options).is_ok();
        if asked {
            self.asked.push_back(of_alert);
        }
        asked
    }

    /// Says who we are.
    fn greet(&mut self) {
        let status = format!("{}/status", self.settings.topic_prefix);
        self.publish(status.clone(), true, b"online".to_vec(), false);
        let Some(prefix) = self.settings.discovery_prefix.clone() else { return };
        for camera in self.cameras.clone() {
            let id = format!("startle_{}", slug(&camera));
            let device = json!({"identifiers": [id], "name": format!("startle {camera}"), "manufacturer": "startle",
                "sw_version": env!("CARGO_PKG_VERSION")});
            let violation = json!({"name": "Violation", "unique_id": id, "device_class": "problem",
                "state_topic": self.topic(&camera, "state"), "json_attributes_topic": self.topic(&camera, "event"),
                "availability_topic": status, "device": device});
            let picture = json!({"name": "Last violation", "unique_id": format!("{id}_picture"),
                "image_topic": self.topic(&camera, "thumbnail"), "content_type": "image/jpeg",
                "availability_topic": status, "device": device});
            for (kind, name, config) in
                [("binary_sensor", id.clone(), violation), ("image", format!("{id}_picture"), picture)]
            {
                let topic = format!("{prefix}/{kind}/{name}/config");
                self.publish(topic, true, config.to_string().into_bytes(), false);
            }
        }
    }

    /// Looks at the connection once.
    fn look(&mut self) {
        let patience = if self.connected { LOOK } else { LONG_LOOK };
        match self.connection.recv_timeout(patience) {
            Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => {
                // A new session: what the broker has not acknowledged is forgotten on both sides, and begun again.
                self.connected = true;
                self.asked.clear();
                self.numbers.clear();
                self.current = None;
                self.greet();
            }
            Ok(Ok(Event::Outgoing(Outgoing::Publish(number)))) => {
                if let Some(of_alert) = self.asked.pop_front() {
                    self.numbers.insert(number, of_alert);
                }
            }
            Ok(Ok(Event::Incoming(Packet::PubAck(ack)))) => {
                self.numbers.remove(&ack.pkid);
            }
            Ok(Err(error)) => {
                self.connected = false;
                self.fault = words(&error);
                std::thread::sleep(LOOK);
            }
            Err(RecvTimeoutError::Disconnected) => self.fault = "the client has ended".into(),
            Ok(Ok(_)) | Err(RecvTimeoutError::Timeout { .. }) => {}
        }
    }

    /// Whether all of the alert was acknowledged.
    fn is_acknowledged(&self) -> bool {
        !self.asked.contains(&true) && !self.numbers.values().any(|of_alert| *of_alert)
    }

    /// Hands the alert to the client.
    fn begin(&mut self, message: &QueuedAlert) {
        let mut alert: Value = serde_json::from_str(&message.line).unwrap_or_default();
        let thumbnail = alert.as_object_mut().and_then(|fields| fields.remove("thumbnail"));
        let jpeg = thumbnail.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text.as_str()?).ok());
        let state = if message.phase == Phase::Begun { "ON" } else { "OFF" };
        let camera = &message.camera;
        let mut parts = vec![(self.topic(camera, "event"), false, alert.to_string().into_bytes())];
        parts.extend(jpeg.map(|jpeg| (self.topic(camera, "thumbnail"), true, jpeg)));
        parts.push((self.topic(camera, "state"), true, state.into()));
        // A part that finds no room is tried again with the rest.
        let taken = parts
            .into_iter()
            .fold(true, |taken, (topic, retain, payload)| self.publish(topic, retain, payload, true) && taken);
        self.current = taken.then(|| message.delivery());
    }
}

impl Sender for Broker {
    fn send(&mut self, message: &QueuedAlert, stop: &Stop) -> Delivered {
        let begun = Instant::now();
        let delivery = message.delivery();
        while begun.elapsed() < PATIENCE && !stop.requested() {
            if self.connected && self.current.as_ref() != Some(&delivery) {
                self.begin(message);
            }
            self.look();
            if self.current.as_ref() == Some(&delivery) && self.is_acknowledged() {
                self.current = None;
                return Delivered::Done;
            }
            if !self.connected && !self.fault.is_empty() {
                break;
            }
        }
        let fault = std::mem::take(&mut self.fault);
        Delivered::Later(if fault.is_empty() { "no acknowledgement".into() } else { fault })
    }

    /// Keeps the connection alive, and makes it again.
    fn idle(&mut self) {
        self.look();
    }

    fn end(&mut self) {
        let status = format!("{}/status", self.settings.topic_prefix);
        if self.connected && self.publish(status, true, b"offline".to_vec(), false) {
            let _ = self.client.try_disconnect();
            for _ in 0..20 {
                if !self.connected {
                    break;
                }
                self.look();
            }
        }
    }
}

fn options(settings: &MqttSettings) -> Result<MqttOptions> {
    let fail = |what: &str| Error::Config(format!("{}: {what}", settings.name()));
    let (scheme, rest) = settings.url.0.split_once("://").ok_or_else(|| fail("is not mqtt://host or mqtts://host"))?;
    let secure = match scheme {
        "mqtt" => false,
        "mqtts" => true,
        _ => return Err(fail("is not mqtt://host or mqtts://host")),
    };
    let authority = rest.trim_end_matches('/');
    if authority.contains(['@', '/', '?']) {
        return Err(fail("has more than a host and a port: a user goes to username_env and password_env"));
    }
    let usual = if secure { 8883 } else { 1883 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| fail("has a port that is no number"))?)
        }
        _ => (authority, usual),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(fail("names no host"));
    }
    if settings.password.is_some() && settings.username.is_none() {
        return Err(fail("has a password and no user: give username_env"));
    }
    // A name of our own: the broker throws out who comes with a name that is there already.
    let id = format!("startle-{}-{}", settings.topic_prefix.replace('/', "-"), std::process::id());
    let mut options = MqttOptions::new(id, rumqttc::Broker::tcp(host, port));
    options.set_keep_alive(15).set_max_packet_size(LARGEST, LARGEST);
    options.set_last_will(LastWill::new(
        format!("{}/status", settings.topic_prefix),
        "offline",
        QoS::AtLeastOnce,
        true,
    ));
    if let Some(user) = &settings.username {
        match &settings.password {
            Some(word) => options.set_credentials(&user.0, word.0.clone()),
            None => options.set_username(&user.0),
        };
    }
    if secure {
        options.set_transport(match &settings.ca_file {
            None => Transport::try_tls_with_default_config()
                .map_err(|e| fail(&format!("can't be reached by TLS: the system's certificates: {e}")))?,
            Some(path) => {
                let pem = std::fs::read(path).map_err(|e| Error::unreadable(path.display().to_string(), e))?;
                Transport::tls(pem, None, None)
            }
        });
    }
    Ok(options)
}

fn words(error: &rumqttc::ConnectionError) -> String {
    use rumqttc::ConnectionError::{ConnectionRefused, Io, NetworkTimeout, Tls};
    match error {
        Io(error) => error.to_string(),
        ConnectionRefused(code) => format!("it refuses us: {code:?}"),
        NetworkTimeout => "no answer in time".into(),
        Tls(error) => format!("TLS: {error}"),
        other => other.to_string(),
    }
}

/// Topics that two cameras would share.
pub(super) fn shared_topic(cameras: &[String]) -> Option<&String> {
    let mut seen = HashSet::new();
    cameras.iter().find(|camera| !seen.insert(slug(camera)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::deliver::Secret;
    use rumqttc::mqttbytes::v4::ConnectAuth;

    #[test]
    fn a_user_without_a_password_sends_none() {
        let word = |word: &str| Some(Secret(word.into()));
        let auth = |username, password| {
            let (topic_prefix, discovery_prefix, ca_file) = ("startle".into(), None, None);
            let url = Secret("mqtt://broker".into());
            let settings = MqttSettings { url, username, password, topic_prefix, discovery_prefix, ca_file };
            options(&settings).unwrap().auth().clone()
        };
        assert_eq!(auth(None, None), ConnectAuth::None);
        assert_eq!(auth(word("ann"), None), ConnectAuth::Username { username: "ann".into() });
        let both = ConnectAuth::UsernamePassword { username: "ann".into(), password: "secret".into() };
        assert_eq!(auth(word("ann"), word("secret")), both);
    }
}
