//! Where each input's report goes: what the input is called and what lies there already decide, never its place in the
//! list.

use startle::media::open::{Input, unique_slugs};
use startle::report::claim::{Owner, Subject, owner};
use std::path::{Path, PathBuf};

/// The folder in which several reports lie.
pub fn root(out: Option<&Path>) -> PathBuf {
    out.unwrap_or(Path::new("reports")).to_owned()
}

/// The report folder of each input: `out` itself for a single one, else a folder of its own under `out`. One that holds an
/// input's earlier report stays that input's; one that holds another's, or files that are not ours, is nobody else's.
pub fn folders(inputs: &[Input], out: Option<&Path>, one_named: bool) -> Vec<PathBuf> {
    if let ([_], Some(out), true) = (inputs, out, one_named) {
        return vec![out.to_owned()];
    }
    let root = root(out);
    let slugs = unique_slugs(inputs, |_, name| owner(&root.join(name)) != Owner::Nobody);
    let place = |(input, slug): (&Input, String)| earlier(&root, input).unwrap_or_else(|| root.join(slug));
    inputs.iter().zip(slugs).map(place).collect()
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
