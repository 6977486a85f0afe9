//! Peers that alerts are sent to: an HTTP(S) server that does wrong on purpose, mosquitto, a subscriber, certificates.
// Not every test binary uses all of them.
#![allow(dead_code)]

use rumqttc::{Client, Event, MqttOptions, Packet, QoS, Transport};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the server does with a request.
#[derive(Clone, Copy)]
pub enum Answer {
    Status(u16),
    /// Nothing, for a while.
    Hang,
    /// Ends the connection without a word.
    Close,
}

/// A request as it came.
#[derive(Clone)]
pub struct Request {
    head: String,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map_or(String::new(), |(_, v)| v.trim().into())
    }
}

#[derive(Default)]
struct Log {
    answers: Vec<Answer>,
    requests: Vec<Request>,
    taken: Vec<Value>,
}

/// An HTTP server: gives the answers in turn, then 200 for ever.
pub struct Server {
    port: u16,
    scheme: &'static str,
    log: Arc<Mutex<Log>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    pub fn start(answers: Vec<Answer>) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").unwrap(), answers, None)
    }

    pub fn on(port: u16, answers: Vec<Answer>) -> Self {
        Self::serve(TcpListener::bind(("127.0.0.1", port)).unwrap(), answers, None)
    }

    pub fn tls(certs: &Certificates) -> Self {
        use rustls::pki_types::pem::PemObject;
        let chain = rustls::pki_types::CertificateDer::from_pem_file(&certs.cert).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&certs.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        Self::serve(TcpListener::bind("127.0.0.1:0").unwrap(), Vec::new(), Some(Arc::new(config)))
    }

    fn serve(listener: TcpListener, answers: Vec<Answer>, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Mutex::new(Log { answers, ..Log::default() }));
        let ended = Arc::<AtomicBool>::default();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (shared, end) = (Arc::clone(&log), Arc::clone(&ended));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                let (log, tls) = (Arc::clone(&shared), tls.clone());
                std::thread::spawn(move || match tls {
                    None => answer(client, &log),
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        answer(rustls::StreamOwned::new(connection, client), &log);
                    }
                });
            }
        });
        Self { port, scheme, log, ended }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.port)
    }

    /// What was answered with 200.
    pub fn taken(&self) -> Vec<Value> {
        self.log.lock().unwrap().taken.clone()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().requests.clone()
    }

    /// Ends it; gives its port.
    pub fn stop(self) -> u16 {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        std::thread::sleep(Duration::from_millis(50));
        self.port
    }
}

/// Answers the requests of one connection.
fn answer(stream: impl Read + Write, log: &Mutex<Log>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            head += &line;
        }
        let mut request = Request { head, body: String::new() };
        let mut body = vec![0; request.header("content-length").parse().unwrap_or(0)];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        request.body = String::from_utf8(body).unwrap();
        let answer = {
            let mut log = log.lock().unwrap();
            let answer = if log.answers.is_empty() { Answer::Status(200) } else { log.answers.remove(0) };
            log.requests.push(request.clone());
            if matches!(answer, Answer::Status(200)) {
                log.taken.push(serde_json::from_str(&request.body).unwrap());
            }
            answer
        };
        match answer {
            Answer::Status(status) => {
                let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                if stream.get_mut().write_all(text.as_bytes()).and_then(|()| stream.get_mut().flush()).is_err() {
                    return;
                }
            }
            Answer::Hang => std::thread::sleep(Duration::from_secs(3)),
            Answer::Close => return,
        }
    }
}

/// A certificate for localhost and who has signed it.
pub struct Certificates {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Made by `openssl`; `None` (and says so) where that is not installed.
pub fn certificates(dir: &Path) -> Option<Certificates> {
    let path = |name: &str| dir.join(name).display().to_string();
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    std::fs::write(path("san"), names).unwrap();
    let steps: [Vec<String>; 3] = [
        format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout {} -out {}",
            path("ca.key"),
            path("ca.pem")
        ),
        format!("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {} -out {}", path("key.pem"), path("csr")),
        format!(
            "x509 -req -in {} -CA {} -CAkey {} -CAcreateserial -days 2 -extfile {} -out {}",
            path("csr"),
            path("ca.pem"),
            path("ca.key"),
            path("san"),
            path("cert.pem")
        ),
    ]
    .map(|line| line.split(' ').map(str::to_owned).collect());
    for step in steps {
        let Ok(done) = Command::new("openssl").args(step).output() else {
            eprintln!("skipped: the openssl program is not installed (apt install openssl)");
            return None;
        };
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    Some(Certificates { ca: dir.join("ca.pem"), cert: dir.join("cert.pem"), key: dir.join("key.pem") })
}

/// A mosquitto of our own.
pub struct Broker {
    child: Child,
    port: u16,
    secure: bool,
}

impl Broker {
    /// `None` (and says so) where it is not installed.
    pub fn start(dir: &Path, certs: Option<&Certificates>) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::on(dir, port, certs)
    }

    pub fn on(dir: &Path, port: u16, certs: Option<&Certificates>) -> Option<Self> {
        let mut config = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
        if let Some(certs) = certs {
            let _ = write!(config, "certfile {}\nkeyfile {}\n", certs.cert.display(), certs.key.display());
        }
        let file = dir.join("mosquitto.conf");
        std::fs::write(&file, config).unwrap();
        // It gives up root for a user of its own, who must be able to read the certificates.
        if let Some(certs) = certs {
            for path in [dir, &certs.key, &certs.cert] {
                let _ = Command::new("chmod").arg("a+rX").arg(path).status();
            }
        }
        let program = ["/usr/sbin/mosquitto", "mosquitto"].into_iter().find_map(|program| {
            Command::new(program).arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
        });
        let Some(child) = program else {
            eprintln!("skipped: mosquitto is not installed (apt install mosquitto)");
            return None;
        };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_mins(2), "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, port, secure: certs.is_some() })
    }

    pub fn url(&self) -> String {
        format!("{}://localhost:{}", if self.secure { "mqtts" } else { "mqtt" }, self.port)
    }

    /// Ends it; gives its port.
    pub fn stop(mut self) -> u16 {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.port
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was published since it began to listen, and what was kept.
pub struct Topics(Arc<Mutex<Vec<(String, String)>>>);

impl Topics {
    pub fn all(&self, topic: &str) -> Vec<String> {
        let seen = self.0.lock().unwrap();
        seen.iter().filter(|(name, _)| name == topic).map(|(_, text)| text.clone()).collect()
    }

    pub fn last(&self, topic: &str) -> Option<String> {
        self.all(topic).pop()
    }
}

/// Subscribers of this process so far.
static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

/// Subscribes to everything.
pub fn watch_topics(url: &str, ca: Option<&Path>) -> Topics {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (host, port) = url.split_once("://").unwrap().1.rsplit_once(':').unwrap();
    let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut options = MqttOptions::new(name, rumqttc::Broker::tcp(host, port.parse().unwrap()));
    options.set_max_packet_size(4 << 20, 4 << 20);
    if let Some(ca) = ca {
        options.set_transport(Transport::tls(std::fs::read(ca).unwrap(), None, None));
    }
    let (client, mut connection) = Client::builder(options).capacity(10).build();
    client.subscribe("#", QoS::AtLeastOnce).unwrap();
    let seen = Arc::<Mutex<Vec<(String, String)>>>::default();
    let log = Arc::clone(&seen);
    let (tell, ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _client = client;
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    let text = String::from_utf8_lossy(&message.payload).into_owned();
                    log.lock().unwrap().push((String::from_utf8_lossy(&message.topic).into_owned(), text));
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => drop(tell.send(())),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    });
    ready.recv_timeout(Duration::from_mins(2)).unwrap();
    Topics(seen)
}
