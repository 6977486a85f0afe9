//! What the readers share: folders, names, and errors that say where.

use crate::error::{Error, Result};
use crate::media::open::natural_order;
use std::path::{Path, PathBuf};

/// What a folder holds, hidden entries left out, in natural order.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e: std::io::Error| {
        Error::input(folder.display().to_string(), format!("the folder can't be read: {e}")).because(e)
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if !name(&path).starts_with('.') {
            found.push(path);
        }
    }
    found.sort_by(|a, b| natural_order(a, b));
    Ok(found)
}

/// The folders in a folder, in natural order.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// The `.mp4` files in a folder, in natural order.
pub(super) fn videos(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_video = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("mp4"));
    Ok(entries(folder)?.into_iter().filter(is_video).collect())
}

/// The last part of a path.
pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The last part of a path, without its ending.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::unreadable(path.display().to_string(), e))
}

/// An error at a line of a file.
pub(super) fn at_line(file: &Path, line: u64, reason: impl Into<String>) -> Error {
    Error::input(format!("{}:{line}", file.display()), reason)
}

/// An error about a file or folder.
pub(super) fn wrong(path: &Path, reason: impl Into<String>) -> Error {
    Error::input(path.display().to_string(), reason)
}

/// Writes a file and the folders above it; for tests.
#[cfg(test)]
pub(super) fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A 2×2 PNG of one grey; for tests.
#[cfg(test)]
pub(super) fn grey_png(level: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 2);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&[level; 12]).unwrap();
    bytes
}
