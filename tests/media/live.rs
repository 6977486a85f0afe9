//! Pipes and networks: what is piped in is read, what stays silent is given up, and a stop ends every wait.

use crate::make::{at, drain, make};
use startle::Error;
use startle::media::ffmpeg::{FfmpegSource, OpenOptions};
use startle::media::open::{Input, parse};
use startle::media::{FrameSource, GapReason, Step};
use startle::units::Stop;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A stop must end any wait within this (half a second, and the same again for a loaded machine).
const SOON: Duration = Duration::from_secs(1);
/// Names the child's part of the test below.
const CHILD: &str = "STARTLE_TEST_STDIN";

/// A server on this machine; `serve` answers its one connection.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> Input {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = connection.read(&mut request);
        serve(connection);
    });
    Input::Url(format!("http://user:word@127.0.0.1:{port}/film.ts?token=abc"))
}

/// The same for any number of connections, one after the other.
fn cameras(serve: impl Fn(TcpStream) + Send + 'static) -> Input {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 4096]);
            serve(connection);
        }
    });
    Input::Url(format!("http://127.0.0.1:{port}/stream"))
}

fn impatient(millis: u64) -> OpenOptions {
    OpenOptions { timeout: Duration::from_millis(millis), ..OpenOptions::default() }
}

/// Requests a stop after a while.
fn stop_after(millis: u64) -> (Stop, OpenOptions) {
    let stop = Stop::new();
    let remote = stop.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(millis));
        remote.request();
    });
    (stop.clone(), OpenOptions { stop, ..OpenOptions::default() })
}

fn broadcast() -> Vec<u8> {
    let path = at("broadcast.ts");
    if !path.exists() {
        make("broadcast.ts", "testsrc2=size=160x120:rate=20:duration=4", "-c:v mpeg2video -g 10");
    }
    std::fs::read(path).unwrap()
}

const OK: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n";

#[test]
fn a_silent_server_is_given_up_and_named_without_secrets() {
    let silent = server(|_connection| std::thread::sleep(Duration::from_secs(20)));
    let begun = Instant::now();
    let error = FfmpegSource::open(&silent, &impatient(300)).err().unwrap().to_string();
    assert!(error.contains("no answer within 0.3 s"), "{error}");
    assert!(!error.contains("word") && !error.contains("abc") && error.contains("***@127.0.0.1"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn refusals_of_a_network_are_told_apart() {
    let gone = server(|mut connection| connection.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n").unwrap());
    let locked = server(|mut connection| connection.write_all(b"HTTP/1.0 403 Forbidden\r\n\r\n").unwrap());
    let closed = Input::Url(format!("http://127.0.0.1:{}/", {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    }));
    let unknown = Input::Url("gopher-x://127.0.0.1/film".into());
    for (input, words) in
        [(gone, "no such video"), (locked, "refuses access"), (closed, "can't connect"), (unknown, "protocol")]
    {
        let error = FfmpegSource::open(&input, &impatient(2000)).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_stop_ends_opening() {
    let silent = server(|_connection| std::thread::sleep(Duration::from_secs(20)));
    let (_, options) = stop_after(100);
    let begun = Instant::now();
    assert!(matches!(FfmpegSource::open(&silent, &options), Err(Error::Stopped)));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn a_stop_ends_reading() {
    let bytes = broadcast();
    let stalled = server(move |mut connection| {
        connection.write_all(OK).unwrap();
        connection.write_all(&bytes).unwrap();
        std::thread::sleep(Duration::from_secs(20));
    });
    // Probing the stream takes as long as its data lasts; the stop comes when it waits for more.
    let (stop, options) = (Stop::new(), impatient(10_000));
    let options = OpenOptions { stop: stop.clone(), ..options };
    let waiting = std::thread::spawn(move || -> startle::Result<u64> {
        let mut source = FfmpegSource::open(&stalled, &options)?;
        while source.next_step()? != Step::End {}
        Ok(source.frames_decoded())
    });
    std::thread::sleep(Duration::from_millis(1200));
    assert!(!waiting.is_finished(), "it waits for more");
    stop.request();
    let begun = Instant::now();
    assert!(matches!(waiting.join().unwrap(), Err(Error::Stopped)));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn a_lost_connection_is_a_gap_not_an_end() {
    let bytes = broadcast();
    let lost = server(move |mut connection| {
        let length = bytes.len() * 2;
        write!(connection, "HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n").unwrap();
        connection.write_all(&bytes).unwrap();
        std::thread::sleep(Duration::from_secs(20));
    });
    let mut source = FfmpegSource::open(&lost, &impatient(700)).unwrap();
    let decoded = drain(&mut source, |_| false);
    assert!(decoded.frames.len() > 70, "{}", decoded.frames.len());
    assert_eq!(decoded.reasons().last(), Some(&GapReason::Truncated), "{:?} {:?}", decoded.gaps, decoded.info.notes);
    assert!(decoded.info.notes.iter().any(|note| note.contains("ended early")), "{:?}", decoded.info.notes);
}

#[test]
fn named_pipes_wait_for_their_writer_but_not_for_ever() {
    let pipe = at("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (_, options) = stop_after(150);
    let begun = Instant::now();
    assert!(matches!(FfmpegSource::open(&Input::File(pipe.clone()), &options), Err(Error::Stopped)));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());

    let (bytes, writer) = (broadcast(), pipe.clone());
    let writing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        std::fs::write(writer, bytes).unwrap();
    });
    let mut source = FfmpegSource::open(&Input::File(pipe), &OpenOptions::default()).unwrap();
    assert_eq!(drain(&mut source, |_| false).frames.len(), 80);
    writing.join().unwrap();
}

/// The part of the tests below that runs in a process of its own, with something piped in.
#[test]
fn child_reads_standard_input() {
    let Ok(name) = std::env::var(CHILD) else { return };
    let input = parse(&name).unwrap().remove(0);
    let (_, options) = stop_after(4000);
    match FfmpegSource::open(&input, &options) {
        Ok(mut source) => println!("decoded={}", drain(&mut source, |_| true).frames.len()),
        Err(error) => println!("error={error}"),
    }
}

/// Runs the test above on `-` or `/dev/stdin` with these bytes piped in; `hold` keeps the pipe open after them.
fn with_stdin(name: &str, bytes: &[u8], hold: Duration) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["live::child_reads_standard_input", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let _ = pipe.write_all(bytes);
    std::thread::sleep(hold);
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn standard_input_is_read_as_it_comes() {
    let raw = std::fs::read(make("piped.y4m", "testsrc2=size=160x120:rate=20:duration=1", "-pix_fmt yuv420p")).unwrap();
    let matroska = std::fs::read(make("piped.mkv", "testsrc2=size=96x64:rate=20:duration=1", "-c:v mpeg4")).unwrap();
    assert!(with_stdin("-", &raw, Duration::ZERO).contains("decoded=20"));
    assert!(with_stdin("-", &broadcast(), Duration::ZERO).contains("decoded=80"));
    assert!(with_stdin("/dev/stdin", &matroska, Duration::ZERO).contains("decoded=20"));
    for name in ["-", "/dev/stdin"] {
        let empty = with_stdin(name, b"", Duration::ZERO);
        assert!(empty.contains("error=") && !empty.contains("error=stopped"), "{empty}");
    }
}

#[test]
fn a_stop_ends_waiting_for_standard_input() {
    let begun = Instant::now();
    let answer = with_stdin("-", b"YUV4MPEG2 W16 H16 F25:1 C420\n", Duration::from_secs(6));
    assert!(answer.contains("error=stopped"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}

#[test]
fn jpegs_in_a_row_are_read_whatever_stands_between_them() {
    make("jpegs.mjpeg", "testsrc2=size=160x120:rate=10:duration=1", "-c:v mjpeg -f mjpeg");
    let bytes = std::fs::read(at("jpegs.mjpeg")).unwrap();
    let starts: Vec<usize> = (0..bytes.len() - 2).filter(|&i| bytes[i..].starts_with(&[0xff, 0xd8, 0xff])).collect();
    let ends = starts[1..].iter().copied().chain([bytes.len()]);
    let pictures: Vec<Vec<u8>> = starts.iter().zip(ends).map(|(&from, to)| bytes[from..to].to_vec()).collect();
    for between in ["", "--x\r\n\r\n", "\r\n--x\r\nContent-Type: image/jpg\r\n\r\n", "Content-Type: image/jpeg\r\n\r\n"]
    {
        let pictures = pictures.clone();
        let camera = cameras(move |mut connection| {
            let head = "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n";
            let _ = connection.write_all(head.as_bytes());
            for picture in pictures.iter().cycle().take(60) {
                let _ = connection.write_all(between.as_bytes()).and_then(|()| connection.write_all(picture));
            }
        });
        let source = FfmpegSource::open(&camera, &impatient(3000));
        let mut source = source.unwrap_or_else(|e| panic!("{between:?}: {e}"));
        assert!(source.is_pushed(), "{between:?}");
        while source.next_step().unwrap() != Step::End {}
        assert!(source.frames_decoded() >= 30, "{between:?}: {}", source.frames_decoded());
    }
}
