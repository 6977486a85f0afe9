//! stub
use startle::{Result, record::Report};
use std::path::Path;
#[derive(Clone)]
pub struct Row {
    pub events: usize,
}
impl Row {
    pub fn failed(_n: &str, _e: &str) -> Self {
        Self { events: 0 }
    }
    pub fn of(r: &Report, _f: &Path, _s: bool) -> Self {
        Self { events: r.events.len() }
    }
}
pub fn write(_root: &Path, _rows: &[Row]) -> Result<()> {
    Ok(())
}
