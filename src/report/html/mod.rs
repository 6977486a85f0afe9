//! `report.html`: the page that people open. Self-contained, works offline and from a mail attachment.
//!
//! Invariants: no network, no foreign script; every text from outside is escaped; data for the script is JSON that can't
//! end its element.

mod index;
mod text;

pub use index::index;

use super::OutputOptions;
use crate::record::Report;

/// The page.
pub fn page(report: &Report, options: &OutputOptions) -> String {
    let _ = (report, options);
    String::new()
}
