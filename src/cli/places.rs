//! Where each input's report goes: what the input is called and what lies there already decide, never its place in the
//! list.

use startle::media::open::{Input, Names};
use startle::report::claim::{Owner, Subject, owner};
use std::path::{Path, PathBuf};

/// The folder in which several reports lie.
pub fn root(out: Option<&Path>) -> PathBuf {
    out.unwrap_or(Path::new("reports")).to_owned()
}

/// The report folders of a list of inputs; each is looked for when it is asked for.
pub enum Places {
    /// The only input's.
    One(PathBuf),
    /// One for each under a root.
    Many(PathBuf, Names),
}

impl Places {
    /// `out` itself for a single input that was named, else folders under it.
    pub fn new(inputs: &[Input], out: Option<&Path>, one_named: bool) -> Self {
        match (inputs, out) {
            ([_], Some(out)) if one_named => Self::One(out.to_owned()),
            _ => Self::Many(root(out), Names::of(inputs)),
        }
    }

    /// The folder of an input of the list. One that holds an input's earlier report stays that input's; one that holds
    /// another's, or files that are not ours, is nobody else's.
    pub fn of(&self, input: &Input) -> PathBuf {
        match self {
            Self::One(folder) => folder.clone(),
            Self::Many(root, names) => earlier(root, input)
                .unwrap_or_else(|| root.join(names.choose(input, |name| owner(&root.join(name)) != Owner::Nobody))),
        }
    }
}

/// The folder under `root` that holds the input's earlier report.
fn earlier(root: &Path, input: &Input) -> Option<PathBuf> {
    let name = input.to_string();
    let mut folders = input.names().into_iter().map(|name| root.join(name));
    folders.find(|folder| matches!(owner(folder), Owner::Report(theirs) if theirs.is_named(&name)))
}

/// What an input's report is about.
pub fn subject(input: &Input, sha256: Option<&str>) -> Subject {
    Subject { path: input.to_string(), sha256: sha256.map(ToOwned::to_owned) }
}
