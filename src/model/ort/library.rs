//! Finds and loads the ONNX Runtime shared library, once per process.
//!
//! Invariant: the library is always loaded from an explicit path with `init_from`; the implicit route of `ort` would
//! panic when there is none.

use crate::error::{Error, Result};
use ::ort::LoadDynamicError;
use ::ort::environment::Environment;
use ::ort::logging::LogLevel;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Names the library to use; the variable that `ort` itself reads.
pub const LIBRARY_ENV: &str = "ORT_DYLIB_PATH";

/// Folder, in the project's, that the set-up script fills.
const CACHE: &str = ".cache";

/// Where Linux distributions put libraries.
const SYSTEM_FOLDERS: [&str; 6] = [
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/opt/onnxruntime/lib",
];

const HOW_TO_GET_IT: &str = "run `make setup` in startle's folder, which puts the right library into .cache/, or set \
     ORT_DYLIB_PATH to a libonnxruntime.so of version 1.24 or newer (there is one inside the PyPI wheel onnxruntime)";

/// ONNX Runtime, loaded.
pub struct Runtime {
    pub(super) environment: Environment,
    path: PathBuf,
    version: String,
    /// Whether a tiny graph ran on the first GPU; asked once.
    pub(super) cuda_works: OnceLock<bool>,
}

impl Runtime {
    /// The library's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version, for example `1.31.1`.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// Loads the library, or gives the one that is loaded.
///
/// It is looked for as `explicit` (nowhere else if given), then `$ORT_DYLIB_PATH` (likewise), then
/// `.cache/onnxruntime-*/` in the working folder, beside the program and beside each folder above it (highest version
/// first), then beside the program itself, then in `$LD_LIBRARY_PATH` and the system's library folders.
///
/// # Errors
/// [`Error::Device`] with every place tried, the reason for each, and what to do.
pub fn load(explicit: Option<&Path>) -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = RUNTIME.get() {
        return match explicit {
            Some(path) if !same_file(path, &runtime.path) => Err(Error::Device(format!(
                "ONNX Runtime is loaded from {} already; it can't be loaded again from {}",
                runtime.path.display(),
                path.display()
            ))),
            _ => Ok(runtime),
        };
    }
    let mut reasons = Vec::new();
    for path in candidates(explicit) {
        match initialise(&path) {
            Ok(runtime) => return Ok(RUNTIME.get_or_init(|| runtime)),
            Err(reason) => reasons.push(format!("{}: {reason}", path.display())),
        }
    }
    Err(Error::Device(if reasons.is_empty() {
        format!("ONNX Runtime was not found: {HOW_TO_GET_IT}")
    } else {
        format!("ONNX Runtime can't be loaded ({}): {HOW_TO_GET_IT}", reasons.join("; "))
    }))
}

fn initialise(path: &Path) -> Result<Runtime, String> {
    // A relative path would be tried beside the program first.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let builder = ::ort::init_from(&path).map_err(|error| match &error {
        // Its text says no more than "dlopen failed"; the loader's own words are a cause further down.
        LoadDynamicError::Dlopen { error, .. } => chain(error),
        other => chain(other),
    })?;
    let environment = builder.with_name("startle").with_telemetry(false).build().map_err(|error| chain(&error))?;
    // Everything that matters comes back as an error; what ONNX Runtime would print as well is noise.
    environment.set_log_level(LogLevel::Fatal);
    let version = version_of(&path);
    Ok(Runtime { environment, path, version, cuda_works: OnceLock::new() })
}

/// An error with its causes: the reason of a failed load is only in the innermost.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

/// The version in the library's file name, else in its build information.
fn version_of(path: &Path) -> String {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let in_name = name.split_once(".so.").map(|(_, version)| version.to_owned());
    let in_build = || {
        let branch = ::ort::info().split("git-branch=").nth(1)?.split([',', ' ']).next()?;
        Some(branch.trim_start_matches("rel-").to_owned())
    };
    in_name.or_else(in_build).unwrap_or_else(|| "unknown version".into())
}

fn same_file(left: &Path, right: &Path) -> bool {
    matches!((left.canonicalize(), right.canonicalize()), (Ok(left), Ok(right)) if left == right)
}

fn candidates(explicit: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = explicit {
        return vec![path.to_owned()];
    }
    if let Some(path) = std::env::var_os(LIBRARY_ENV).filter(|path| !path.is_empty()) {
        return vec![path.into()];
    }
    let program = std::env::current_exe().ok();
    let above: Vec<&Path> = program.iter().flat_map(|program| program.ancestors().skip(1)).collect();
    let mut found = in_cache(Path::new(CACHE));
    found.extend(above.iter().flat_map(|folder| in_cache(&folder.join(CACHE))));
    found.extend(above.first().iter().flat_map(|folder| in_folder(folder)));
    let linked = std::env::var_os("LD_LIBRARY_PATH");
    found.extend(linked.iter().flat_map(std::env::split_paths).flat_map(|folder| in_folder(&folder)));
    found.extend(SYSTEM_FOLDERS.iter().flat_map(|folder| in_folder(Path::new(folder))));
    found
}

/// Libraries in the folders `onnxruntime-*` of a cache, highest version first.
fn in_cache(cache: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = entries(cache).filter(|path| name_starts(path, "onnxruntime-")).collect();
    folders.sort_by_key(|path| std::cmp::Reverse(numbers(path)));
    folders.iter().flat_map(|folder| in_folder(folder)).collect()
}

/// `libonnxruntime.so`, `libonnxruntime.so.1.31.1`, `libonnxruntime.1.31.1.dylib` (not the providers' libraries).
fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let is_library = |path: &PathBuf| name_starts(path, "libonnxruntime.") && path.is_file();
    let mut found: Vec<PathBuf> = entries(folder).filter(is_library).collect();
    found.sort_by_key(|path| std::cmp::Reverse(numbers(path)));
    found
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn name_starts(path: &Path, start: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
}

/// The numbers in a file name, for ordering by version.
fn numbers(path: &Path) -> Vec<u64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_searched_highest_version_first_and_without_the_providers() {
        let cache = tempfile::tempdir().unwrap();
        for file in [
            "onnxruntime-1.9.2/libonnxruntime.so.1.9.2",
            "onnxruntime-1.31.1/libonnxruntime.so.1.31.1",
            "onnxruntime-1.31.1/libonnxruntime_providers_shared.so",
            "other/libonnxruntime.so",
        ] {
            let path = cache.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found: Vec<PathBuf> = in_cache(cache.path());
        let expected = ["onnxruntime-1.31.1/libonnxruntime.so.1.31.1", "onnxruntime-1.9.2/libonnxruntime.so.1.9.2"];
        assert_eq!(found, expected.map(|file| cache.path().join(file)));
    }
}
