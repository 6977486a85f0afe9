//! The user's own folders (XDG Base Directory Specification).

use std::path::PathBuf;

/// startle's folder for what a run learns and later ones need.
pub fn state() -> Option<PathBuf> {
    of("XDG_STATE_HOME", ".local/state")
}

/// startle's folder for what can be made anew.
pub fn cache() -> Option<PathBuf> {
    of("XDG_CACHE_HOME", ".cache")
}

/// startle's folder for what the user keeps.
pub fn data() -> Option<PathBuf> {
    of("XDG_DATA_HOME", ".local/share")
}

/// `startle` in the folder that `variable` names, else in `usual` of the home folder; `None` without either.
fn of(variable: &str, usual: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    Some(set.or_else(|| std::env::home_dir().map(|home| home.join(usual)))?.join("startle"))
}
