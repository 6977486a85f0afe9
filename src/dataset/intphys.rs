//! `IntPhys` 2019, development set (Riochet et al., arXiv 1803.07616): `O1|O2|O3/SCENE/1..4/scene/scene_###.png` at 15
//! frames a second, with `O1|O2|O3/SCENE/1..4/status.json`.
//!
//! The layout, `header.is_possible` of `status.json` and the rule that matches the four videos of a scene were taken
//! from the reference evaluation (`facebookresearch/jepa-intuitive-physics`: `evals/intuitive_physics/intphys_dataset.py`
//! and `utils.py`); the frame rate is the paper's. The reference pairs video 1 with the video that stays pixel for
//! pixel the same for longest. Here the two ways to pair possible with impossible videos are compared by the frames
//! that stay the same in both pairs together, which is the same where the reference finds opposite labels. The first
//! different frame is the onset. The test set has no labels and can't be read.
//!
//! Not confirmed on the data itself: the benchmark's site says that the development set has labels (`challenge.html`) but
//! also that a status is given for training videos only (`training_set.html`); the reference reads it here.

use super::files::{entries, folders, name, text, wrong};
use crate::error::Result;
use crate::evaluate::Case;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Pictures a second.
const FPS: f64 = 15.0;
/// The blocks: object permanence, shape constancy, spatio-temporal continuity.
const BLOCKS: [&str; 3] = ["O1", "O2", "O3"];

/// One of a scene's four videos.
struct IntPhysVideo {
    folder: PathBuf,
    possible: bool,
    frames: Vec<PathBuf>,
}

/// Reads the blocks that are there.
pub(super) fn read(root: &Path) -> Result<Vec<Case>> {
    let blocks: Vec<PathBuf> = BLOCKS.iter().map(|block| root.join(block)).filter(|path| path.is_dir()).collect();
    if blocks.is_empty() {
        return Err(wrong(root, "holds none of O1, O2 and O3: name the folder that does (`dev` of IntPhys 2019)"));
    }
    let mut cases = Vec::new();
    for block in blocks {
        for scene in folders(&block)? {
            cases.extend(read_scene(&name(&block), &scene)?);
        }
    }
    Ok(cases)
}

fn read_scene(block: &str, scene: &Path) -> Result<Vec<Case>> {
    let videos = (1..=4).map(|number| read_video(&scene.join(number.to_string()))).collect::<Result<Vec<_>>>()?;
    let (possible, impossible): (Vec<&IntPhysVideo>, Vec<&IntPhysVideo>) =
        videos.iter().partition(|video| video.possible);
    let ([p, q], [r, s]) = (&possible[..], &impossible[..]) else {
        return Err(wrong(scene, format!("{} of its four videos are possible, two are due", possible.len())));
    };
    let group = format!("{block}/{}", name(scene));
    let straight = [(*p, *r, same_frames(p, r)?), (*q, *s, same_frames(q, s)?)];
    let crossed = [(*p, *s, same_frames(p, s)?), (*q, *r, same_frames(q, r)?)];
    let length = |pairs: &[(&IntPhysVideo, &IntPhysVideo, usize)]| pairs.iter().map(|pair| pair.2).sum::<usize>();
    let pairs = if length(&straight) >= length(&crossed) { straight } else { crossed };
    let mut cases = Vec::new();
    for ((a, b, same), letter) in pairs.into_iter().zip(["a", "b"]) {
        if same == a.frames.len().min(b.frames.len()) {
            let reason = format!("does not differ from {}, but one should be possible and one not", b.folder.display());
            return Err(wrong(&a.folder, reason));
        }
        let onset_s = same as f64 / FPS;
        cases.extend([a, b].map(|video| case(block, &group, letter, onset_s, video)));
    }
    Ok(cases)
}

fn case(block: &str, group: &str, letter: &str, onset_s: f64, video: &IntPhysVideo) -> Case {
    Case {
        image_fps: Some(FPS),
        pair: format!("{group}/{letter}"),
        kind: block.to_owned(),
        possible: video.possible,
        onset_s: Some(onset_s),
        ..Case::unlabelled(format!("{group}/{}", name(&video.folder)), video.folder.join("scene"), group.to_owned())
    }
}

fn read_video(folder: &Path) -> Result<IntPhysVideo> {
    let status = folder.join("status.json");
    let parsed: Value =
        serde_json::from_str(&text(&status)?).map_err(|e| wrong(&status, format!("is not JSON: {e}")))?;
    let possible = parsed.pointer("/header/is_possible").and_then(Value::as_bool);
    let possible = possible.ok_or_else(|| {
        wrong(&status, "has no `header.is_possible` that is true or false: only the development set has labels")
    })?;
    let scene = folder.join("scene");
    let is_png = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
    let frames: Vec<PathBuf> = entries(&scene)?.into_iter().filter(is_png).collect();
    if frames.is_empty() {
        return Err(wrong(&scene, "holds no PNG picture"));
    }
    Ok(IntPhysVideo { folder: folder.to_owned(), possible, frames })
}

/// How many frames two videos have in common at their beginning.
fn same_frames(a: &IntPhysVideo, b: &IntPhysVideo) -> Result<usize> {
    for (index, (left, right)) in a.frames.iter().zip(&b.frames).enumerate() {
        if !same_picture(left, right)? {
            return Ok(index);
        }
    }
    Ok(a.frames.len().min(b.frames.len()))
}

fn same_picture(left: &Path, right: &Path) -> Result<bool> {
    let bytes = |path: &Path| std::fs::read(path).map_err(|e| wrong(path, format!("the picture can't be read: {e}")));
    let (left_bytes, right_bytes) = (bytes(left)?, bytes(right)?);
    Ok(left_bytes == right_bytes || pixels(left, &left_bytes)? == pixels(right, &right_bytes)?)
}

/// The pixels of a PNG picture.
fn pixels(path: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    let broken = |e: &dyn std::fmt::Display| wrong(path, format!("is not a whole PNG picture: {e}"));
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().map_err(|e| broken(&e))?;
    let size = reader.output_buffer_size().ok_or_else(|| broken(&"it is too large"))?;
    let mut pixels = vec![0; size];
    reader.next_frame(&mut pixels).map_err(|e| broken(&e))?;
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use super::super::files::{grey_png, put};
    use super::*;

    /// A scene whose videos are so many grey pictures.
    fn scene(root: &Path, videos: [(bool, [u8; 5]); 4]) {
        for (number, (possible, levels)) in (1..).zip(videos) {
            let folder = root.join(format!("O2/001/{number}"));
            put(&folder.join("status.json"), format!(r#"{{"header": {{"is_possible": {possible}}}}}"#));
            for (frame, level) in (1..).zip(levels) {
                put(&folder.join(format!("scene/scene_{frame:03}.png")), grey_png(level));
            }
        }
    }

    #[test]
    fn videos_are_paired_by_what_they_share() {
        let root = tempfile::tempdir().unwrap();
        // The impossible ones begin as one possible video and end as the other.
        scene(root.path(), [(true, [1; 5]), (false, [9, 9, 1, 1, 1]), (true, [9; 5]), (false, [1, 1, 1, 9, 9])]);
        let cases = read(root.path()).unwrap();
        let of = |id: &str| cases.iter().find(|c| c.id == id).unwrap();
        assert_eq!(of("O2/001/1").pair, of("O2/001/4").pair);
        assert_eq!(of("O2/001/2").pair, of("O2/001/3").pair);
        assert_ne!(of("O2/001/1").pair, of("O2/001/2").pair);
        assert_eq!((of("O2/001/1").onset_s, of("O2/001/3").onset_s), (Some(0.2), Some(2.0 / 15.0)));
        assert_eq!((of("O2/001/4").possible, of("O2/001/4").kind.as_str()), (false, "O2"));
        assert_eq!((of("O2/001/4").group.as_str(), of("O2/001/4").image_fps), ("O2/001", Some(15.0)));
        assert!(of("O2/001/4").input.ends_with("O2/001/4/scene"));
    }

    #[test]
    fn scenes_that_can_not_be_are_refused() {
        let root = tempfile::tempdir().unwrap();
        assert!(read(root.path()).unwrap_err().to_string().contains("none of O1"));
        scene(root.path(), [(true, [1; 5]), (true, [2; 5]), (true, [3; 5]), (false, [4; 5])]);
        let odd = read(root.path()).unwrap_err().to_string();
        assert!(odd.contains("O2/001: 3 of its four videos are possible"), "{odd}");
        scene(root.path(), [(true, [1; 5]), (true, [2; 5]), (false, [1; 5]), (false, [2; 5])]);
        assert!(read(root.path()).unwrap_err().to_string().contains("does not differ from"));
        put(&root.path().join("O2/001/3/status.json"), r#"{"header": {}}"#);
        let unlabelled = read(root.path()).unwrap_err().to_string();
        assert!(unlabelled.contains("3/status.json: has no `header.is_possible`"), "{unlabelled}");
        std::fs::remove_dir_all(root.path().join("O2/001/2")).unwrap();
        assert!(read(root.path()).unwrap_err().to_string().contains("2/status.json"));
    }
}
