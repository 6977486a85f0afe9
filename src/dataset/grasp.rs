//! GRASP, level 2 (Jassim et al., arXiv 2311.09048): `P_TEST/NUMBER.mp4` and `IP_TEST/NUMBER.mp4`.
//!
//! Taken from `i-machine-think/grasp` (`tools/generate_videos.py`, `tools/prepare_data.py` and the scenes' names): a
//! folder a scene, `P_` possible and `IP_` impossible, videos named by their seed. That the videos of one name belong
//! together is how the reference evaluation pairs them (`facebookresearch/jepa-intuitive-physics`,
//! `grasp_dataset.py`); that they are the same up to the onset could not be confirmed, and the dataset does not say
//! when the violation happens.

use super::files::{folders, name, stem, videos, wrong};
use crate::error::Result;
use crate::evaluate::Case;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Reads all tests of level 2; `root` is that level's folder or the one above it.
pub(super) fn read(root: &Path) -> Result<Vec<Case>> {
    let below = root.join("level2");
    let root = if below.is_dir() { &below } else { root };
    let scenes: BTreeMap<String, PathBuf> = folders(root)?.into_iter().map(|path| (name(&path), path)).collect();
    let mut cases = Vec::new();
    for (scene, folder) in &scenes {
        let Some((test, partner)) = partner(scene) else { continue };
        let other = scenes.get(&partner).ok_or_else(|| wrong(folder, format!("there is no {partner} beside it")))?;
        let found = videos(folder)?;
        if found.is_empty() {
            return Err(wrong(folder, "holds no .mp4 video"));
        }
        for video in found {
            if !other.join(name(&video)).is_file() {
                return Err(wrong(&video, format!("its partner {partner}/{} is missing", name(&video))));
            }
            cases.push(case(test, scene, video));
        }
    }
    if cases.is_empty() {
        return Err(wrong(root, "holds no folder P_… or IP_…: name the folder `level2` of GRASP's videos"));
    }
    Ok(cases)
}

/// The test of a scene, and the scene that it is compared with.
fn partner(scene: &str) -> Option<(&str, String)> {
    let possible = scene.strip_prefix("P_").map(|test| (test, format!("IP_{test}")));
    possible.or_else(|| scene.strip_prefix("IP_").map(|test| (test, format!("P_{test}"))))
}

fn case(test: &str, scene: &str, video: PathBuf) -> Case {
    let number = stem(&video);
    Case {
        pair: format!("{test}/{number}"),
        kind: test.to_owned(),
        possible: scene.starts_with("P_"),
        ..Case::unlabelled(format!("{scene}/{number}"), video, format!("{test}/{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::put;
    use super::*;

    #[test]
    fn videos_of_one_name_are_a_pair() {
        let root = tempfile::tempdir().unwrap();
        assert!(read(root.path()).unwrap_err().to_string().contains("no folder P_"));
        for video in ["P_Gravity2/000", "IP_Gravity2/000", "P_Gravity2/001", "IP_Gravity2/001"] {
            put(&root.path().join(format!("level2/{video}.mp4")), "");
        }
        let cases = read(root.path()).unwrap();
        assert_eq!((cases.len(), &cases), (4, &read(&root.path().join("level2")).unwrap()));
        let found = cases.iter().find(|c| c.id == "IP_Gravity2/001").unwrap();
        assert_eq!((found.kind.as_str(), found.pair.as_str(), found.possible), ("Gravity2", "Gravity2/001", false));

        std::fs::remove_file(root.path().join("level2/P_Gravity2/001.mp4")).unwrap();
        let lonely = read(root.path()).unwrap_err().to_string();
        assert!(lonely.contains("IP_Gravity2/001.mp4") && lonely.contains("partner"), "{lonely}");
        std::fs::remove_dir_all(root.path().join("level2/P_Gravity2")).unwrap();
        assert!(read(root.path()).unwrap_err().to_string().contains("there is no P_Gravity2"));
    }
}
