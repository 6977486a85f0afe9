//! Rows of labels, from JSON lines or CSV alike.

use super::files::{at_line, name, text, wrong};
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// One row of a file of labels.
#[derive(Debug, Clone)]
pub(super) struct LabelRow {
    file: PathBuf,
    line: u64,
    fields: Map<String, Value>,
}

/// The rows of a file: CSV with a header where its name ends so, else JSON lines. Empty lines are no rows.
pub(super) fn rows(file: &Path) -> Result<Vec<LabelRow>> {
    let is_csv = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    let rows = if is_csv { csv_rows(file) } else { json_rows(file) }?;
    if rows.is_empty() {
        return Err(wrong(file, "holds no row"));
    }
    Ok(rows)
}

fn json_rows(file: &Path) -> Result<Vec<LabelRow>> {
    let text = text(file)?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let row = |(text, line): (&str, u64)| match serde_json::from_str(text) {
        Ok(fields) => Ok(LabelRow { file: file.to_owned(), line, fields }),
        Err(e) => Err(at_line(file, line, format!("not a JSON object: {e}"))),
    };
    lines.map(row).collect()
}

fn csv_rows(file: &Path) -> Result<Vec<LabelRow>> {
    let broken = |e: csv::Error| wrong(file, format!("not a CSV file with a header: {e}"));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(file).map_err(broken)?;
    let header = reader.headers().map_err(broken)?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(broken)?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = header.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        let fields = cells.map(|(key, cell)| (key.to_owned(), Value::String(cell.to_owned()))).collect();
        rows.push(LabelRow { file: file.to_owned(), line, fields });
    }
    Ok(rows)
}

impl LabelRow {
    /// An error about this row.
    pub(super) fn wrong(&self, reason: impl Into<String>) -> Error {
        at_line(&self.file, self.line, reason)
    }

    /// The names of its fields.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// A text or number, as text; `None` where it is missing or null.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        match self.fields.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(self.wrong(format!("`{key}` is {other}, a text is due"))),
        }
    }

    /// As [`LabelRow::text`]; missing is an error.
    pub(super) fn required(&self, key: &str) -> Result<String> {
        self.text(key)?.ok_or_else(|| {
            let has: Vec<&str> = self.keys().collect();
            self.wrong(format!("there is no `{key}` (there are {})", has.join(", ")))
        })
    }

    /// True or false, in JSON or as text.
    pub(super) fn truth(&self, key: &str) -> Result<Option<bool>> {
        match self.fields.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") || text == "1" => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") || text == "0" => Ok(Some(false)),
            Some(other) => Err(self.wrong(format!("`{key}` is {other}, true or false is due"))),
        }
    }

    /// A time in seconds, finite and not negative.
    pub(super) fn seconds(&self, key: &str) -> Result<Option<f64>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(Some(seconds)),
            _ => Err(self.wrong(format!("`{key}` is {text}, seconds from the first frame are due"))),
        }
    }

    /// Four numbers `[x0, y0, x1, y1]` in order.
    pub(super) fn rectangle(&self, key: &str) -> Result<Option<[f32; 4]>> {
        let value = match self.fields.get(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
            Some(value) => value.clone(),
        };
        match serde_json::from_value::<[f32; 4]>(value) {
            Ok([x0, y0, x1, y1]) if x0 <= x1 && y0 <= y1 => Ok(Some([x0, y0, x1, y1])),
            _ => {
                Err(self
                    .wrong(format!("`{key}` is not [x0, y0, x1, y1] in pixels, left before right, top before bottom")))
            }
        }
    }

    /// The file at `path`, relative to the file of labels; it must be there.
    pub(super) fn file(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let found = self.file.parent().unwrap_or(Path::new("")).join(path);
        if found.exists() { Ok(found) } else { Err(self.wrong(format!("{} is not there", found.display()))) }
    }
}

/// The first of the names that is a file in `folder`; `root` itself when it is a file.
pub(super) fn find(root: &Path, names: &[&str]) -> Result<PathBuf> {
    if root.is_file() {
        return Ok(root.to_owned());
    }
    let found = names.iter().map(|name| root.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let here: Vec<String> = super::files::folders(root).unwrap_or_default().iter().map(|f| name(f)).collect();
        let hint = if here.is_empty() { String::new() } else { format!(" (its folders: {})", here.join(", ")) };
        wrong(root, format!("holds no {}{hint}; name the folder that does", names.join(" or ")))
    })
}
