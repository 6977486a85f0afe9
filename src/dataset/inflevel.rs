//! `InfLevel`-Lab (Weihs et al., TMLR 2022): `continuity|gravity|solidity/NAME.mp4`; the labels are in the names.
//!
//! Taken from `allenai/inflevel` (`README.md`, `evaluator.py`): names are
//! `CAMERA__CATEGORY__COVER__OBJECT__TYPE[__DIRECTION].mp4`; of continuity `vv` and `ii` are possible, `vi` and `iv` not;
//! of gravity and solidity `ui` and `cv` are possible, `uv` and `ci` not; videos that differ in the type alone are a
//! group. Which two are matched (`vv`–`vi`, `ii`–`iv`, `ui`–`uv`, `cv`–`ci`: the same until the end) is taken from the
//! lists of `facebookresearch/jepa-intuitive-physics` (`auxiliary_data_loading_files/inflevel/*.csv`). Those lists also
//! say where the priming before each trial ends, and the reference leaves the priming out of the score; they are not
//! part of the dataset, so here whole videos are scored (the reference's `inflevel_lab_priming`). The published set has
//! incomplete groups, which its evaluator leaves out; so are videos whose partner is not there. The dataset does not
//! say when the violation happens.

use super::files::{name, stem, videos, wrong};
use crate::error::Result;
use crate::evaluate::Case;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The categories: a folder each.
const CATEGORIES: [&str; 3] = ["continuity", "gravity", "solidity"];
/// Possible type, impossible type, matched.
const MATCHED: [(&str, &str); 4] = [("vv", "vi"), ("ii", "iv"), ("ui", "uv"), ("cv", "ci")];

/// Reads the categories that are there.
pub(super) fn read(root: &Path) -> Result<Vec<Case>> {
    let folders: Vec<PathBuf> = CATEGORIES.iter().map(|c| root.join(c)).filter(|path| path.is_dir()).collect();
    if folders.is_empty() {
        return Err(wrong(root, "holds none of continuity, gravity and solidity: name the folder `inflevel_lab`"));
    }
    let mut cases = Vec::new();
    for folder in folders {
        for video in videos(&folder)? {
            cases.push(case(&folder, video)?);
        }
    }
    let halves: BTreeSet<(String, bool)> = cases.iter().map(|case| (case.pair.clone(), case.possible)).collect();
    cases.retain(|case| halves.contains(&(case.pair.clone(), !case.possible)));
    if cases.is_empty() {
        return Err(wrong(root, "holds no video together with the one it is matched with"));
    }
    Ok(cases)
}

fn case(folder: &Path, video: PathBuf) -> Result<Case> {
    let id = stem(&video);
    let parts: Vec<&str> = id.split("__").collect();
    let ([camera, category, cover, object, kind] | [camera, category, cover, object, kind, _]) = parts[..] else {
        return Err(wrong(&video, "the name is not CAMERA__CATEGORY__COVER__OBJECT__TYPE[__DIRECTION].mp4"));
    };
    if category != name(folder) {
        return Err(wrong(&video, format!("the name says {category}, the folder {}", name(folder))));
    }
    let allowed = if category == "continuity" { &MATCHED[..2] } else { &MATCHED[2..] };
    let Some(&(possible, impossible)) = allowed.iter().find(|(p, i)| kind == *p || kind == *i) else {
        let known: Vec<String> = allowed.iter().map(|(p, i)| format!("{p}, {i}")).collect();
        return Err(wrong(&video, format!("`{kind}` is no type of {category}; known are {}", known.join(", "))));
    };
    let direction = parts.get(5).map_or(String::new(), |direction| format!("__{direction}"));
    let group = format!("{camera}__{category}__{cover}__{object}{direction}");
    Ok(Case {
        pair: format!("{group}/{possible}-{impossible}"),
        kind: category.to_owned(),
        possible: kind == possible,
        ..Case::unlabelled(format!("{category}/{id}"), video, group)
    })
}

#[cfg(test)]
mod tests {
    use super::super::files::put;
    use super::*;

    #[test]
    fn names_are_labels() {
        let root = tempfile::tempdir().unwrap();
        assert!(read(root.path()).unwrap_err().to_string().contains("none of continuity"));
        let video = |name: &str| put(&root.path().join(format!("{name}.mp4")), "");
        for kind in ["vv__LR", "vi__LR", "ii__LR", "iv__LR", "vv__RL"] {
            video(&format!("continuity/center__continuity__cup__duck__{kind}"));
        }
        for kind in ["cv", "ci"] {
            video(&format!("gravity/left__gravity__tube__egg__{kind}"));
        }
        let cases = read(root.path()).unwrap();
        assert_eq!(cases.len(), 6, "the one to the right has no partner");
        let of = |id: &str| cases.iter().find(|c| c.id.ends_with(id)).unwrap();
        assert_eq!(of("iv__LR").pair, of("ii__LR").pair);
        assert_ne!(of("iv__LR").pair, of("vv__LR").pair);
        assert_eq!(of("iv__LR").group, of("vv__LR").group);
        assert_eq!(
            (of("egg__ci").possible, of("egg__cv").possible, of("egg__cv").kind.as_str()),
            (false, true, "gravity")
        );

        video("gravity/left__gravity__tube__egg__vv");
        assert!(read(root.path()).unwrap_err().to_string().contains("`vv` is no type of gravity"));
        video("continuity/left__gravity__tube__egg__ci");
        assert!(read(root.path()).unwrap_err().to_string().contains("the folder continuity"));
        video("continuity/film");
        assert!(read(root.path()).unwrap_err().to_string().contains("the name is not"));
    }
}
