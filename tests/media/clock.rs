//! Times: variable rates, offsets, edit lists, and clocks that jump, repeat or stand still.

use crate::make::{Decoded, at, decode, drain, ffmpeg, input, make};
use startle::media::GapReason;
use startle::media::ffmpeg::{FfmpegSource, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

const SCENE: &str = "testsrc2=size=96x64:rate=20:duration=2";

/// Times of the frames as `ffprobe` sees them, from the first, seconds.
fn probed(path: &Path) -> Vec<f64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries", "frame=best_effort_timestamp_time"])
        .args(["-of", "csv=p=0", path.to_str().unwrap()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let times: Vec<f64> = text.lines().filter_map(|line| line.trim_matches([',', ' ']).parse().ok()).collect();
    times.iter().map(|time| time - times[0]).collect()
}

fn assert_times(decoded: &Decoded, expected: &[f64], what: &str) {
    let times = decoded.times();
    assert_eq!(times.len(), expected.len(), "{what}: {times:?} {expected:?}");
    for (time, expected) in times.iter().zip(expected) {
        assert!((time - expected).abs() < 0.0015, "{what}: {time} is not {expected}");
    }
}

#[test]
fn variable_rates_keep_their_times() {
    let kept: Vec<f64> = (0..40).filter(|n| n % 7 < 3).map(|n| f64::from(n) / 20.0).collect();
    for (name, encode) in [
        ("vfr.mkv", "-c:v ffv1"),
        ("vfr.mp4", "-c:v libx264 -bf 2 -preset ultrafast -pix_fmt yuv420p"),
        ("vfr.ts", "-c:v libx264 -bf 2 -preset ultrafast -pix_fmt yuv420p"),
    ] {
        let decoded = decode(&make(name, SCENE, &format!("-vf select=lt(mod(n\\,7)\\,3) -fps_mode vfr {encode}")));
        assert_times(&decoded, &kept, name);
        assert!(decoded.gaps.is_empty(), "{name}: {:?}", decoded.gaps);
        let seamless = decoded.frames.windows(2).all(|pair| pair[0].1 == pair[1].0);
        assert!(seamless, "{name}: each frame is held until the next");
    }
}

#[test]
fn a_late_clock_is_counted_as_players_count_it() {
    // From the zero of its clock where that has a meaning; elsewhere, and where it is absurd, from the first frame.
    for (name, offset, first) in [
        ("late.mkv", 100.0, 100.0),
        ("late.mp4", 100.0, 100.0),
        ("late.ts", 100.0, 0.0),
        ("endless.mkv", 200_000.0, 0.0),
    ] {
        let encode = format!("-c:v libx264 -bf 2 -preset ultrafast -pix_fmt yuv420p -output_ts_offset {offset}");
        let decoded = decode(&make(name, SCENE, &encode));
        assert_times(&decoded, &(0..40).map(|n| first + f64::from(n) / 20.0).collect::<Vec<_>>(), name);
        assert!(decoded.gaps.is_empty(), "{name}: {:?}", decoded.gaps);
        let told = decoded.info.notes.iter().any(|note| note.contains("clock begins at 200000 s"));
        assert_eq!(told, name == "endless.mkv", "{:?}", decoded.info.notes);
    }
}

#[test]
fn edit_lists_hide_what_they_cut() {
    make("uncut.mp4", SCENE, "-c:v libx264 -bf 2 -preset ultrafast -pix_fmt yuv420p -g 100");
    ffmpeg("-ss 0.37 -i uncut.mp4 -c copy cut.mp4");
    let decoded = decode(&at("cut.mp4"));
    assert_times(&decoded, &probed(&at("cut.mp4")), "cut.mp4");
    assert!((31..=33).contains(&decoded.frames.len()), "{}", decoded.frames.len());
    assert!(decoded.gaps.is_empty(), "{:?}", decoded.gaps);
}

#[test]
fn streams_without_timestamps_get_nominal_ones() {
    for (name, encode) in [
        ("bare.h264", "-c:v libx264 -bf 2 -preset ultrafast -pix_fmt yuv420p -f h264"),
        ("bare.m2v", "-c:v mpeg2video -bf 2"),
        ("old.avi", "-c:v mpeg4 -bf 2"),
    ] {
        let decoded = decode(&make(name, "testsrc2=size=96x64:rate=25:duration=2", encode));
        assert_eq!(decoded.frames.len(), 50, "{name}: {:?} {:?}", decoded.times(), decoded.info);
        assert!(decoded.gaps.is_empty(), "{name}: {:?}", decoded.gaps);
        assert!((decoded.times()[49] - 49.0 / 25.0).abs() < 0.05, "{name}: {:?}", decoded.times());
    }
}

/// A Matroska file with the times of single blocks changed, in milliseconds.
fn retimed(name: &str, changes: &[(i16, i16)]) -> PathBuf {
    let mut bytes = std::fs::read(make(&format!("steady-{name}"), SCENE, "-c:v mpeg4 -g 1000")).unwrap();
    for (from, to) in changes {
        let [high, low] = from.to_be_bytes();
        // A simple block: track 1, its time in the cluster, not a key frame; within a few bytes of its tag, 0xA3.
        let block = [0x81, high, low, 0x00];
        let is_block = |at: usize| bytes[at..].starts_with(&block) && bytes[at.saturating_sub(9)..at].contains(&0xa3);
        let place = (0..bytes.len()).find(|&at| is_block(at)).unwrap();
        bytes[place + 1..place + 3].copy_from_slice(&to.to_be_bytes());
    }
    std::fs::write(at(name), bytes).unwrap();
    at(name)
}

#[test]
fn repeated_times_show_the_later_frame() {
    let decoded = decode(&retimed("repeated.mkv", &[(500, 450), (1000, 950)]));
    assert_eq!((decoded.frames.len(), decoded.gaps.len()), (38, 0), "{:?}", decoded.times());
    assert!(
        decoded.info.notes.iter().any(|note| note.starts_with("frames with a repeated") && note.ends_with(": 2")),
        "{:?}",
        decoded.info.notes
    );
}

#[test]
fn frames_that_come_late_are_passed_over() {
    let decoded = decode(&retimed("swapped.mkv", &[(500, 400)]));
    assert_eq!((decoded.frames.len(), decoded.gaps.len()), (39, 0), "{:?}", decoded.times());
}

#[test]
fn a_clock_set_back_goes_on_from_where_it_was() {
    let changes: Vec<(i16, i16)> = (20..40).map(|n| (n * 50, (n - 20) * 50 + 7)).collect();
    let decoded = decode(&retimed("reset.mkv", &changes));
    assert_eq!(decoded.reasons(), [GapReason::TimestampReset], "{:?}", decoded.gaps);
    assert_times(&decoded, &(0..40).map(|n| f64::from(n) / 20.0).collect::<Vec<_>>(), "reset.mkv");
}

#[test]
fn a_clock_set_ahead_is_a_picture_that_stood_still() {
    let ahead: Vec<(i16, i16)> = (20..40).rev().map(|n| (n * 50, n * 50 + 5000)).collect();
    // Every picture of a file is there: the one before the jump was on show until the next.
    let decoded = decode(&retimed("ahead.mkv", &ahead));
    assert!(decoded.gaps.is_empty(), "{:?}", decoded.gaps);
    assert!((decoded.frames[19].1.secs_f64() - 6.0).abs() < 0.002, "{:?}", decoded.frames[19]);

    let pause: Vec<(i16, i16)> = (20..40).rev().map(|n| (n * 50, n * 50 + 800)).collect();
    let held = decode(&retimed("pause.mkv", &pause));
    assert!(held.gaps.is_empty(), "a pause below a second is a hold: {:?}", held.gaps);
    assert!((held.frames[19].1.secs_f64() - 1.8).abs() < 0.002, "{:?}", held.frames[19]);
}

#[test]
fn times_count_from_the_start_of_the_container() {
    make("silent.mp4", SCENE, "-c:v libx264 -preset ultrafast -pix_fmt yuv420p");
    for name in ["sound-first.mp4", "sound-first.mkv", "sound-first.ts"] {
        ffmpeg(&format!("-f lavfi -i sine=d=4 -itsoffset 2 -i silent.mp4 -map 0:a -map 1:v -c:v copy -c:a mp2 {name}"));
        let decoded = decode(&at(name));
        let expected: Vec<f64> = (0..40).map(|n| 2.0 + f64::from(n) / 20.0).collect();
        for (time, expected) in decoded.times().iter().zip(&expected) {
            assert!((time - expected).abs() < 0.05, "{name}: {time} is not {expected}");
        }
        assert_eq!(decoded.frames.len(), 40, "{name}");
    }
}

#[test]
fn useless_timestamps_give_way_to_the_usual_rate() {
    make("good.mp4", "testsrc2=size=96x64:rate=30:duration=6", "-c:v libx264 -bf 0 -preset ultrafast -pix_fmt yuv420p");
    ffmpeg("-i good.mp4 -c copy -bsf:v setts=pts=0:dts=0 equal.mkv");
    let decoded = decode(&at("equal.mkv"));
    assert!(decoded.frames.len() >= 170, "{} frames", decoded.frames.len());
    let length = decoded.frames.last().unwrap().1.secs_f64();
    assert!(length > 5.0 && length < 9.0, "{length}");
    let notes = &decoded.info.notes;
    assert!(notes.iter().any(|note| note.contains("clock stood still")), "{notes:?}");
}

#[test]
fn a_rate_that_nobody_states_is_said_to_be_assumed() {
    make("bare.mjpeg", "testsrc2=size=96x64:rate=10:duration=2", "-c:v mjpeg -f mjpeg");
    let assumed = decode(&at("bare.mjpeg"));
    assert_eq!(assumed.frames.len(), 20);
    assert!((assumed.times()[19] - 19.0 / 25.0).abs() < 1e-6, "{:?}", assumed.times());
    assert!(assumed.info.notes[0].contains("25 pictures a second are assumed"), "{:?}", assumed.info.notes);
    let open = |name: &str, fps| {
        FfmpegSource::open(&input(&at(name)), &OpenOptions { fps: Some(fps), ..OpenOptions::default() })
    };
    let told = drain(&mut open("bare.mjpeg", 10.0).unwrap(), |_| false);
    assert!((told.times()[19] - 1.9).abs() < 1e-6 && told.info.notes.is_empty(), "{:?} {:?}", told.times(), told.info);
    make("clocked.mp4", SCENE, "-c:v libx264 -preset ultrafast -pix_fmt yuv420p");
    assert!(open("clocked.mp4", 10.0).err().unwrap().to_string().contains("has times of its own"));
}

#[test]
fn two_hours_missing_in_a_broadcast() {
    let encode = "-c:v mpeg2video -q:v 3 -g 10";
    make("hour-0.ts", SCENE, encode);
    make("hour-2.ts", SCENE, &format!("{encode} -output_ts_offset 7200"));
    let join = |names: [&str; 2], joined: &str| {
        let bytes: Vec<u8> = names.iter().flat_map(|name| std::fs::read(at(name)).unwrap()).collect();
        std::fs::write(at(joined), bytes).unwrap();
        decode(&at(joined))
    };
    let ahead = join(["hour-0.ts", "hour-2.ts"], "hours.ts");
    let (start, end, _) = ahead.gaps[0];
    assert!((end.secs_f64() - 7200.0).abs() < 0.2 && (start.secs_f64() - 2.0).abs() < 0.2, "{:?}", ahead.gaps);
    assert!(ahead.frames.len() >= 76, "{} {:?}", ahead.frames.len(), ahead.gaps);
    assert!(!ahead.reasons().contains(&GapReason::Truncated), "{:?}", ahead.gaps);

    let back = join(["hour-2.ts", "hour-0.ts"], "back.ts");
    assert!(back.reasons().contains(&GapReason::TimestampReset), "{:?}", back.gaps);
    assert!(back.frames.last().unwrap().1.secs_f64() < 4.3, "{:?}", back.frames.last());
}
