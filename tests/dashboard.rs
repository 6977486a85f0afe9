//! The dashboard as a program and as a browser see it: login, guards, API, metrics, the page.

#[path = "support/live.rs"]
mod live;
#[path = "support/peers.rs"]
mod peers;
mod support;

use live::{Running, free_port, sample};
use peers::certificates;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::cli::{ffmpeg, startle};
use ureq::{Agent, Body, http::Response};

const PASSWORD: &str = "correct horse";

/// A monitor with a dashboard.
struct Desk {
    url: String,
    agent: Agent,
    _running: Running,
}

/// A sample with a violation, then a second of black.
fn film(dir: &Path) -> PathBuf {
    let path = dir.join("gate.mp4");
    let input = sample("appear_0_impossible.mp4");
    let encode =
        ["-vf", "tpad=stop_duration=1", "-c:v", "libx264", "-preset", "ultrafast", "-g", "15", "-pix_fmt", "yuv420p"];
    ffmpeg(&[&["-i", &input], &encode[..], &[path.to_str().unwrap()]].concat());
    path
}

fn hash() -> String {
    let out = startle().arg("passwd").write_stdin(format!("{PASSWORD}\n")).assert().success();
    let hash = String::from_utf8(out.get_output().stdout.clone()).unwrap();
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    hash.trim().into()
}

fn user() -> String {
    format!("[[dashboard.user]]\nname = \"anna\"\npassword_hash = {:?}\n", hash())
}

fn agent(ca: Option<&Path>) -> Agent {
    use ureq::tls::{Certificate, RootCerts, TlsConfig};
    let mut config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_mins(2)));
    if let Some(ca) = ca {
        let certificate = Certificate::from_pem(&fs::read(ca).unwrap()).unwrap();
        let roots = RootCerts::new_with_certs(&[certificate]);
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    config.build().into()
}

impl Desk {
    fn start(dir: &Path, dashboard: &str, ca: Option<&Path>) -> Self {
        let (port, config) = (free_port(), dir.join("m.toml"));
        let text = format!(
            "[defaults]\nbaseline = \"self\"\nz = 8\n[clips]\nfolder = \"{0}/clips\"\npre_roll_s = 1\npost_roll_s = 0.5\n\
             [dashboard]\nlisten = \"127.0.0.1:{port}\"\n{dashboard}\n[[camera]]\nname = \"gate\"\nurl = \"{1}\"\n",
            dir.display(),
            film(dir).display()
        );
        fs::write(&config, text).unwrap();
        let child = Command::new(assert_cmd::cargo::cargo_bin!("startle"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["monitor", "--model", "persistence", "--realtime", "--loop", "--quiet", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let scheme = if ca.is_some() { "https" } else { "http" };
        let desk = Self { url: format!("{scheme}://localhost:{port}"), agent: agent(ca), _running: Running(child) };
        let begun = Instant::now();
        while !desk.agent.get(format!("{}/readyz", desk.url)).call().is_ok_and(|r| r.status() == 200) {
            assert!(begun.elapsed() < Duration::from_mins(5), "it is not ready");
            std::thread::sleep(Duration::from_millis(100));
        }
        desk
    }

    fn get(&self, path: &str) -> Response<Body> {
        self.agent.get(format!("{}{path}", self.url)).call().unwrap()
    }

    fn json(&self, path: &str) -> Value {
        let mut answer = self.get(path);
        assert_eq!(answer.status(), 200, "{path}");
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Response<Body> {
        let mut request = self.agent.post(format!("{}{path}", self.url)).header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send(body.to_string()).unwrap()
    }

    /// The first event whose clip is there.
    fn event(&self) -> Value {
        let begun = Instant::now();
        loop {
            let events = self.json("/api/events");
            if let Some(event) = events.as_array().unwrap().iter().find(|e| !e["clip"].is_null()) {
                return event.clone();
            }
            assert!(begun.elapsed() < Duration::from_mins(5), "no event with a clip: {events}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn every_described_address_answers_a_mark_stays_and_metrics_count() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::start(dir.path(), "", None);
    let event = desk.event();
    let id = event["incident"].as_str().unwrap();
    let described = desk.json("/api/openapi.json");
    for (path, methods) in described["paths"].as_object().unwrap() {
        if methods.get("get").is_none() || path == "/api/stream" {
            continue;
        }
        let path = path.replace("{id}", id).replace("{index}", "0").replace("{name}", "dashboard.css");
        let answer = desk.get(&path);
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.headers().contains_key("content-security-policy"), "{path}");
    }
    // The clip in part, as players ask for it.
    let part =
        desk.agent.get(format!("{}/api/events/{id}/clip", desk.url)).header("Range", "bytes=0-99").call().unwrap();
    assert_eq!((part.status().as_u16(), part.headers()["content-length"].to_str().unwrap()), (206, "100"));

    // What changes something brings the token, and comes from here.
    let csrf = desk.json("/api/session")["csrf"].as_str().unwrap().to_owned();
    let put = |token: &str, origin: Option<&str>| {
        let url = format!("{}/api/events/{id}/mark", desk.url);
        let mut request =
            desk.agent.put(url).header("Content-Type", "application/json").header("X-Startle-Csrf", token);
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        request.send(json!({"mark": false}).to_string()).unwrap().status().as_u16()
    };
    assert_eq!((put("", None), put(&csrf, Some("https://elsewhere.example"))), (403, 403));
    assert_eq!(put(&csrf, None), 200);
    let marked = desk.json("/api/events").as_array().unwrap().iter().find(|e| e["incident"] == id).cloned().unwrap();
    assert_eq!(marked["mark"], false);
    // What is a false alarm is normal footage to `startle calibrate` (a few seconds are too little, and it says so).
    let clips = dir.path().join("clips").display().to_string();
    let out = dir.path().join("baseline.json").display().to_string();
    let calibrate =
        startle().args(["calibrate", "--model", "persistence", "--false-alarms", &clips, "--out", &out]).assert();
    let said = String::from_utf8(calibrate.failure().get_output().stderr.clone()).unwrap();
    assert!(said.contains("needs at least 100 nearly independent slots"), "{said}");
    // A name of another site that points here gets nothing.
    let foreign = desk.agent.get(format!("{}/api/cameras", desk.url)).header("Host", "evil.example").call().unwrap();
    assert!(foreign.status().is_client_error(), "{}", foreign.status());

    metrics_count(&desk);
}

/// Every metric is there and counts, and Grafana asks for no other.
fn metrics_count(desk: &Desk) {
    let text = desk.get("/metrics").body_mut().read_to_string().unwrap();
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{name} is missing"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    for name in [
        "startle_frames_total{camera=\"gate\"}",
        "startle_clips_total{",
        "startle_events_total{",
        "startle_inference_seconds_count",
        "startle_verdict_latency_seconds_count",
        "startle_alert_latency_seconds_count",
    ] {
        assert!(value(name) > 0.0, "{name}");
    }
    let known: BTreeSet<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    // What the environment names for every command is no option beside it.
    let named = [("ORT_DYLIB_PATH", "libonnxruntime.so"), ("STARTLE_MODEL", "startle-o1"), ("STARTLE_LOG", "info")];
    let grafana = startle().envs(named).args(["monitor", "--print", "grafana"]).assert().success();
    let grafana: Value = serde_json::from_slice(&grafana.get_output().stdout).unwrap();
    for other in [["--listen", "127.0.0.1:0"], ["--device", "cpu"], ["--max-pixels", "100"]] {
        startle().args(["monitor", "--print", "grafana"]).args(other).assert().code(2);
    }
    let words = grafana.to_string();
    for asked in words.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| w.starts_with("startle_")) {
        let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| asked.strip_suffix(end)).unwrap_or(asked);
        assert!(known.contains(asked) || known.contains(base), "Grafana asks for {asked}, which there is not");
    }
}

#[test]
fn with_a_login_nothing_is_told_without_it_and_wrong_attempts_are_limited() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::start(dir.path(), &format!("metrics_token = \"0123456789abcdef\"\n{}", user()), None);
    for path in ["/api/cameras", "/api/events", "/api/stream", "/api/marks"] {
        assert_eq!(desk.get(path).status(), 401, "{path}");
    }
    let log_in = |word: &str| desk.post("/api/login", &[], &json!({"user": "anna", "password": word}));
    let answer = log_in(PASSWORD);
    assert_eq!(answer.status(), 200);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let token = cookie.split(';').next().unwrap();
    let with =
        |path: &str| desk.agent.get(format!("{}{path}", desk.url)).header("Cookie", token).call().unwrap().status();
    assert_eq!(with("/api/cameras"), 200);
    assert_eq!(desk.post("/api/logout", &[("Cookie", token)], &json!({})).status(), 403, "without the token");
    let session = desk.agent.get(format!("{}/api/session", desk.url)).header("Cookie", token).call().unwrap();
    let session: Value = serde_json::from_str(&session.into_body().read_to_string().unwrap()).unwrap();
    let csrf = session["csrf"].as_str().unwrap();
    assert_eq!(desk.post("/api/logout", &[("Cookie", token), ("X-Startle-Csrf", csrf)], &json!({})).status(), 204);
    assert_eq!(with("/api/cameras"), 401);
    let statuses: Vec<u16> = (0..8).map(|_| log_in("wrong").status().as_u16()).collect();
    assert!(statuses[..4].iter().all(|s| *s == 401) && statuses.ends_with(&[429]), "{statuses:?}");
    assert_eq!(log_in(PASSWORD).status(), 429, "not even the right one, for a while");
}

#[test]
fn others_are_served_only_with_a_login_and_tls_is_spoken_where_there_is_a_certificate() {
    let open = startle()
        .args(["monitor", "--listen", "0.0.0.0:0", "--model", "persistence", &sample("appear_0_possible.mp4")])
        .assert();
    let said = String::from_utf8(open.failure().get_output().stderr.clone()).unwrap();
    assert!(said.contains("startle passwd") && said.contains("0.0.0.0"), "{said}");
    let dir = tempfile::tempdir().unwrap();
    let Some(certs) = certificates(dir.path()) else { return };
    let tls = format!("tls_cert = \"{}\"\ntls_key = \"{}\"\n{}", certs.cert.display(), certs.key.display(), user());
    let desk = Desk::start(dir.path(), &tls, Some(&certs.ca));
    let answer = desk.post("/api/login", &[], &json!({"user": "anna", "password": PASSWORD}));
    assert!(answer.headers()["set-cookie"].to_str().unwrap().contains("Secure"));
}

#[test]
fn the_files_to_copy_are_sound() {
    let out = startle().args(["monitor", "--print", "systemd"]).assert().success();
    let unit = out.get_output().stdout.clone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("startle.service");
    fs::write(&path, unit).unwrap();
    match Command::new("systemd-analyze").arg("verify").arg(&path).output() {
        Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
        Err(_) => eprintln!("skipped: systemd-analyze is not installed"),
    }
}

#[test]
fn the_page_works_in_a_browser() {
    let Some(mut command) = support::cli::browser("dashboard.mjs") else { return };
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::start(dir.path(), &user(), None);
    command.args([&desk.url, "anna", PASSWORD]);
    // For the pictures in reports/: STARTLE_SCREENSHOTS=reports/dashboard.
    command.args(std::env::var_os("STARTLE_SCREENSHOTS"));
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
