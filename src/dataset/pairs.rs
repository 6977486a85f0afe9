//! startle's own layout: a list of videos with their labels, `labels.jsonl` (an object a line) or `labels.csv` (with a
//! header), as `startle_models.samples` writes it.
//!
//! Every row needs `path` (relative to the list), `possible`, `type`, and `pair` or `quadruplet`. It may have
//! `onset_s` and `visible_s` (the first visible difference; it is the onset where both are given), `hidden`,
//! `motion` (`adds`, `removes`, `neither`), `box` (`[x0, y0, x1, y1]`, pixels), `what` (what an event there should be:
//! `missing`, `new`, `moved`, `size`, `colour` or `shape`), `quadruplet` (the group; without it the
//! pair is the group) and `control` (both videos of the pair are possible). A possible video of the type
//! `normal` needs no partner: on it events are only counted. `mask`, `seed`, `frames_sha256` and keys
//! that begin with `x_` are for others; a key that is not known is an error, since a misspelt one would be lost.

use super::labels::{LabelRow, find, rows};
use crate::error::Result;
use crate::evaluate::{Case, Motion, NORMAL};
use crate::record::PartKind;
use std::collections::BTreeMap;
use std::path::Path;

/// Keys that say something here.
const KNOWN: [&str; 12] = [
    "path",
    "pair",
    "possible",
    "type",
    "onset_s",
    "visible_s",
    "hidden",
    "motion",
    "box",
    "what",
    "quadruplet",
    "control",
];
/// Keys that say something elsewhere.
const OTHERS: [&str; 3] = ["mask", "seed", "frames_sha256"];

/// Reads a list, or the list in a folder.
pub(super) fn read(root: &Path) -> Result<Vec<Case>> {
    let rows = rows(&find(root, &["labels.jsonl", "labels.csv"])?)?;
    let cases = rows.iter().map(case).collect::<Result<Vec<Case>>>()?;
    let mut sets: BTreeMap<(&str, &str), Vec<(&LabelRow, &Case)>> = BTreeMap::new();
    for (row, case) in rows.iter().zip(&cases) {
        sets.entry((&case.group, &case.pair)).or_default().push((row, case));
    }
    sets.into_values().try_for_each(|set| check(&set))?;
    Ok(cases)
}

fn case(row: &LabelRow) -> Result<Case> {
    let strange = row.keys().find(|key| !KNOWN.contains(key) && !OTHERS.contains(key) && !key.starts_with("x_"));
    if let Some(key) = strange {
        return Err(row.wrong(format!(
            "`{key}` is not known; known are {} (begin a key of your own with `x_`)",
            KNOWN.join(", ")
        )));
    }
    let path = row.required("path")?;
    let pair = row.text("pair")?;
    let kind = row.required("type")?;
    let alone = || (kind == NORMAL).then(|| path.clone());
    let group = row.text("quadruplet")?.or_else(|| pair.clone()).or_else(alone);
    let group =
        group.ok_or_else(|| row.wrong("there is neither `pair` nor `quadruplet`: what is it compared with?"))?;
    let motion = row.text("motion")?.map(|word| match word.as_str() {
        "adds" => Ok(Motion::Adds),
        "removes" => Ok(Motion::Removes),
        "neither" => Ok(Motion::Neither),
        other => Err(row.wrong(format!("`motion` is {other}; it can be adds, removes or neither"))),
    });
    let what = row.text("what")?.map(|word| {
        let kind = PartKind::ALL.iter().find(|(_, name)| *name == word).map(|(kind, _)| *kind);
        let known: Vec<&str> = PartKind::ALL.iter().map(|(_, name)| *name).collect();
        kind.ok_or_else(|| row.wrong(format!("`what` is {word}; it can be {}", known.join(", "))))
    });
    let possible = row.truth("possible")?.ok_or_else(|| row.wrong("there is no `possible`"))?;
    let control = row.truth("control")?.unwrap_or(false);
    if control && !possible {
        return Err(row.wrong("a `control` shows nothing impossible, but `possible` is false"));
    }
    Ok(Case {
        id: Path::new(&path).with_extension("").to_string_lossy().into_owned(),
        input: row.file(&path)?,
        image_fps: None,
        group,
        pair: pair.unwrap_or_default(),
        kind,
        possible,
        hidden: row.truth("hidden")?,
        motion: motion.transpose()?,
        onset_s: row.seconds("visible_s")?.or(row.seconds("onset_s")?),
        place: row.rectangle("box")?,
        what: what.transpose()?,
        control,
    })
}

/// Refuses a pair (or a group without pairs) that can't be compared.
fn check(set: &[(&LabelRow, &Case)]) -> Result<()> {
    let Some((row, first)) = set.last() else { return Ok(()) };
    let what =
        if first.pair.is_empty() { format!("group `{}`", first.group) } else { format!("pair `{}`", first.pair) };
    let possible = set.iter().filter(|(_, case)| case.possible).count();
    let controls = set.iter().filter(|(_, case)| case.control).count();
    if first.kind == NORMAL && set.len() == 1 && possible == 1 {
        return Ok(());
    }
    let problem = if controls != 0 && controls != set.len() {
        "has `control` on some of its videos only"
    } else if set.len() == 1 {
        "has one video: its partner is missing"
    } else if !first.pair.is_empty() && set.len() > 2 {
        "has more than two videos; name what belongs together `quadruplet`"
    } else if possible == 0 {
        "has no possible video"
    } else if possible == set.len() && controls == 0 {
        "has no impossible video; if that is meant, mark its videos with `control`"
    } else {
        return Ok(());
    };
    Err(row.wrong(format!("the {what} {problem}")))
}

#[cfg(test)]
mod tests {
    use super::super::files::put;
    use super::*;

    fn read_text(name: &str, text: &str) -> Result<Vec<Case>> {
        let root = tempfile::tempdir().unwrap();
        for video in ["a.mp4", "b.mp4", "c.mp4"] {
            put(&root.path().join(video), "");
        }
        put(&root.path().join(name), text);
        read(root.path())
    }

    #[test]
    fn the_samples_read_as_they_are() {
        let cases = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")).unwrap();
        let hidden = cases.iter().find(|c| c.id == "colour_hidden_0_impossible").unwrap();
        assert_eq!((hidden.group.as_str(), hidden.pair.as_str()), ("colour_hidden_0_0", "colour_hidden_0"));
        assert_eq!((hidden.onset_s, hidden.hidden, hidden.motion), (Some(3.9333), Some(true), Some(Motion::Neither)));
        assert!(cases.len() > 90 && cases.iter().filter(|c| c.possible).count() * 2 == cases.len());
        assert!(cases.iter().all(|c| c.place.is_some() && c.input.is_file() && !c.control));
    }

    #[test]
    fn csv_says_the_same_as_json() {
        let json = r#"{"path": "a.mp4", "pair": "p", "possible": true, "type": "t", "onset_s": 1.5, "box": [1, 2, 3, 4], "what": "missing"}
{"path": "b.mp4", "pair": "p", "possible": false, "type": "t", "x_note": [1]}
"#;
        let csv =
            "path,pair,possible,type,onset_s,box,what\na.mp4,p,True,t,1.5,\"[1, 2, 3, 4]\",missing\nb.mp4,p,0,t,,,\n";
        let strip = |cases: Vec<Case>| -> Vec<Case> {
            cases.into_iter().map(|case| Case { input: "".into(), ..case }).collect()
        };
        let (json, csv) = (read_text("labels.jsonl", json).unwrap(), read_text("labels.csv", csv).unwrap());
        assert_eq!(json[0].place, Some([1.0, 2.0, 3.0, 4.0]));
        assert_eq!((json[0].group.as_str(), json[0].what), ("p", Some(PartKind::Missing)));
        assert_eq!(strip(json), strip(csv));
    }

    #[test]
    fn lawful_pairs_are_controls() {
        let row = |path: &str, more: &str| format!(r#"{{"path": "{path}", "pair": "p", "type": "none", {more}}}"#);
        let both = |more: &str| read_text("labels.jsonl", &format!("{}\n{}", row("a.mp4", more), row("b.mp4", more)));
        assert!(both(r#""possible": true, "control": true"#).unwrap().iter().all(|c| c.control));
        let unmarked = both(r#""possible": true"#).unwrap_err().to_string();
        assert!(unmarked.contains("labels.jsonl:2: ") && unmarked.contains("mark its videos"), "{unmarked}");
        let liar = both(r#""possible": false, "control": true"#).unwrap_err().to_string();
        assert!(liar.contains("labels.jsonl:1: "), "{liar}");
    }

    #[test]
    fn normal_videos_need_no_partner() {
        let cases = read_text("labels.csv", "path,possible,type\na.mp4,1,normal\nb.mp4,1,normal\n").unwrap();
        assert!(cases.iter().all(|c| c.possible && !c.control) && cases[0].group != cases[1].group);
        assert!(read_text("labels.csv", "path,possible,type\na.mp4,0,normal\n").is_err());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let good = "path,pair,possible,type\na.mp4,p,1,t\n";
        let cases = [
            ("", "partner is missing"),
            ("b.mp4,p,1,t\n", "no impossible video"),
            ("b.mp4,p,0,t\nc.mp4,p,0,t\n", "more than two"),
            ("z.mp4,p,0,t\n", "z.mp4 is not there"),
            ("b.mp4,p,maybe,t\n", "true or false"),
            ("b.mp4,,0,t\n", "neither `pair` nor"),
            ("b.mp4,p,0,\n", "no `type`"),
        ];
        for (rest, words) in cases {
            let error = read_text("labels.csv", &format!("{good}{rest}")).unwrap_err().to_string();
            let line = good.lines().count() + rest.lines().count();
            assert!(error.contains(words) && error.contains(&format!("labels.csv:{line}: ")), "{error}");
        }
        let unknown = read_text("labels.csv", "path,pair,possible,type,onset\na.mp4,p,1,t,2\n").unwrap_err();
        assert!(unknown.to_string().contains("`onset` is not known"), "{unknown}");
        let odd = read_text("labels.csv", "path,pair,possible,type,what\na.mp4,p,1,t,gone\n").unwrap_err();
        assert!(odd.to_string().contains("`what` is gone; it can be missing, new"), "{odd}");
        let broken = read_text("labels.jsonl", "\n{\"path\": }\n").unwrap_err().to_string();
        assert!(broken.contains("labels.jsonl:2: not a JSON object"), "{broken}");
        assert!(read_text("other.txt", "").unwrap_err().to_string().contains("labels.jsonl or labels.csv"));
    }
}
