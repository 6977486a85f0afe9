//! Clips of encoded packets, codec by codec: what comes out of them is, frame by frame, what went in.

mod support;

use startle::media::ffmpeg::{
    ClipWriter, Container, FfmpegSource, OpenOptions, PacketTap, Piece, Reached, TapLimits, seal,
};
use startle::media::open::Input;
use startle::media::{FrameSource, Step};
use startle::units::MediaTime;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::cli::{ffmpeg, frame_hashes, packets};

const WIDE: TapLimits = TapLimits { span: Duration::from_secs(100), bytes: 100_000_000 };

fn at(seconds: f64) -> MediaTime {
    MediaTime::from_secs_f64(seconds)
}

/// Eight seconds of a moving picture, no two frames alike, as a codec's encoder makes them.
fn video(dir: &Path, name: &str, encode: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=8", "-pix_fmt", "yuv420p"];
    ffmpeg(&[&source, encode, &[path.to_str().unwrap()]].concat());
    path
}

/// Reads a video to its end through a tap, each frame placed `later` than its own time; looks at the tap after each.
fn read_through(path: &Path, tap: &Arc<PacketTap>, later: f64, mut each: impl FnMut(MediaTime)) {
    let options = OpenOptions { tap: Some(Arc::clone(tap)), threads: 1, ..OpenOptions::default() };
    let mut source = FfmpegSource::open(&Input::File(path.to_owned()), &options).unwrap();
    loop {
        match source.next_step().unwrap() {
            Step::Frame { time, .. } => {
                let time = time.plus(at(later));
                source.placed(time);
                each(time);
            }
            Step::Gap { .. } => {}
            Step::End => return,
        }
    }
}

/// Cuts a clip and closes it; gives the file, its first time and how the reading ended.
fn clip(dir: &Path, tap: &PacketTap, from: f64, until: f64) -> (PathBuf, f64, Reached) {
    let (mut cut, source) = tap.cut(at(from), at(from)).unwrap();
    let container = source.container();
    let part = dir.join("part");
    let mut writer = ClipWriter::create(&part, &source).unwrap();
    let Piece { reached, .. } = {
        let piece = tap.read(&mut cut, at(until));
        writer.write(&piece).unwrap();
        piece
    };
    let expected = (writer.frames(), writer.duration_s());
    writer.finish().unwrap();
    let path = dir.join(format!("clip.{}", container.extension()));
    let sealed = seal(&part, &path).unwrap();
    assert_eq!(sealed.frames, expected.0);
    assert!((sealed.duration_s - expected.1).abs() < 0.05, "{sealed:?} {expected:?}");
    (path, cut.start.secs_f64(), reached)
}

/// The place of the clip's frames in the whole: one unbroken run.
fn place(clip: &[String], whole: &[String]) -> usize {
    let found = whole.windows(clip.len()).position(|window| window == clip);
    found.unwrap_or_else(|| panic!("{} frames are not a run of the {} sent ones", clip.len(), whole.len()))
}

/// A clip from 3 s to 5 s of each codec: starts with the key frame before, at time 0, and every frame is the sent one.
#[test]
fn every_codec_comes_out_as_it_went_in() {
    let closed = ["-preset", "ultrafast", "-bf", "2", "-g", "25", "-flags", "+cgop"];
    let open = ["-preset", "ultrafast", "-bf", "3", "-g", "50", "-x264-params", "open-gop=1"];
    let long = ["-preset", "ultrafast", "-bf", "2", "-g", "1000"];
    let h265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=25:bframes=2"];
    let cases: &[(&str, &[&str], Container)] = &[
        ("closed.ts", &[&["-c:v", "libx264"][..], &closed].concat(), Container::Mp4),
        ("open.ts", &[&["-c:v", "libx264"][..], &open].concat(), Container::Mp4),
        ("long.mp4", &[&["-c:v", "libx264"][..], &long].concat(), Container::Mp4),
        ("plain.flv", &[&["-c:v", "libx264", "-tune", "zerolatency"][..], &["-g", "25"]].concat(), Container::Mp4),
        ("h265.ts", &h265, Container::Mp4),
        ("h265.mkv", &h265, Container::Mp4),
        ("mjpeg.avi", &["-c:v", "mjpeg", "-q:v", "3"], Container::Mp4),
        ("mpeg4.avi", &["-c:v", "mpeg4", "-g", "25", "-bf", "0"], Container::Mp4),
        ("mpeg2.ts", &["-c:v", "mpeg2video", "-g", "12", "-bf", "2"], Container::Mp4),
        ("vp9.webm", &["-c:v", "libvpx-vp9", "-g", "25", "-deadline", "realtime", "-cpu-used", "8"], Container::Mp4),
        ("vp8.webm", &["-c:v", "libvpx", "-g", "25", "-deadline", "realtime", "-cpu-used", "8"], Container::Matroska),
    ];
    for (name, encode, container) in cases {
        let dir = tempfile::tempdir().unwrap();
        let video = video(dir.path(), name, encode);
        let tap = Arc::new(PacketTap::new(WIDE));
        // The camera's clock is not the file's.
        read_through(&video, &tap, 40.0, |_| {});
        assert_eq!(tap.container(), *container, "{name}");
        let (path, start, reached) = clip(dir.path(), &tap, 43.0, 45.0);
        assert_eq!(reached, Reached::All, "{name}");
        let (sent, cut) = (frame_hashes(&video), frame_hashes(&path));
        let first = place(&cut, &sent);
        assert!(start <= 43.001 && (start - 40.0 - first as f64 / 25.0).abs() < 0.03, "{name}: {start} {first}");
        // Up to the end and hardly further: what is shown later belongs to a group that was begun.
        let end = first + cut.len();
        assert!((125..=130).contains(&end), "{name}: {end}");
        let packets = packets(&path);
        assert_eq!(packets.len(), cut.len(), "{name}");
        assert!(packets[0].key, "{name}");
        let mut shown: Vec<f64> = packets.iter().map(|p| p.pts).collect();
        shown.sort_by(f64::total_cmp);
        assert_eq!(shown[0], 0.0, "{name}");
        for (index, pts) in shown.iter().enumerate() {
            assert!((pts - index as f64 / 25.0).abs() < 0.0015, "{name}: frame {index} at {pts}");
        }
    }
}

/// Pictures without timestamps: the clip takes the times at which they were shown, and leaves out what was not.
#[test]
fn pictures_without_timestamps_take_the_camera_s() {
    let dir = tempfile::tempdir().unwrap();
    let video = video(dir.path(), "v.mkv", &["-c:v", "mjpeg", "-q:v", "3"]);
    let tap = Arc::new(PacketTap::new(WIDE));
    let options = OpenOptions { tap: Some(Arc::clone(&tap)), threads: 1, ..OpenOptions::default() };
    let mut source = FfmpegSource::open(&Input::File(video.clone()), &options).unwrap();
    tap.by_arrival();
    let mut index = 0;
    while let Step::Frame { time, .. } = source.next_step().unwrap() {
        // A third of the speed that the file says; the first ten were not shown.
        if index >= 10 {
            source.placed(MediaTime::from_nanos(3 * time.nanos()));
        }
        index += 1;
    }
    let (path, start, _) = clip(dir.path(), &tap, 6.0, 9.0);
    let (sent, cut) = (frame_hashes(&video), frame_hashes(&path));
    assert_eq!((start, place(&cut, &sent), cut.len()), (6.0, 50, 25));
    for (index, packet) in packets(&path).iter().enumerate() {
        assert!((packet.pts - index as f64 * 0.12).abs() < 0.001, "{index}: {packet:?}");
    }
    let (mut first, writer) = tap.cut(at(0.0), at(0.0)).unwrap();
    assert_eq!((first.start, writer.codec(), tap.read(&mut first, at(2.0)).reached), (at(1.2), "mjpeg", Reached::All));
}

#[test]
fn memory_is_bounded_by_bytes_and_by_time_and_begins_with_a_key_frame() {
    let dir = tempfile::tempdir().unwrap();
    let video = video(dir.path(), "long.ts", &["-c:v", "libx264", "-g", "25", "-b:v", "800k"]);
    // A second is some 100 kB.
    let small = Arc::new(PacketTap::new(TapLimits { span: Duration::from_secs(100), bytes: 300_000 }));
    let mut largest = 0;
    read_through(&video, &small, 0.0, |_| {
        largest = largest.max(small.bytes());
    });
    assert!((150_000..=300_000).contains(&largest), "{largest}");
    let (cut, _) = small.cut(at(0.0), at(7.0)).unwrap();
    assert!(cut.start > at(4.0) && cut.start <= at(7.0), "{:?}", cut.start);

    let short = Arc::new(PacketTap::new(TapLimits { span: Duration::from_secs(2), bytes: 100_000_000 }));
    let mut longest = 0.0_f64;
    read_through(&video, &short, 0.0, |time| {
        let (cut, _) = short.cut(at(0.0), time).unwrap();
        longest = longest.max(time.secs_f64() - cut.start.secs_f64());
    });
    // Two seconds and a group of pictures.
    assert!((2.0..=3.3).contains(&longest), "{longest}");

    // Less than one group of pictures: nothing can be kept, and nothing is.
    let tiny = Arc::new(PacketTap::new(TapLimits { span: Duration::from_secs(2), bytes: 20_000 }));
    read_through(&video, &tiny, 0.0, |_| assert!(tiny.bytes() <= 20_000));
}

#[test]
fn what_was_dropped_before_it_was_read_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let video = video(dir.path(), "v.ts", &["-c:v", "libx264", "-g", "25"]);
    let tap = Arc::new(PacketTap::new(TapLimits { span: Duration::from_secs(2), bytes: 100_000_000 }));
    let mut kept = None;
    read_through(&video, &tap, 0.0, |time| {
        if kept.is_none() && time >= at(1.0) {
            kept = tap.cut(at(0.0), at(0.5)).map(|(cut, _)| cut);
        }
    });
    assert_eq!(tap.read(&mut kept.unwrap(), at(3.0)).reached, Reached::Lost);
}

#[test]
fn another_connection_ends_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let video = video(dir.path(), "v.ts", &["-c:v", "libx264", "-g", "25", "-bf", "2"]);
    let tap = Arc::new(PacketTap::new(WIDE));
    read_through(&video, &tap, 0.0, |_| {});
    read_through(&video, &tap, 20.0, |_| {});
    let (path, start, reached) = clip(dir.path(), &tap, 6.0, 22.0);
    assert_eq!((reached, start.round()), (Reached::RunOver, 6.0));
    let (sent, cut) = (frame_hashes(&video), frame_hashes(&path));
    assert_eq!(place(&cut, &sent) + cut.len(), 200, "up to the last frame of the first connection");
    // One that would begin before the second connection begins with it.
    let (mut cut, _) = tap.cut(at(15.0), at(21.0)).unwrap();
    assert_eq!((cut.start, tap.read(&mut cut, at(22.0)).reached), (at(20.0), Reached::All));
}

/// Two streams one after the other on one connection: the second has another picture size, or a clock set anew.
#[test]
fn another_picture_size_and_a_clock_set_anew_end_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let encode = ["-c:v", "libx264", "-g", "25", "-bf", "2"];
    let first = video(dir.path(), "a.ts", &encode);
    let larger = ["-vf", "scale=320:240", "-output_ts_offset", "8.2"];
    for (name, other) in [("larger.ts", &larger[..]), ("again.ts", &["-vf", "hflip"])] {
        let second = video(dir.path(), name, &[&encode[..], other].concat());
        let both = dir.path().join("both.ts");
        std::fs::write(&both, [std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap()].concat()).unwrap();
        let tap = Arc::new(PacketTap::new(WIDE));
        read_through(&both, &tap, 0.0, |_| {});
        let (path, _, reached) = clip(dir.path(), &tap, 6.5, 9.5);
        assert_eq!(reached, Reached::RunOver, "{name}");
        let (sent, cut) = (frame_hashes(&first), frame_hashes(&path));
        assert_eq!((place(&cut, &sent), cut.len()), (150, 50), "{name}");
        // A span that reaches back to the first run begins with the second, if the event is in the second.
        let (mut at_second, source) = tap.cut(at(6.5), at(9.0)).unwrap();
        assert!((at_second.start.secs_f64() - 8.05).abs() < 0.15, "{name}: {:?}", at_second.start);
        let path = dir.path().join("second.mp4");
        let mut writer = ClipWriter::create(&path, &source).unwrap();
        writer.write(&tap.read(&mut at_second, at(10.0))).unwrap();
        writer.finish().unwrap();
        let (sent, cut) = (frame_hashes(&second), frame_hashes(&path));
        assert_eq!(place(&cut, &sent), 0, "{name}");
        assert!((45..54).contains(&cut.len()), "{name}: {}", cut.len());
        let width = if other.contains(&"scale=320:240") { 320 } else { 160 };
        let info = FfmpegSource::open(&Input::File(path), &OpenOptions::default()).unwrap().info().clone();
        assert_eq!(info.width, width, "{name}");
    }
}

/// A clip whose writer was killed is readable up to there, and sealing makes a whole file of it.
#[test]
fn a_clip_that_was_cut_off_is_sealed_without_its_last_half_frame() {
    let dir = tempfile::tempdir().unwrap();
    for (name, codec) in [("v.ts", "libx264"), ("v.webm", "libvpx")] {
        // In the order of showing, so that what is cut off is the end.
        let video = video(dir.path(), name, &["-c:v", codec, "-g", "25", "-bf", "0"]);
        let tap = Arc::new(PacketTap::new(WIDE));
        read_through(&video, &tap, 0.0, |_| {});
        let (mut cut, source) = tap.cut(at(0.0), at(0.0)).unwrap();
        let part = dir.path().join("part");
        let mut writer = ClipWriter::create(&part, &source).unwrap();
        writer.write(&tap.read(&mut cut, at(6.0))).unwrap();
        // Not finished; and the last write was torn.
        let bytes = std::fs::read(&part).unwrap();
        drop(writer);
        let sent = frame_hashes(&video);
        for share in [10, 7, 4] {
            std::fs::write(&part, &bytes[..bytes.len() * share / 10 - 3]).unwrap();
            let path = dir.path().join("clip");
            let sealed = seal(&part, &path).unwrap();
            let cut = frame_hashes(&path);
            assert_eq!((place(&cut, &sent), cut.len() as u64), (0, sealed.frames), "{name} {share}");
            // No more than the last second is missing of what was on disk.
            assert!(share < 10 || cut.len() >= 125, "{name}: {}", cut.len());
            assert!(cut.len() > 10 * share - 40 + 30, "{name} {share}: {}", cut.len());
        }
        std::fs::write(&part, &bytes[..40]).unwrap();
        assert!(seal(&part, &dir.path().join("none")).is_err(), "{name}");
    }
}
