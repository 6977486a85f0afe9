//! Messages that name the file, the line and the key, and show no secret.

use crate::error::{Error, Result};
use crate::media::open::redacted;
use std::ops::Range;
use std::path::Path;

/// A file's text.
pub(super) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Error::input(path.display().to_string(), format!("can't be read: {e}; check its name and mode")))
}

/// Where in the configuration something is wrong.
pub(super) struct TomlPlace<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a str,
}

impl TomlPlace<'_> {
    /// Line of a span, counted from 1.
    pub(super) fn line(&self, span: Range<usize>) -> usize {
        let end = span.start.min(self.text.len());
        self.text[..end].matches('\n').count() + 1
    }

    pub(super) fn error(&self, span: Option<Range<usize>>, words: &str) -> Error {
        match span {
            Some(span) => Error::Config(format!("{}, line {}: {words}", self.file, self.line(span))),
            None => Error::Config(format!("{}: {words}", self.file)),
        }
    }

    /// The parser's message with the key of its line; never the line itself, which may hold a password.
    pub(super) fn of(&self, error: &toml::de::Error) -> Error {
        let message = hide(error.message());
        let Some(span) = error.span() else { return self.error(None, &message) };
        let line = self.text.lines().nth(self.line(span.clone()) - 1).unwrap_or_default();
        let key = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| !message.contains(key));
        let words = key.map_or(message.clone(), |key| format!("{key}: {message}"));
        self.error(Some(span), &words)
    }
}

/// The text with every URL in it redacted.
pub(super) fn hide(text: &str) -> String {
    let parts = text.split_inclusive(|c: char| c.is_whitespace() || "\"'`".contains(c));
    parts.map(|part| if part.contains("://") { redacted(part) } else { part.to_owned() }).collect()
}
