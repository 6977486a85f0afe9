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
    Some(base(std::env::var_os(variable).map(PathBuf::from), std::env::home_dir(), usual)?.join("startle"))
}

/// A base folder: the one that is set, else `usual` of the home folder. The specification says that a relative one is to
/// be passed over.
fn base(set: Option<PathBuf>, home: Option<PathBuf>, usual: &str) -> Option<PathBuf> {
    set.filter(|folder| folder.is_absolute()).or_else(|| home.map(|home| home.join(usual)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_counts_if_it_is_absolute() {
        let home = || Some(PathBuf::from("/home/ann"));
        let at = |set: &str| base(Some(set.into()), home(), ".cache").unwrap();
        assert_eq!(at("/big/cache"), PathBuf::from("/big/cache"));
        assert_eq!((at(""), at("cache")), ("/home/ann/.cache".into(), "/home/ann/.cache".into()));
        assert_eq!(base(None, None, ".cache"), None);
    }
}
