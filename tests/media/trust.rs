//! Files and servers that mean harm: nothing is fetched, no port is opened, nothing local is read for them, and none takes
//! more memory or time than it may.

use crate::make::{at, decode, make};
use startle::media::ffmpeg::{FfmpegSource, Limits, OpenOptions};
use startle::media::open::Input;
use startle::media::{FrameSource, Step};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SCENE: &str = "testsrc2=size=64x48:rate=10:duration=1";

fn quick() -> OpenOptions {
    OpenOptions { timeout: Duration::from_millis(400), ..OpenOptions::default() }
}

fn refused(input: &Input, options: &OpenOptions) -> String {
    let opened = FfmpegSource::open(input, options);
    opened.err().unwrap_or_else(|| panic!("{input} was opened")).to_string()
}

fn written(name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    std::fs::write(at(name), bytes).unwrap();
    at(name)
}

/// UDP sockets of this process's network.
fn udp_ports() -> usize {
    let count = |table: &str| std::fs::read_to_string(table).unwrap_or_default().lines().count();
    count("/proc/self/net/udp") + count("/proc/self/net/udp6")
}

/// A server that answers every request until what it tells of them is dropped.
fn server(reply: impl Fn(&str) -> String + Send + 'static) -> (u16, std::sync::mpsc::Receiver<String>) {
    byte_server(move |line| reply(line).into_bytes())
}

/// A server of one film.
fn film_server(film: Vec<u8>) -> (u16, std::sync::mpsc::Receiver<String>) {
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", film.len());
    byte_server(move |_| [head.as_bytes(), &film].concat())
}

fn byte_server(reply: impl Fn(&str) -> Vec<u8> + Send + 'static) -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 4096];
            let count = connection.read(&mut request).unwrap_or(0);
            let line = String::from_utf8_lossy(&request[..count]).lines().next().unwrap_or("").to_owned();
            let _ = connection.write_all(&reply(&line));
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    (port, asked)
}

fn page(kind: &str, body: &str) -> String {
    format!("HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_file_fetches_nothing_and_opens_no_port() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/x.ts");
    let manifest = format!(
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
         mediaPresentationDuration=\"PT9S\" profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\"><Period><AdaptationSet \
         mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>{url}</BaseURL></Representation>\
         </AdaptationSet></Period></MPD>"
    );
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n");
    let session = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 0.0.0.0\nt=0 0\nm=video 45678 RTP/AVP 96\na=rtpmap:96 H264/90000\n";
    let join = format!("ffconcat version 1.0\nfile {url}\n");
    let before = udp_ports();
    for (name, text, words) in [
        ("x%.mp4", manifest.as_str(), "DASH"),
        ("x.mpd", &manifest, "DASH"),
        ("plain.mp4", &manifest, "DASH"),
        ("y%.mp4", &playlist, "playlist"),
        ("z.m3u8", &playlist, ""),
        ("s%.mp4", session, "SDP"),
        ("s.sdp", session, "SDP"),
        ("j%.mp4", &join, "list of files"),
        ("j.ffconcat", &join, ""),
    ] {
        let error = refused(&Input::File(written(name, text)), &quick());
        assert!(error.contains(words), "{name}: {error}");
        let fetched = listener.accept().err().map(|e| e.kind());
        assert_eq!(fetched, Some(ErrorKind::WouldBlock), "{name} made a connection");
    }
    assert_eq!(udp_ports(), before, "a port was opened");
}

#[test]
fn a_server_does_not_have_local_videos_read() {
    let film = make("secret.ts", SCENE, "-c:v mpeg2video");
    let list = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nfile://{0}\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n",
        film.display()
    );
    let (port, _asked) = server(move |_| page("application/vnd.apple.mpegurl", &list));
    refused(&Input::Url(format!("http://127.0.0.1:{port}/live.m3u8")), &quick());
    let join = format!("ffconcat version 1.0\nfile {}\n", film.display());
    let (port, _asked) = server(move |_| page("text/plain", &join));
    refused(&Input::Url(format!("http://127.0.0.1:{port}/live.ffconcat")), &quick());
}

#[test]
fn a_camera_is_not_sent_on_to_another_host_unless_allowed() {
    let (end, _asked) = film_server(std::fs::read(make("sent-on.ts", SCENE, "-c:v mpeg2video")).unwrap());
    let to = |host: &str| {
        let target = format!("http://{host}:{end}/film.ts");
        let (port, _asked) =
            server(move |_| format!("HTTP/1.0 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"));
        Input::Url(format!("http://127.0.0.1:{port}/"))
    };
    let strict = OpenOptions { other_hosts: false, ..OpenOptions::default() };
    let error = refused(&to("localhost"), &strict);
    assert!(error.contains("another host (localhost)") && error.contains("follow_redirects"), "{error}");
    FfmpegSource::open(&to("127.0.0.1"), &strict).unwrap();
    FfmpegSource::open(&to("localhost"), &OpenOptions::default()).unwrap();
}

/// What a playlist of one piece and, before it, `tag` says.
fn playlist(tag: &str, piece: &str) -> String {
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:9\n{tag}#EXTINF:1,\n{piece}\n#EXT-X-ENDLIST\n")
}

#[test]
fn what_a_server_names_is_asked_for_only_where_it_may_be() {
    let film = make("piece.ts", SCENE, "-c:v mpeg2video");
    let bytes = std::fs::read(&film).unwrap();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let other = format!("localhost:{}", elsewhere.local_addr().unwrap().port());
    let same = format!("127.0.0.1:{}", elsewhere.local_addr().unwrap().port());
    let dash = format!(
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
         mediaPresentationDuration=\"PT9S\" profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\"><Period><AdaptationSet \
         mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>http://{other}/x.mp4</BaseURL>\
         </Representation></AdaptationSet></Period></MPD>"
    );
    let key = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"http://{other}/key\"\n");
    let map = format!("#EXT-X-MAP:URI=\"http://{other}/init.mp4\"\n");
    let variant = format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://{other}/sub.m3u8\n");
    let plain = [
        dash.clone(),
        playlist("", &format!("http://{other}/1.ts")),
        playlist(&key, "1.ts"),
        playlist(&map, "1.ts"),
        variant,
    ];
    // A camera: another host, in every way of naming one. Any server: another protocol.
    let camera = OpenOptions { other_hosts: false, ..quick() };
    let cases = plain.map(|text| (text, camera.clone())).into_iter().chain(
        [
            format!("tcp://{same}"),
            format!("udp://{same}"),
            format!("crypto+tcp://{same}"),
            format!("rtmp://{same}/a/b"),
        ]
        .map(|piece| (playlist("", &piece), quick())),
    );
    for (text, options) in cases {
        let kind = if text.starts_with('#') { "application/vnd.apple.mpegurl" } else { "application/dash+xml" };
        let reply = page(kind, &text);
        let (port, _asked) = server(move |_| reply.clone());
        let ending = if kind.ends_with("xml") { "mpd" } else { "m3u8" };
        let error = refused(&Input::Url(format!("http://127.0.0.1:{port}/live.{ending}")), &options);
        let asked = elsewhere.accept().err().map(|e| e.kind());
        assert_eq!(asked, Some(ErrorKind::WouldBlock), "{text} had another host asked");
        if !options.other_hosts {
            assert!(error.contains("another host") && error.contains("follow_redirects"), "{text}: {error}");
        }
    }

    // The same host's pieces are fetched; one that is sent on to another host is not shown.
    let (end, _film) = film_server(bytes);
    let open = |piece: &str, options: &OpenOptions| {
        let list = page("application/vnd.apple.mpegurl", &playlist("", piece));
        let sent_on = format!("HTTP/1.0 302 Found\r\nLocation: http://localhost:{end}/\r\nContent-Length: 0\r\n\r\n");
        let (port, _asked) = server(move |line| if line.contains("m3u8") { list.clone() } else { sent_on.clone() });
        let opened = FfmpegSource::open(&Input::Url(format!("http://127.0.0.1:{port}/live.m3u8")), options);
        opened.map(|_| ()).map_err(|e| e.to_string())
    };
    open(&format!("http://127.0.0.1:{end}/1.ts"), &camera).unwrap();
    let error = open("1.ts", &camera).unwrap_err();
    assert!(error.contains("another host (localhost)"), "{error}");
    open("1.ts", &quick()).unwrap();
}

#[test]
fn lists_without_an_end_are_refused_or_given_up() {
    let itself = written("loop.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nloop.m3u8\n");
    assert!(refused(&Input::File(itself), &OpenOptions::default()).contains("names itself"));

    // One that is still being written, by nobody.
    make(
        "open.m3u8",
        SCENE,
        "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -f hls -hls_time 1 -hls_flags omit_endlist",
    );
    let begun = Instant::now();
    let mut source = FfmpegSource::open(&Input::File(at("open.m3u8")), &quick()).unwrap();
    while source.next_step().unwrap() != Step::End {}
    assert_eq!(source.frames_decoded(), 10);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

/// A GIF of one pixel on a screen of this size.
fn gif(side: u16) -> Vec<u8> {
    let [low, high] = side.to_le_bytes();
    let mut bytes = b"GIF89a".to_vec();
    bytes.extend([low, high, low, high, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]);
    bytes.extend([0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3b]);
    bytes
}

fn peak_kib() -> u64 {
    startle::pipeline::peak_rss_bytes().unwrap() / 1024
}

#[test]
fn small_files_that_need_gigabytes_are_refused_in_words() {
    let input = |side| Input::File(written(&format!("{side}.gif"), gif(side)));
    FfmpegSource::open(&input(64), &OpenOptions::default()).unwrap();
    let before = peak_kib();
    let error = refused(&input(16_000), &OpenOptions::default());
    assert!(error.contains("16000×16000") && error.contains("--max-pixels"), "{error}");
    assert!(peak_kib() < before + 300_000, "it took {} KiB", peak_kib() - before);
    let stricter = OpenOptions { limits: Limits { pixels: 1000, ..Limits::default() }, ..OpenOptions::default() };
    assert!(refused(&input(64), &stricter).contains("64×64"));

    let many = "-map 0 ".repeat(140);
    make("many.mkv", "color=size=16x16:rate=5:duration=0.4", &format!("{many} -c:v rawvideo -pix_fmt yuv420p"));
    let error = refused(&Input::File(at("many.mkv")), &OpenOptions::default());
    assert!(error.contains("128 streams") && error.contains("--max-streams"), "{error}");
    let more = OpenOptions { limits: Limits { streams: 200, ..Limits::default() }, ..OpenOptions::default() };
    FfmpegSource::open(&Input::File(at("many.mkv")), &more).unwrap();
}

#[test]
fn names_that_mean_something_to_ffmpeg_are_only_names() {
    for name in ["50%.mp4", "a:b.mp4", "c{1,2}.mp4", "d[1].mp4", "e?.mp4"] {
        let film = make("plain-name.mp4", SCENE, "-c:v libx264 -preset ultrafast -pix_fmt yuv420p");
        std::fs::rename(film, at(name)).unwrap();
        assert_eq!(decode(Path::new(&at(name))).frames.len(), 10, "{name}");
    }
}

#[test]
fn what_is_not_damaged_is_not_called_damaged() {
    // An animation's header: RIFF, an extended WebP of 16×16 with the flag of animations, its background, one frame.
    let mut webp = b"RIFF\x4a\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x0f\0\0\x0f\0\0".to_vec();
    webp.extend(b"ANIM\x06\0\0\0\xff\xff\xff\xff\0\0ANMF\x1e\0\0\0\0\0\0\0\0\0\x0f\0\0\x0f\0\0\x64\0\0\0");
    webp.extend(b"VP8L\x0d\0\0\0\x2f\x0f\xc0\x03\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0");
    let key = "76a6c65c5ea762046bd749a2e632ccbb";
    let secret = format!("-encryption_scheme cenc-aes-ctr -encryption_key {key} -encryption_kid {key}");
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
    for (path, words) in [
        (written("moving.webp", webp), "animated WebP"),
        (
            make("cenc.mp4", "testsrc2=size=160x120:rate=10:duration=2", &format!("{x264} {secret}")),
            "Common Encryption",
        ),
        (written("list.mp4", "#EXTM3U\n#EXTINF:1,\na.ts\n"), "is a playlist"),
    ] {
        let error = refused(&Input::File(path), &quick());
        assert!(error.contains(words) && !error.contains("damaged"), "{words}: {error}");
    }

    // A server that knows no ranges, and the index at the end.
    let film = std::fs::read(make("index-last.mp4", "testsrc2=size=640x360:rate=25:duration=4", x264)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 4096]);
            let head = format!("HTTP/1.0 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {}\r\n\r\n", film.len());
            let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&film));
        }
    });
    let error = refused(&Input::Url(format!("http://127.0.0.1:{port}/film.mp4")), &OpenOptions::default());
    assert!(error.contains("range requests") && error.contains("faststart") && !error.contains("damaged"), "{error}");
}
