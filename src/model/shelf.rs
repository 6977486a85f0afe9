//! Where bundles are looked for.
//!
//! A folder that holds a manifest is named by its path; a name is looked up on the search path, first match wins.

use super::bundle::MANIFEST;
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The bundle that is used when none is named.
pub const DEFAULT_BUNDLE: &str = "startle-o1";

/// Folders with bundles, separated as in `PATH`; they come first.
pub const MODELS_ENV: &str = "STARTLE_MODELS";

/// The folders that may hold bundles, in the order in which they are asked: `$STARTLE_MODELS`, `./models`, `models`
/// beside the program and beside each folder above it, and the user's data folder (XDG Base Directory Specification).
pub fn search_path() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os(MODELS_ENV).iter().flat_map(std::env::split_paths).collect();
    folders.push(PathBuf::from("models"));
    if let Ok(program) = std::env::current_exe() {
        folders.extend(program.ancestors().skip(1).map(|folder| folder.join("models")));
    }
    folders.extend(crate::folders::data().map(|data| data.join("models")));
    folders
}

/// The folder of the bundle `name_or_dir`, unverified.
///
/// # Errors
/// [`Error::Bundle`] that says where was looked and which bundles there are.
pub fn find(name_or_dir: &str, search_path: &[PathBuf]) -> Result<PathBuf> {
    let named = Path::new(name_or_dir);
    if is_bundle(named) {
        return Ok(named.to_owned());
    }
    // `./name` and `folder/name` are paths, and no path is looked for elsewhere
    let is_name = named.components().count() == 1;
    let mut by_name = search_path.iter().filter(|_| is_name).map(|folder| folder.join(name_or_dir));
    by_name.find(|folder| is_bundle(folder)).ok_or_else(|| {
        if named.is_dir() {
            let add = if named.join("config.json").is_file() {
                format!(" (a checkpoint? startle models add {name_or_dir} makes one)")
            } else {
                String::new()
            };
            return Error::bundle(named, format!("the folder holds no {MANIFEST}, so it is not a bundle{add}"));
        }
        let known: Vec<String> = list(search_path).iter().map(|dir| name_of(dir)).collect();
        let known = if known.is_empty() { "none was found".into() } else { known.join(", ") };
        Error::bundle(
            named,
            format!(
                "there is no bundle of this name or folder (bundles: {known}); name the folder that holds {MANIFEST}, \
                 or set {MODELS_ENV} to the folder that holds the bundle's folder"
            ),
        )
    })
}

/// The folders of all bundles on the search path, unverified; of several with one name, the one that [`find`] takes.
pub fn list(search_path: &[PathBuf]) -> Vec<PathBuf> {
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for folder in search_path {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut bundles: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_bundle(path)).collect();
        bundles.sort();
        found.extend(bundles.into_iter().filter(|path| seen.insert(name_of(path))));
    }
    found
}

fn is_bundle(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bundle_of_a_name_wins_and_a_folder_needs_no_search() {
        let root = tempfile::tempdir().unwrap();
        let path: Vec<PathBuf> = ["a", "b", "missing"].map(|name| root.path().join(name)).into();
        for bundle in ["a/one", "b/one", "b/two", "b/not-a-bundle", "b/src"] {
            std::fs::create_dir_all(root.path().join(bundle)).unwrap();
        }
        for bundle in ["a/one", "b/one", "b/two"] {
            std::fs::write(root.path().join(bundle).join(MANIFEST), "").unwrap();
        }
        assert_eq!(find("one", &path).unwrap(), path[0].join("one"));
        assert_eq!(list(&path), [path[0].join("one"), path[1].join("two")]);
        let direct = path[1].join("one");
        assert_eq!(find(direct.to_str().unwrap(), &[]).unwrap(), direct);
        let unknown = find("three", &path).unwrap_err().to_string();
        assert!(unknown.contains("bundles: one, two") && unknown.contains(MODELS_ENV), "{unknown}");
        let other = find(path[1].join("not-a-bundle").to_str().unwrap(), &path).unwrap_err().to_string();
        assert!(other.contains("holds no bundle.toml") && !other.contains("models add"), "{other}");
        std::fs::write(path[1].join("not-a-bundle/config.json"), "").unwrap();
        let checkpoint = find(path[1].join("not-a-bundle").to_str().unwrap(), &path).unwrap_err().to_string();
        assert!(checkpoint.contains("startle models add"), "{checkpoint}");
        // a folder of that name here, such as the checkpoint that it was made from, does not hide the bundle
        assert!(Path::new("src").is_dir());
        assert_eq!(list(&path), [path[0].join("one"), path[1].join("two")]);
        std::fs::write(path[1].join("src").join(MANIFEST), "").unwrap();
        assert_eq!(find("src", &path).unwrap(), path[1].join("src"));
        assert!(find("./src", &path).is_err());
    }
}
