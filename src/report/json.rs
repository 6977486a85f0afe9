//! `result.json`: the whole report, written for people to page through and for programs to read back exactly.
//!
//! Invariants: what is written reads back equal, bit for bit; the file has a line for each setting, curve point and
//! event; a file of another schema is refused by name.

use crate::error::{Error, Result};
use crate::record::{Report, SCHEMA};
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;
use std::io::{self, Write};
use std::path::Path;

/// Nesting depth down to which every value gets its own line; what lies deeper stays on one line.
const LINE_DEPTH: usize = 2;

/// The report as `result.json`'s bytes.
///
/// # Errors
/// [`Error::Internal`] when a number in it is not finite, since JSON has no word for that.
pub fn to_bytes(report: &Report) -> Result<Vec<u8>> {
    check_finite(report)?;
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Lines::default());
    report.serialize(&mut serializer).map_err(|e| internal(&e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a `result.json`.
///
/// # Errors
/// [`Error::Input`] when it can't be read, is not JSON, or is of another schema than [`SCHEMA`].
pub fn read(path: &Path) -> Result<Report> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| Error::input(&shown, e.to_string()).because(e))?;
    parse(&bytes).map_err(|reason| Error::input(shown, reason))
}

/// Parses `result.json`'s bytes.
///
/// # Errors
/// What to tell the reader.
pub fn parse(bytes: &[u8]) -> Result<Report, String> {
    #[derive(Deserialize)]
    struct Head {
        schema: Option<String>,
        #[serde(default)]
        startle_version: String,
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|e| format!("not a result.json: {e}"))?;
    match head.schema.as_deref() {
        Some(SCHEMA) => {}
        Some(other) => return Err(other_schema(other, &head.startle_version)),
        None => return Err(format!("not a result.json: it names no schema ({SCHEMA:?} expected)")),
    }
    serde_json::from_slice(bytes).map_err(|e| format!("says it is {SCHEMA} but is not: {e}"))
}

/// Why a file of another schema can't be rendered, and what to do.
fn other_schema(schema: &str, version: &str) -> String {
    let number = |schema: &str| schema.strip_prefix("startle.result/").and_then(|n| n.parse::<u32>().ok());
    let by = if version.is_empty() { String::new() } else { format!(" (startle {version})") };
    let what = format!("its schema is {schema:?}{by}, this startle ({}) reads {SCHEMA:?}", env!("CARGO_PKG_VERSION"));
    match (number(schema), number(SCHEMA)) {
        (Some(theirs), Some(ours)) if theirs > ours => {
            format!("{what}: a later version wrote it; render it with that one, or analyze the video again")
        }
        (Some(_), _) => {
            format!("{what}: an earlier version wrote it and its numbers mean something else; analyze the video again")
        }
        (None, _) => format!("{what}: it is no result of an analysis"),
    }
}

/// Refuses numbers that JSON would turn into `null`, and that could then not be read back.
fn check_finite(report: &Report) -> Result<()> {
    let slower = || report.slower.iter();
    for (index, point) in report.curve.iter().chain(slower().flat_map(|rate| &rate.curve)).enumerate() {
        let optional = [point.z, point.p_value].into_iter().flatten();
        let fine = point.t_s.is_finite()
            && [point.surprise, point.unadjusted, point.raw, point.motion]
                .into_iter()
                .chain(optional)
                .all(f32::is_finite);
        if !fine {
            return Err(internal(&format!("curve point {index} at {} s is not a finite number", point.t_s)));
        }
    }
    for event in report.events.iter().chain(slower().flat_map(|rate| &rate.events)) {
        let numbers = [event.score, event.z].into_iter().chain(event.p_value).chain(event.heat.values.iter().copied());
        if !numbers.into_iter().all(f32::is_finite) || !event.per_hour.is_none_or(f64::is_finite) {
            return Err(internal(&format!("event {} holds a number that is not finite", event.id)));
        }
    }
    Ok(())
}

fn internal(reason: &str) -> Error {
    Error::Internal { stage: "report", reason: reason.to_owned() }
}

/// Pretty JSON that stops breaking lines below [`LINE_DEPTH`].
#[derive(Default)]
struct Lines {
    depth: usize,
    has_value: bool,
}

impl Lines {
    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.has_value && self.depth < LINE_DEPTH {
            self.new_line(writer)?;
        }
        self.has_value = true;
        writer.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        if self.depth <= LINE_DEPTH {
            return self.new_line(writer);
        }
        if first { Ok(()) } else { writer.write_all(b" ") }
    }

    fn new_line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_schema_is_refused_by_name() {
        let error = parse(br#"{"schema": "startle.result/9", "later": true}"#).unwrap_err();
        assert!(
            error.contains("startle.result/9") && error.contains(SCHEMA) && error.contains("later version"),
            "{error}"
        );
        let error = parse(br#"{"schema": "startle.result/0", "startle_version": "0.0.3"}"#).unwrap_err();
        assert!(error.contains("startle 0.0.3") && error.contains("earlier version"), "{error}");
        let error = parse(br#"{"schema": "startle.evaluation/1"}"#).unwrap_err();
        assert!(error.contains("no result of an analysis"), "{error}");
        assert!(parse(b"{}").unwrap_err().contains("names no schema"));
        assert!(parse(b"hello").unwrap_err().contains("not a result.json"));
        assert!(parse(br#"{"schema": "startle.result/1"}"#).unwrap_err().contains("says it is"));
    }
}
