//! Tests of the configuration.

use super::*;
use crate::media::ffmpeg::{Limits, RtspTransport};
use crate::media::open::Input;
use crate::units::MediaTime;
use std::time::Duration;

fn from(text: &str) -> Result<MonitorConfig> {
    MonitorConfig::from_toml(text, "m.toml", &|name| (name == "GATE").then(|| "rtsp://u:word@gate/1".to_owned()))
}

fn refused(text: &str) -> String {
    from(text).unwrap_err().to_string()
}

#[test]
fn a_camera_overrides_the_defaults_key_by_key() {
    let config = from(
        r#"
        [defaults]
        max_false_alarms = "2/day"
        stall_s = 5
        merge_s = 1.5
        max_pixels = 9000000
        [[camera]]
        name = "gate"
        url_env = "GATE"
        fps = 5
        schedule = ["mon-fri 18:00-06:00", "sat,sun"]
        rtsp_transport = "udp"
        region = [[[0, 0.4], [1, 0.4], [1, 1]]]
        [[camera]]
        name = "yard"
        url = "http://yard/stream"
        z = 9
        stall_s = 20
        baseline = "self"
        warm_up_s = 60
        cool_down_s = 30
        max_pixels = 100000000
        max_streams = 4
    "#,
    )
    .unwrap();
    let [gate, yard] = &config.cameras[..] else { panic!("two cameras") };
    assert_eq!(gate.input, Input::Secret("rtsp://u:word@gate/1".into()));
    assert_eq!((gate.fps, gate.rtsp_transport), (Some(5.0), RtspTransport::Udp));
    assert!(gate.schedule.holds(5, 720) && !gate.schedule.holds(2, 720) && yard.schedule.holds(2, 720));
    assert_eq!(gate.threshold, Threshold::Rate(2.0 / 24.0));
    assert_eq!(gate.limits, Limits { pixels: 9_000_000, ..Limits::default() });
    assert_eq!(yard.limits, Limits { pixels: 100_000_000, streams: 4 });
    assert_eq!((gate.stall, gate.merge), (Duration::from_secs(5), MediaTime::from_secs_f64(1.5)));
    assert_eq!(gate.region, [vec![[0.0, 0.4], [1.0, 0.4], [1.0, 1.0]]]);
    assert_eq!((gate.baseline.as_deref(), yard.baseline.as_deref()), (None, Some("self")));
    assert_eq!(yard.threshold, Threshold::Z(9.0));
    assert_eq!((yard.stall, yard.merge), (Duration::from_secs(20), MediaTime::from_secs_f64(1.5)));
    assert_eq!((yard.warm_up, yard.cool_down), (Some(MediaTime::from_secs_f64(60.0)), MediaTime::from_secs_f64(30.0)));
}

#[test]
fn what_is_wrong_is_named_with_file_line_and_key() {
    let camera = "[[camera]]\nname = \"a\"\nurl = \"http://a\"\n";
    let cases = [
        (format!("{camera}treshold = 1\n"), "m.toml, line 4", "treshold"),
        (format!("{camera}stall_s = -1\n"), "m.toml, line 4", "stall_s"),
        (format!("{camera}stall_s = \"ten\"\n"), "m.toml, line 4", "stall_s"),
        (format!("{camera}max_false_alarms = \"often\"\n"), "m.toml, line 4", "max_false_alarms"),
        (format!("{camera}fps = 0\n"), "m.toml, line 4", "fps"),
        (format!("{camera}schedule = [\"noon\"]\n"), "m.toml, line 4", "schedule"),
        (format!("{camera}rtsp_transport = \"pigeon\"\n"), "m.toml, line 4", "rtsp_transport"),
        (format!("{camera}max_pixels = 0\n"), "m.toml, line 4", "max_pixels"),
        (format!("{camera}max_streams = 1001\n"), "m.toml, line 4", "1..=1000"),
        (format!("{camera}p_value = 2\n"), "m.toml, line 4", "p_value"),
        (format!("{camera}z = 0\n"), "m.toml, line 4", "z"),
        (format!("{camera}z = 3\np_value = 0.1\n"), "m.toml, line 1", "keep one"),
        (format!("{camera}region = [[[0, 0], [1, 1]]]\n"), "m.toml, line 4", "three points"),
        (format!("{camera}region = [[[0, 0], [1, 1], [2, 0]]]\n"), "m.toml, line 4", "outside"),
        (format!("{camera}region = [[[0, 0], [1, 1], [0.5, 0.5]]]\n"), "m.toml, line 4", "no area"),
        (format!("{camera}\n{camera}"), "m.toml, line 6", "line 2"),
        (format!("[defaults]\nurl = \"x\"\n{camera}"), "m.toml, line 2", "url"),
        ("[[camera]]\nname = \"a\"\n".into(), "m.toml, line 1", "url_env"),
        ("[[camera]]\nname = \"\"\nurl = \"http://a\"\n".into(), "m.toml, line 2", "empty"),
        ("[[camera]]\nurl = \"http://a\"\n".into(), "m.toml, line 1", "name"),
        ("[[camera]]\nname = \"a\"\nurl = \"nowhere.mp4\"\n".into(), "m.toml, line 3", "no such file"),
        ("[[camera]]\nname = \"a\"\nurl_env = \"NONE\"\n".into(), "m.toml, line 3", "NONE is not set"),
        ("[[camera]]\nname = \"a\"\nurl_file = \"none.txt\"\n".into(), "m.toml, line 3", "none.txt"),
        ("[defaults]\nz = 3\n".into(), "m.toml", "no camera"),
        ("[[camera]\n".into(), "m.toml, line 1", ""),
    ];
    for (text, place, word) in cases {
        let error = refused(&text);
        assert!(error.contains(place) && error.contains(word), "{text:?}: {error}");
    }
}

#[test]
fn no_message_holds_a_password() {
    let secrets = [
        "[[camera]]\nname = \"a\"\nurl = \"rtsp://u:word@h/\" x\n",
        "camera = \"rtsp://u:word@h/\"\n",
        "[[camera]]\nname = \"a\"\nurl = \"rtsp://h/\"\nstall_s = \"rtsp://u:word@h/?token=word\"\n",
        "[[camera]]\nname = \"a\"\nurl = \"http://a\"\nmax_false_alarms = \"rtsp://u:word@h/\"\n",
    ];
    for text in secrets {
        let error = refused(text);
        assert!(!error.contains("word"), "{error}");
    }
    let bare = MonitorConfig::from_toml("[[camera]]\nname = \"a\"\nurl_env = \"X\"\n", "m.toml", &|_| {
        Some("user:word@host".into())
    });
    let error = bare.unwrap_err().to_string();
    assert!(error.contains("not a URL") && !error.contains("word"), "{error}");
    assert_eq!(
        from("[[camera]]\nname = \"a\"\nurl_env = \"GATE\"\n").unwrap().cameras[0].input.to_string(),
        "rtsp://gate",
        "nothing but the host of what was kept out of the file"
    );
}

#[test]
fn a_url_may_stand_in_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("url");
    std::fs::write(&path, "rtsp://u:word@h/1\n").unwrap();
    let config = from(&format!("[[camera]]\nname = \"a\"\nurl_file = {:?}\n", path.display().to_string())).unwrap();
    assert_eq!(config.cameras[0].input, Input::Secret("rtsp://u:word@h/1".into()));
}

#[test]
fn what_is_kept_is_set_once_for_all_cameras() {
    let camera = "[[camera]]\nname = \"yard\"\nurl = \"http://yard/stream\"\n";
    let config = from(&format!(
        "{camera}[clips]\nfolder = \"clips\"\npre_roll_s = 3\nlongest_s = 60\nbuffer_mb = 16\nkeep_days = 0.5\n\
         keep_mb = 2000\nmin_free_mb = 100\n[journal]\nfolder = \"curves\"\n"
    ))
    .unwrap();
    let clips = config.clips.unwrap();
    assert_eq!((clips.folder.to_str(), clips.buffer), (Some("clips"), 16_000_000));
    let [pre, post, longest] = [clips.pre_roll, clips.post_roll, clips.longest].map(|d| d.as_secs());
    assert_eq!((pre, post, longest), (3, 5, 60));
    let keep = clips.keep;
    assert_eq!((keep.age.as_secs(), keep.bytes, keep.min_free), (43_200, 2_000_000_000, 100_000_000));
    let journal = config.journal.unwrap();
    assert_eq!((journal.folder.to_str(), journal.keep), (Some("curves"), crate::watch::evidence::Keep::default()));
    assert_eq!(from(camera).unwrap().clips, None);
    for (written, words) in [
        ("[clips]", "m.toml, line 4: missing field `folder`"),
        ("[clips]\nfolder = \"c\"\npre_roll_s = -1", "m.toml, line 6: pre_roll_s: -1 does not lie in 0..86400 s"),
        ("[clips]\nfolder = \"c\"\nkeep_mb = 0", "m.toml, line 6: keep_mb: 0 is not a positive number"),
        ("[clips]\nfolder = \"c\"\nlongest_s = 9", "m.toml: [clips] longest_s is less than pre_roll_s and post_roll_s"),
        ("[journal]\nfolder = \"c\"\npre_roll_s = 1", "m.toml, line 6: unknown field `pre_roll_s`"),
    ] {
        let message = refused(&format!("{camera}{written}\n"));
        assert!(message.contains(words), "{message}");
    }
}
