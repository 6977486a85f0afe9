//! The decoding floor on real containers: every kind keeps the contract, colours and shapes come out right, and
//! nothing that is broken makes it panic or hang.

#[path = "media/broken.rs"]
mod broken;
#[path = "media/clock.rs"]
mod clock;
#[path = "media/colour.rs"]
mod colour;
#[path = "media/device.rs"]
mod device;
#[path = "media/live.rs"]
mod live;
#[path = "media/make.rs"]
mod make;
#[path = "media/shape.rs"]
mod shape;
#[path = "media/trust.rs"]
mod trust;

use make::{decode, make};

/// Twenty frames of a moving picture.
const SCENE: &str = "testsrc2=size=160x120:rate=20:duration=1";

#[test]
fn every_container_keeps_the_contract() {
    let kinds = [
        (
            "b-frames.mp4",
            "-c:v libx264 -bf 3 -pix_fmt yuv420p -preset ultrafast -x264-params bframes=3:b-adapt=0",
            "h264",
        ),
        ("vp9.mkv", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8", "vp9"),
        ("mjpeg.avi", "-c:v mjpeg", "mjpeg"),
        ("stream.ts", "-c:v mpeg2video", "mpeg2video"),
        ("anim.gif", "-c:v gif", "gif"),
        ("alpha.webm", "-vf format=yuva420p -c:v libvpx -auto-alt-ref 0 -deadline realtime -cpu-used 8", "vp8"),
        ("raw.y4m", "-pix_fmt yuv420p", "rawvideo"),
        ("hevc.mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=none", "hevc"),
        ("lossless.mkv", "-c:v ffv1", "ffv1"),
        ("mpeg4.mov", "-c:v mpeg4 -bf 2", "mpeg4"),
    ];
    for (name, encode, codec) in kinds {
        let decoded = decode(&make(name, SCENE, encode));
        assert_eq!(decoded.frames.len(), 20, "{name}: {:?} {:?}", decoded.times(), decoded.info);
        assert_eq!(decoded.reasons(), [], "{name}: {:?}", decoded.gaps);
        assert_eq!((decoded.info.width, decoded.info.height, decoded.info.codec.as_str()), (160, 120, codec), "{name}");
        for (index, time) in decoded.times().iter().enumerate() {
            assert!((time - index as f64 / 20.0).abs() < 0.006, "{name}: frame {index} at {time}");
        }
        assert!((decoded.frames[19].1.secs_f64() - 1.0).abs() < 0.011, "{name}: {:?}", decoded.frames[19]);
        assert!((decoded.info.nominal_fps - 20.0).abs() < 0.1, "{name}: {:?}", decoded.info);
    }
}

#[test]
fn a_playlist_is_the_film_in_its_pieces() {
    let path = make("list.m3u8", SCENE, "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 5 -f hls -hls_time 0.25");
    let decoded = decode(&path);
    assert_eq!((decoded.frames.len(), decoded.gaps.len()), (20, 0), "{:?} {:?}", decoded.times(), decoded.gaps);
}
