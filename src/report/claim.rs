//! Whose a report folder is: outputs never take the place of somebody else's file, nor of another input's report.
//!
//! Invariants: a folder belongs to the input that its `result.json` names; without a `result.json` a file under one of our
//! names is not ours; a claimed folder has one writer at a time, and the check is made while no other can write.

use super::files;
use super::head::head;
use crate::error::{Error, Result};
use crate::record::Report;
use crate::store;
use serde::Deserialize;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Files that a run leaves in its folder, whatever was found.
pub const OUTPUTS: [&str; 7] =
    ["result.json", "curve.csv", "events.csv", "curve.parquet", "surprise.svg", "surprise.png", "report.html"];

/// The annotated video, where one was asked for.
pub const ANNOTATED: &str = "annotated.mp4";

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Subject {
    /// The input as the user named it.
    pub path: String,
    /// Its content hash, if it has one.
    pub sha256: Option<String>,
}

impl Subject {
    /// What a report is about.
    pub fn of(report: &Report) -> Self {
        Self { path: report.input.path.clone(), sha256: report.input.sha256.clone() }
    }

    /// Whether both are the same input: the same name, the same file, or the same content.
    pub fn is(&self, other: &Self) -> bool {
        let same_content = self.sha256.is_some() && self.sha256 == other.sha256;
        same_content || self.is_named(&other.path)
    }

    /// Whether a name means this input.
    pub fn is_named(&self, path: &str) -> bool {
        let real = |path: &str| std::fs::canonicalize(path).ok();
        self.path == path || real(&self.path).is_some_and(|own| Some(own) == real(path))
    }
}

/// Whose a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Nobody's: nothing in it is called like an output.
    Nobody,
    /// It holds the report of this input.
    Report(Subject),
    /// Somebody else's: this file is not ours.
    Foreign(PathBuf),
}

/// Looks whose a folder is.
pub fn owner(dir: &Path) -> Owner {
    let head = head(&dir.join(OUTPUTS[0])).filter(|(schema, _)| ours(schema, "result"));
    match (head, names().map(|name| dir.join(name)).find(|path| path.symlink_metadata().is_ok())) {
        (Some((_, input)), _) => Owner::Report(input),
        (None, Some(foreign)) => Owner::Foreign(foreign),
        (None, None) => Owner::Nobody,
    }
}

/// Every name under which a run may write.
fn names() -> impl Iterator<Item = &'static str> {
    OUTPUTS.into_iter().chain([ANNOTATED])
}

/// Whether a schema is one of startle's, of any version.
fn ours(schema: &str, kind: &str) -> bool {
    schema.strip_prefix("startle.").and_then(|rest| rest.strip_prefix(kind)).is_some_and(|rest| rest.starts_with('/'))
}

/// A folder that nobody else writes to while this lives.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

/// Makes a folder, keeps other programs from writing reports there, and checks that it is the input's own or empty.
///
/// # Errors
/// [`Error::Output`] when it can't be made or written to; [`Error::Config`] when another startle writes there, when it
/// holds another input's report, or a file that is not ours.
pub fn claim(dir: &Path, subject: &Subject) -> Result<Claim> {
    let claim = lock(dir)?;
    match owner(dir) {
        Owner::Report(theirs) if !theirs.is(subject) => {
            return Err(refused(dir, &format!("holds the report of another input, {}", theirs.path)));
        }
        Owner::Foreign(file) => {
            return Err(refused(dir, &format!("{} is there already and not startle's", file.display())));
        }
        Owner::Nobody | Owner::Report(_) => {}
    }
    if names().any(|name| subject.is_named(&dir.join(name).to_string_lossy())) {
        return Err(refused(dir, "the report would take the place of its own video"));
    }
    Ok(claim)
}

/// As [`claim`], for the evaluation of `dataset` (its name in `evaluation.json`): a folder that holds another data set's is
/// refused. `names` are the files that it leaves there; one of them is ours if it says so itself or another one does.
///
/// # Errors
/// As [`claim`].
pub fn claim_evaluation(dir: &Path, dataset: &str, names: &[&str]) -> Result<Claim> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
        #[serde(default)]
        dataset: String,
    }
    let claim = lock(dir)?;
    // `cases.jsonl` says in its first line what it is, the evaluation as a whole.
    let head = |text: &[u8]| serde_json::from_slice::<Head>(text).ok();
    let texts: Vec<Vec<u8>> = names.iter().filter_map(|name| std::fs::read(dir.join(name)).ok()).collect();
    let first_line = |text: &[u8]| text.split(|byte| *byte == b'\n').next().and_then(head);
    let heads: Vec<Head> = texts.iter().filter_map(|text| head(text).or_else(|| first_line(text))).collect();
    let is = |head: &&Head, kind| ours(&head.schema, kind);
    let own = Subject { path: dataset.to_owned(), sha256: None };
    if let Some(other) = heads.iter().find(|head| is(head, "evaluation") && !own.is_named(&head.dataset)) {
        return Err(refused(dir, &format!("holds the evaluation of another data set, {}", other.dataset)));
    }
    if heads.iter().any(|head| is(&head, "evaluation") || is(&head, "cases")) {
        return Ok(claim);
    }
    match names.iter().map(|name| dir.join(name)).find(|path| path.symlink_metadata().is_ok()) {
        None => Ok(claim),
        Some(file) => Err(refused(dir, &format!("{} is there already and not startle's", file.display()))),
    }
}

/// The folder, made where it is not there, with nobody else writing to it.
fn lock(dir: &Path) -> Result<Claim> {
    files::prepare(dir)?;
    let lock = store::lock(dir).map_err(|e| Error::output(dir, e))?;
    lock.map(|lock| Claim { _lock: lock }).ok_or_else(|| refused(dir, "another startle is writing a report there"))
}

fn refused(dir: &Path, why: &str) -> Error {
    Error::Config(format!("{}: {why}; name another folder with --out", dir.display()))
}

/// Checks that none of `names` in `root` is somebody else's file: either the `marker` among them is ours (by its schema
/// `startle.<kind>/…`), or none is there.
///
/// # Errors
/// [`Error::Config`] that names the file.
pub(super) fn check_ours(root: &Path, names: &[&str], marker: &str, kind: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let text = std::fs::read(root.join(marker)).ok();
    let head = text.and_then(|text| serde_json::from_slice::<Head>(&text).ok());
    if head.is_some_and(|head| ours(&head.schema, kind)) {
        return Ok(());
    }
    match names.iter().map(|name| root.join(name)).find(|path| path.symlink_metadata().is_ok()) {
        None => Ok(()),
        Some(file) => Err(Error::Config(format!(
            "{} is there already and not startle's; name another folder with --out",
            file.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(path: &str, sha256: Option<&str>) -> Subject {
        Subject { path: path.into(), sha256: sha256.map(Into::into) }
    }

    #[test]
    fn a_folder_is_the_input_s_that_its_result_names() {
        let dir = tempfile::tempdir().unwrap();
        let own = subject("a.mp4", Some("1f"));
        drop(claim(dir.path(), &own).unwrap());
        let text =
            r#"{"schema": "startle.result/9", "input": {"path": "a.mp4", "sha256": "1f", "later": 1}, "curve": []}"#;
        std::fs::write(dir.path().join("result.json"), text).unwrap();
        assert_eq!(owner(dir.path()), Owner::Report(own.clone()));
        let held = claim(dir.path(), &own).unwrap();
        let error = claim(dir.path(), &own).unwrap_err().to_string();
        assert!(error.contains("another startle"), "{error}");
        drop(held);
        claim(dir.path(), &subject("moved.mp4", Some("1f"))).unwrap();
        claim(dir.path(), &subject("a.mp4", Some("other content"))).unwrap();
        let error = claim(dir.path(), &subject("b.mp4", Some("2e"))).unwrap_err().to_string();
        assert!(error.contains("a.mp4") && error.contains("--out"), "{error}");
    }

    #[test]
    fn what_is_not_ours_stays() {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("report.html");
        std::fs::write(&page, "my own").unwrap();
        let error = claim(dir.path(), &subject("a.mp4", None)).unwrap_err().to_string();
        assert!(error.contains("report.html") && error.contains("not startle's"), "{error}");
        let error = check_ours(dir.path(), &["report.html"], "summary.json", "summary").unwrap_err().to_string();
        assert!(error.contains("report.html"), "{error}");
        std::fs::write(dir.path().join("result.json"), r#"{"schema": "another/1"}"#).unwrap();
        assert!(matches!(owner(dir.path()), Owner::Foreign(_)));
        // Even where the folder is ours, the video itself is not an output.
        std::fs::write(dir.path().join("result.json"), r#"{"schema": "startle.result/1", "input": {"path": "x"}}"#)
            .unwrap();
        let error = claim(dir.path(), &subject(&page.to_string_lossy(), None)).unwrap_err().to_string();
        assert!(error.contains("another input") || error.contains("own video"), "{error}");
    }
}
