//! Labelled videos: the published layouts of violation-of-expectation benchmarks, read into [`Case`]s, and scored.
//!
//! Each reader's header says what it relies on and where that was taken from. Invariants: ids are unique and ascending;
//! every video that is named is there; a mistake in the labels is an error that names the file and, where there is one,
//! the line.

mod differs;
mod files;
mod grasp;
mod inflevel;
mod intphys;
mod intphys2;
mod labels;
mod pairs;
mod panel;
mod protocol;

pub use differs::{ModelFacts, differences};
pub use panel::{Fold, Footings, Hearing, Panel, same_clips, score_video};
pub use protocol::{PixelRule, Protocol, Variant};

use crate::error::{Error, Result};
use crate::evaluate::Case;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// How a dataset lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// A list of videos with labels, JSON lines or CSV: startle's own.
    Pairs,
    /// `IntPhys` 2019, development set.
    IntPhys,
    /// `IntPhys` 2.
    IntPhys2,
    /// GRASP, level 2.
    Grasp,
    /// `InfLevel`-Lab.
    InfLevel,
}

/// Every layout and its name.
const NAMES: [(Layout, &str); 5] = [
    (Layout::Pairs, "pairs"),
    (Layout::IntPhys, "intphys"),
    (Layout::IntPhys2, "intphys2"),
    (Layout::Grasp, "grasp"),
    (Layout::InfLevel, "inflevel"),
];

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(layout, _)| layout == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = NAMES.iter().find(|(_, name)| *name == text).map(|(layout, _)| *layout);
        found.ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
            Error::Config(format!("`{text}` is no layout of a dataset; there are {}", names.join(", ")))
        })
    }
}

/// The labelled videos of the dataset at `root`, by id.
///
/// # Errors
/// [`Error::Input`] that names the file and line at fault: not this layout, a video that is missing, a label that is
/// not understood, a video without the partner it is matched with.
pub fn read(root: &Path, layout: Layout) -> Result<Vec<Case>> {
    let name = root.display().to_string();
    if !root.exists() {
        return Err(Error::input(name, "no such file or folder: check the spelling and where you are"));
    }
    let mut cases = match layout {
        Layout::Pairs => pairs::read(root),
        Layout::IntPhys => intphys::read(root),
        Layout::IntPhys2 => intphys2::read(root),
        Layout::Grasp => grasp::read(root),
        Layout::InfLevel => inflevel::read(root),
    }?;
    if cases.is_empty() {
        return Err(Error::input(name, format!("holds no video of the layout `{layout}`")));
    }
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    match cases.windows(2).find(|two| two[0].id == two[1].id) {
        Some(two) => Err(Error::input(
            name,
            format!("two videos are called `{}`: {} and {}", two[0].id, two[0].input.display(), two[1].input.display()),
        )),
        None => Ok(cases),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_have_names() {
        for (layout, name) in NAMES {
            assert_eq!((layout.to_string().as_str(), name.parse::<Layout>().unwrap()), (name, layout));
        }
        let unknown = "intphys3".parse::<Layout>().unwrap_err().to_string();
        assert!(unknown.contains("`intphys3`") && unknown.contains("inflevel"), "{unknown}");
        assert!(read(Path::new("no/such/place"), Layout::Grasp).unwrap_err().to_string().contains("no such file"));
    }
}
