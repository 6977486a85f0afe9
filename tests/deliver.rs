//! Alerts to real peers on this machine: an HTTP server, TLS, programs, an MQTT broker; and what they do wrong.

#[path = "support/made.rs"]
mod made;
#[path = "support/peers.rs"]
mod peers;

use made::made;
use peers::{Answer, Broker, Server, certificates, watch_topics};
use startle::media::open::Input;
use startle::record::{Event, HeatMap};
use startle::surprise::EventKind;
use startle::watch::deliver::{
    CommandSettings, Delivery, DeliverySettings, MqttSettings, Phases, Secret, Wanted, WebhookSettings,
};
use startle::watch::engine::{CameraId, Incident, News, Phase, WallTimes};
use startle::watch::{Bulletin, CameraConfig, Listener};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

const PATIENCE: Duration = Duration::from_mins(5);

/// Waits until something is so.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Destinations under test, and what was said for people.
struct Desk {
    delivery: Delivery,
    camera: Arc<CameraConfig>,
    said: Arc<Mutex<Vec<String>>>,
}

fn settings() -> DeliverySettings {
    DeliverySettings { folder: None, bytes: 1 << 20, webhooks: Vec::new(), commands: Vec::new(), mqtt: None }
}

impl Desk {
    fn open(settings: DeliverySettings, folder: &Path) -> Self {
        let said = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&said);
        let say = Arc::new(move |words: &str| heard.lock().unwrap().push(words.to_owned()));
        let delivery = Delivery::start(settings, folder, &["gate".into()], say).unwrap();
        Self { delivery, camera: Arc::new(CameraConfig::new("gate".into(), Input::Url("rtsp://gate".into()))), said }
    }

    fn alert(&mut self, id: u32, phase: Phase) {
        let event = made!(Event {
            id,
            kind: EventKind::Spike,
            onset_s: f64::from(id),
            peak_s: f64::from(id) + 0.5,
            end_s: f64::from(id) + 1.0,
            score: 4.0,
            z: 9.0,
            p_value: Some(0.001),
            per_hour: None,
            place: [1.0, 2.0, 3.0, 4.0],
            heat: made!(HeatMap { grid: 1, area: [0.0; 4], values: vec![1.0] }),
            what: None,
            thumbnail: "/9j/2Q==".into(),
            around: Vec::new(),
        });
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + u64::from(id));
        let wall = WallTimes { onset: at, peak: at, end: at };
        let news = News::Incident(Box::new(Incident { phase, event, wall }));
        let bulletin = Bulletin::new(CameraId::new(0), Arc::clone(&self.camera), news, at, None);
        self.delivery.take(&bulletin).unwrap();
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    fn close(mut self) -> String {
        self.delivery.finish(Duration::from_millis(300)).unwrap();
        self.said()
    }
}

fn webhook(url: String) -> WebhookSettings {
    let secret = Some(Secret("word".into()));
    WebhookSettings {
        url: Secret(url),
        secret,
        timeout: Duration::from_secs(1),
        ca_file: None,
        wanted: Wanted::default(),
    }
}

fn hooks(hook: WebhookSettings) -> DeliverySettings {
    DeliverySettings { webhooks: vec![hook], ..settings() }
}

fn ids(server: &Server) -> Vec<u64> {
    server.taken().iter().map(|body| body["id"].as_u64().unwrap()).collect()
}

#[test]
fn a_webhook_gets_each_alert_once_signed_and_in_order_whatever_it_answers_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(vec![Answer::Status(503), Answer::Hang, Answer::Close, Answer::Status(429)]);
    let mut desk = Desk::open(hooks(webhook(server.url("/hook/very-secret"))), dir.path());
    (1..=5).for_each(|id| desk.alert(id, Phase::Begun));
    wait_for("all", || (ids(&server).len() == 5).then_some(()));
    assert_eq!(ids(&server), [1, 2, 3, 4, 5]);
    for request in server.requests() {
        let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"word").unwrap();
        hmac::Mac::update(&mut mac, format!("{}.{}", request.header("x-startle-timestamp"), request.body).as_bytes());
        let sum = hmac::Mac::finalize(mac).into_bytes();
        let header = request.header("x-startle-signature");
        let hex = header.strip_prefix("sha256=").unwrap();
        let sent: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
        assert_eq!(sent[..], sum[..]);
    }
    let first = &server.requests()[0];
    assert_eq!(first.header("x-startle-delivery"), server.requests()[1].header("x-startle-delivery"));
    assert!(first.header("x-startle-delivery").ends_with("-1-begun") && first.body.contains("\"thumbnail\""));
    let said = desk.close();
    assert!(said.contains("takes no alerts now") && said.contains("takes alerts again"), "{said}");
    assert!(!said.contains("very-secret") && !said.contains("word"), "{said}");
}

#[test]
fn what_could_not_be_delivered_survives_a_restart_and_what_is_refused_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let closed = Server::start(Vec::new());
    let url = closed.url("/");
    let port = closed.stop();
    let mut desk = Desk::open(hooks(webhook(url.clone())), dir.path());
    (1..=3).for_each(|id| desk.alert(id, Phase::Over));
    wait_for("a failure", || desk.said().contains("they wait").then_some(()));
    assert!(desk.close().contains("3 alerts are not delivered yet"));

    let other = Desk::open(hooks(webhook(url.clone() + "other")), dir.path());
    assert!(other.close().contains("3 alerts wait there for a destination that is no longer configured"));

    let server = Server::on(port, vec![Answer::Status(400)]);
    let mut desk = Desk::open(hooks(webhook(url)), dir.path());
    desk.alert(4, Phase::Over);
    wait_for("the rest", || (ids(&server).len() == 3).then_some(()));
    assert_eq!(ids(&server), [2, 3, 4]);
    let said = desk.close();
    let place = said.lines().find_map(|line| line.split("it is in ").nth(1)).unwrap();
    assert!(said.contains("status 400"), "{said}");
    let kept: serde_json::Value = serde_json::from_str(&fs::read_to_string(place).unwrap()).unwrap();
    assert!(place.ends_with("-1-over.json") && kept["phase"] == "over", "{place}: {kept}");
}

#[test]
fn over_tls_only_with_a_certificate_that_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let Some(certs) = certificates(dir.path()) else { return };
    let server = Server::tls(&certs);
    let trusting = WebhookSettings { ca_file: Some(certs.ca.clone()), ..webhook(server.url("/")) };
    let mut desk = Desk::open(hooks(trusting), &dir.path().join("a"));
    desk.alert(1, Phase::Begun);
    wait_for("the alert", || (ids(&server) == [1]).then_some(()));
    desk.close();
    let mut desk = Desk::open(hooks(webhook(server.url("/"))), &dir.path().join("b"));
    desk.alert(2, Phase::Begun);
    wait_for("the refusal", || desk.said().contains("they wait").then_some(()));
    assert!(!ids(&server).contains(&2));
    desk.close();
}

/// A program that does what the lines say.
fn script(dir: &Path, lines: &str) -> PathBuf {
    let path = dir.join("hook");
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn command(argv: Vec<String>, wanted: Wanted) -> DeliverySettings {
    let timeout = Duration::from_millis(400);
    DeliverySettings { commands: vec![CommandSettings { argv, timeout, wanted }], ..settings() }
}

#[test]
fn a_command_gets_its_arguments_as_they_are_the_alert_and_no_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let words =
        format!("echo \"$1|$STARTLE_CAMERA|$STARTLE_PHASE|$CARGO_MANIFEST_DIR\" >> {0}; cat >> {0}", log.display());
    let argv = vec![script(dir.path(), &words).display().to_string(), "$(reboot); 'x'".into()];
    let wanted = Wanted { phases: Phases { begun: false, over: true }, cameras: vec!["gate".into()] };
    let mut desk = Desk::open(command(argv, wanted), &dir.path().join("spool"));
    desk.alert(1, Phase::Begun);
    desk.alert(1, Phase::Over);
    let text = wait_for("the log", || fs::read_to_string(&log).ok().filter(|text| text.contains("\"id\":1")));
    assert!(text.starts_with("$(reboot); 'x'|gate|over|\n{"), "{text}");
    assert_eq!(text.matches("\"type\":\"event\"").count(), 1);
    desk.close();
}

#[test]
fn a_command_that_hangs_is_ended_with_all_that_it_started_and_one_that_fails_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let words = format!("sleep 98 & echo $! >> {}; echo what is wrong >&2; sleep 99", pids.display());
    let argv = vec![script(dir.path(), &words).display().to_string()];
    let mut desk = Desk::open(command(argv, Wanted::default()), &dir.path().join("spool"));
    desk.alert(1, Phase::Begun);
    wait_for("three attempts", || desk.said().contains("refuses alert").then_some(()));
    let alive = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let started = fs::read_to_string(&pids).unwrap();
    assert_eq!(started.lines().count(), 3);
    wait_for("their end", || started.lines().all(|pid| !alive(pid)).then_some(()));
    let said = desk.close();
    assert!(said.contains("it was ended after 0.4 s"), "{said}");
}

fn mqtt(url: String, ca_file: Option<PathBuf>) -> DeliverySettings {
    let broker = MqttSettings {
        url: Secret(url),
        username: None,
        password: None,
        topic_prefix: "watch".into(),
        discovery_prefix: Some("homeassistant".into()),
        ca_file,
    };
    DeliverySettings { mqtt: Some(broker), ..settings() }
}

#[test]
fn a_broker_gets_alerts_discovery_and_what_waited_while_it_was_away() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::start(dir.path(), None) else { return };
    let topics = watch_topics(&broker.url(), None);
    let mut desk = Desk::open(mqtt(broker.url(), None), &dir.path().join("spool"));
    wait_for("availability", || topics.last("watch/status").filter(|text| text == "online"));
    let config = wait_for("discovery", || topics.last("homeassistant/binary_sensor/startle_gate/config"));
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(
        (config["state_topic"].as_str(), config["device_class"].as_str()),
        (Some("watch/gate/state"), Some("problem"))
    );
    desk.alert(1, Phase::Begun);
    wait_for("on", || topics.last("watch/gate/state").filter(|text| text == "ON"));
    desk.alert(1, Phase::Over);
    wait_for("off", || topics.last("watch/gate/state").filter(|text| text == "OFF"));
    assert!(
        topics.last("watch/gate/thumbnail").is_some()
            && !topics.last("watch/gate/event").unwrap().contains("thumbnail")
    );

    let port = broker.stop();
    wait_for("the loss", || {
        desk.alert(2, Phase::Begun);
        desk.said().contains("they wait").then_some(())
    });
    let waiting = 1 + fs::read_dir(dir.path().join("spool")).unwrap().flatten().filter(|e| e.path().is_dir()).count();
    assert!(waiting >= 2);
    desk.alert(3, Phase::Begun);
    let broker = Broker::on(dir.path(), port, None).unwrap();
    let again = watch_topics(&broker.url(), None);
    wait_for("what waited", || again.last("watch/gate/event").filter(|text| text.contains("\"id\":3")));
    let seen: Vec<String> = again.all("watch/gate/event");
    let numbers: Vec<u64> = seen
        .iter()
        .map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap()["id"].as_u64().unwrap())
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert!(desk.close().contains("takes alerts again"));
    wait_for("its end", || again.last("watch/status").filter(|text| text == "offline"));
}

#[test]
fn a_broker_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let Some(certs) = certificates(dir.path()) else { return };
    let Some(broker) = Broker::start(dir.path(), Some(&certs)) else { return };
    let topics = watch_topics(&broker.url(), Some(&certs.ca));
    let mut desk = Desk::open(mqtt(broker.url(), Some(certs.ca.clone())), &dir.path().join("spool"));
    desk.alert(1, Phase::Begun);
    wait_for("on", || topics.last("watch/gate/state").filter(|text| text == "ON"));
    desk.close();
    let mut desk = Desk::open(mqtt(broker.url(), None), &dir.path().join("other"));
    desk.alert(1, Phase::Begun);
    wait_for("the refusal", || desk.said().contains("they wait").then_some(()));
    desk.close();
}
