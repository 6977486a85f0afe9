//! A hub on this machine: the four requests that startle makes, and what can go wrong with them.

use assert_cmd::Command;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

const ID: &str = "someone/small-vjepa2";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the hub has and does.
#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// Weights end after so many bytes of the first answer.
    cut: Option<usize>,
    /// The hash that is stated of weights is another one.
    lie: bool,
    /// What was asked for: method, path, first byte.
    asked: Vec<(String, String, u64)>,
}

struct FakeHub {
    address: String,
    state: Arc<Mutex<State>>,
}

impl FakeHub {
    fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut state = State::default();
        for name in ["config.json", "model.safetensors"] {
            state.files.insert(name.into(), std::fs::read(folder.join(name)).unwrap());
        }
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream.unwrap(), &shared));
            }
        });
        Self { address, state }
    }

    fn asked(&self) -> Vec<(String, String, u64)> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let mut start = 0;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().unwrap();
        }
    }
    let parts: Vec<&str> = first.split(' ').collect();
    let (method, path) = (parts[0], parts[1]);
    let mut state = state.lock().unwrap();
    state.asked.push((method.into(), path.rsplit('/').next().unwrap().into(), start));
    let answer = answer(&mut state, method, path, usize::try_from(start).unwrap());
    let mut stream = stream;
    let _ = stream.write_all(&answer);
}

fn answer(state: &mut State, method: &str, path: &str, start: usize) -> Vec<u8> {
    let whole =
        |head: String, body: &[u8]| [format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes(), body].concat();
    if path == format!("/api/models/{ID}/revision/main") {
        let names: Vec<_> = state.files.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
        let body = serde_json::json!({"sha": COMMIT, "siblings": names}).to_string();
        return whole(format!("200 OK\r\nContent-Length: {}", body.len()), body.as_bytes());
    }
    if let Some(name) = path.strip_prefix("/bytes/") {
        let (body, cut) = (&state.files[name], state.cut.take());
        let head = if start > 0 { "206 Partial Content" } else { "200 OK" };
        let head = format!("{head}\r\nContent-Length: {}", body.len() - start);
        return whole(head, &body[start..cut.unwrap_or(body.len())]);
    }
    let Some(name) = path.strip_prefix(&format!("/{ID}/resolve/{COMMIT}/")) else {
        return whole("404 Not Found\r\nContent-Length: 0".into(), b"");
    };
    let body = state.files[name].clone();
    if name == "model.safetensors" {
        // Weights lie elsewhere; the hub states their hash and sends one on.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &body).unwrap();
        let hash = startle::model::bundle::sha256_file(file.path()).unwrap();
        let hash = if state.lie { hash.replace(['a', '1'], "0") } else { hash };
        let stated = format!("X-Linked-Etag: \"{hash}\"\r\nX-Linked-Size: {}", body.len());
        return whole(
            format!("302 Found\r\nLocation: /bytes/{name}?\r\n{stated}\r\nContent-Length: 0").replace('?', ""),
            b"",
        );
    }
    let head = format!("200 OK\r\nETag: \"77aa\"\r\nContent-Length: {}", body.len());
    whole(head, if method == "HEAD" { b"" } else { &body })
}

/// Adds the hub's model; success, and what was said.
fn add(hub: &FakeHub, home: &Path, more: &[&str], offline: bool) -> (bool, String) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("startle"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("HF_ENDPOINT", &hub.address).env("HF_HOME", home.join("hf"));
    command.env("XDG_DATA_HOME", home).env_remove("HF_TOKEN").env_remove("HF_HUB_CACHE");
    command.env("HF_HUB_OFFLINE", if offline { "1" } else { "0" });
    let output = command.args(["models", "add", ID, "--device", "cpu"]).args(more).output().unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_model_of_the_hub_is_downloaded_once_gone_on_with_and_checked() {
    let (dir, hub) = (super::place(), FakeHub::start(&super::committed()));
    let (ok, said) = add(&hub, dir.path(), &[], true);
    assert!(!ok && said.contains("not in the cache") && said.contains("HF_HUB_OFFLINE"), "{said}");
    assert!(hub.asked().is_empty(), "offline means offline");

    hub.state.lock().unwrap().cut = Some(50_000);
    let (ok, said) = add(&hub, dir.path(), &[], false);
    assert!(!ok && said.contains("model.safetensors") && said.contains("run the command again to go on"), "{said}");
    assert!(!dir.path().join("startle/models/small-vjepa2").exists());
    hub.asked();

    let (ok, said) = add(&hub, dir.path(), &[], false);
    assert!(ok && said.contains("none of it copied"), "{said}");
    assert!(
        hub.asked().contains(&("GET".into(), "model.safetensors".into(), 50_000)),
        "it goes on where it was cut off"
    );
    let bundle = dir.path().join("startle/models/small-vjepa2");
    let manifest = std::fs::read_to_string(bundle.join("bundle.toml")).unwrap();
    assert!(manifest.contains(&format!("{ID} on the Hugging Face hub, revision {COMMIT}")), "{manifest}");

    for offline in [false, true] {
        let (ok, said) = add(&hub, dir.path(), &["--force"], offline);
        assert!(ok, "{said}");
        assert!(!hub.asked().iter().any(|(_, path, _)| path == "model.safetensors"), "it is in the cache");
    }
}

#[test]
fn what_is_not_what_the_hub_states_is_thrown_away() {
    let (dir, hub) = (super::place(), FakeHub::start(&super::committed()));
    hub.state.lock().unwrap().lie = true;
    let (ok, said) = add(&hub, dir.path(), &[], false);
    assert!(!ok && said.contains("not what the hub states"), "{said}");
    let blobs = dir.path().join("hf/hub/models--someone--small-vjepa2/blobs");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 1, "the configuration alone");
    let (ok, said) = add(&hub, dir.path(), &["--revision", "other"], false);
    assert!(!ok && said.contains("no such model, revision or file"), "{said}");
}
