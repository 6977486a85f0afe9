//! `IntPhys` 2 (Bordes et al., arXiv 2506.09849), one split (`Debug` or `Main`): `metadata.csv` and `Videos/NAME.mp4`.
//!
//! Taken from the published evaluation scripts (`facebookresearch/IntPhys2`: `IntPhys2_transformers.py`,
//! `ComputeScoreIntPhys2.ipynb`): the columns `SceneIndex`, `condition`, `type` and `filename` (called `name` in the
//! notebook, and beside a `file_name` with the folder in a copy of the table that others published), the conditions
//! `permanence`, `immutability[_texture]`, `continuity[_swap]` and `solidity`, and the types `1_Possible`,
//! `1_Impossible`, `2_Possible`, `2_Impossible`. A scene is a group. The paper describes two pairs of a possible and an
//! impossible outcome a scene; that the number in `type` names the pair is read from that and from the scripts' order,
//! and could not be confirmed on the videos themselves. Where a scene has several generations of a type (the `Debug`
//! split) its videos are not paired. The dataset does not say when the violation happens or whether it is seen, and
//! the held-out split has no labels.

use super::files::stem;
use super::labels::{LabelRow, find, rows};
use crate::error::Result;
use crate::evaluate::Case;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The conditions; a variant of one has a word more after `_`.
const CONDITIONS: [&str; 4] = ["permanence", "immutability", "continuity", "solidity"];

/// Reads a split.
pub(super) fn read(root: &Path) -> Result<Vec<Case>> {
    let rows = rows(&find(root, &["metadata.csv"])?)?;
    let mut cases = rows.iter().map(case).collect::<Result<Vec<Case>>>()?;
    let mut counts: BTreeMap<(String, bool), usize> = BTreeMap::new();
    let mut scenes: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for case in &cases {
        *counts.entry((case.pair.clone(), case.possible)).or_default() += 1;
        scenes.entry(case.group.clone()).or_default()[usize::from(case.possible)] += 1;
    }
    for (row, case) in rows.iter().zip(&mut cases) {
        let [impossible, possible] = scenes[&case.group];
        if impossible == 0 || possible == 0 {
            let missing = if impossible == 0 { "an impossible" } else { "a possible" };
            return Err(row.wrong(format!("scene {} has no video of {missing} outcome", case.group)));
        }
        let one = |possible| counts.get(&(case.pair.clone(), possible)) == Some(&1);
        if !(one(true) && one(false)) {
            case.pair.clear();
        }
    }
    Ok(cases)
}

fn case(row: &LabelRow) -> Result<Case> {
    let condition = row.required("condition")?;
    let kind = condition.split('_').next().unwrap_or_default().to_lowercase();
    if !CONDITIONS.contains(&kind.as_str()) {
        return Err(row.wrong(format!("`condition` is {condition}; known are {}", CONDITIONS.join(", "))));
    }
    let written = row.required("type")?;
    let (number, outcome) = written.split_once('_').unwrap_or_default();
    let possible = match (number.parse::<u32>(), outcome) {
        (Ok(_), "Possible") => true,
        (Ok(_), "Impossible") => false,
        _ => return Err(row.wrong(format!("`type` is {written}; 1_Possible, 1_Impossible, … are due"))),
    };
    let input = video(row)?;
    let group = row.required("SceneIndex")?;
    Ok(Case {
        pair: format!("{group}/{number}"),
        kind,
        possible,
        ..Case::unlabelled(format!("{group}/{written}/{}", stem(&input)), input, group)
    })
}

/// The row's video, by whichever column names it.
fn video(row: &LabelRow) -> Result<PathBuf> {
    if let Some(path) = row.text("file_name")? {
        return row.file(path);
    }
    let name = match row.text("filename")? {
        Some(name) => name,
        None => row.text("name")?.ok_or_else(|| row.wrong("there is no `filename`, `name` or `file_name`"))?,
    };
    let name = name.strip_suffix(".mp4").unwrap_or(&name);
    row.file(Path::new("Videos").join(format!("{name}.mp4")))
}

#[cfg(test)]
mod tests {
    use super::super::files::put;
    use super::*;

    fn read_table(table: &str, videos: &[&str]) -> Result<Vec<Case>> {
        let root = tempfile::tempdir().unwrap();
        for video in videos {
            put(&root.path().join(format!("Videos/{video}.mp4")), "");
        }
        put(&root.path().join("metadata.csv"), table);
        read(root.path())
    }

    #[test]
    fn a_scene_has_two_pairs() {
        let table = "SceneIndex,name,game_name,condition,env,type\n\
            7,aa,Box,immutability_texture,Egypt_0,2_Possible\n7,bb,Box,immutability,Egypt_0,1_Possible\n\
            7,cc,Box,immutability,Egypt_0,1_Impossible\n7,dd,Box,immutability,Egypt_0,2_Impossible\n";
        let cases = read_table(table, &["aa", "bb", "cc", "dd"]).unwrap();
        assert_eq!(cases[0].kind, "immutability");
        assert!(cases.iter().all(|c| c.group == "7"));
        assert_eq!((cases[0].pair.as_str(), cases[3].pair.as_str()), ("7/2", "7/2"));
        assert_eq!((cases[1].id.as_str(), cases[2].possible), ("7/1_Possible/bb", false));
        let missing = read_table(table, &["aa", "bb", "cc"]).unwrap_err().to_string();
        assert!(missing.contains("metadata.csv:5: ") && missing.contains("dd.mp4 is not there"), "{missing}");
    }

    #[test]
    fn generations_are_not_paired() {
        let table = "SceneIndex,file_name,condition,type\n0,Videos/a.mp4,solidity,1_Possible\n\
            0,Videos/b.mp4,solidity,1_Possible\n0,Videos/c.mp4,solidity,1_Impossible\n";
        assert!(read_table(table, &["a", "b", "c"]).unwrap().iter().all(|c| c.pair.is_empty()));
    }

    #[test]
    fn mistakes_are_named() {
        let of = |row: &str| {
            let table = format!("SceneIndex,filename,condition,type\n{row}\n");
            read_table(&table, &["a"]).unwrap_err().to_string()
        };
        assert!(of("0,a,magic,1_Possible").contains("`condition` is magic"));
        assert!(of("0,a,solidity,Possible").contains("`type` is Possible"));
        assert!(of("0,a,solidity,1_Possible").contains("no video of an impossible outcome"));
        assert!(of("0,,solidity,1_Possible").contains("no `filename`"));
    }
}
