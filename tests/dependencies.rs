//! What the library drags in: few crates for a program that only analyzes, hardly any twice, none that needs a newer Rust
//! than startle says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crates, startle among them, that a library without features is made of: 73 when this was written. One more is a
/// question, not an accident.
const MOST_CRATES: usize = 73;
/// Crates that are linked in two versions, and whose doing that is.
const TWICE: [(&str, &str); 3] = [
    ("getrandom", "ring and ahash (parquet) each keep an older one"),
    ("miniz_oxide", "png is older than flate2"),
    ("syn", "zerocopy-derive (parquet) and maud_macros are older than serde_derive; build time alone"),
];

/// What cargo says of this crate, without the network.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Names and versions of what is linked, with the given flags.
fn linked(flags: &[&str]) -> BTreeSet<(String, String)> {
    let tree = cargo(&[&["tree", "-e", "normal", "--prefix", "none"], flags].concat());
    let pair = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    tree.lines().filter_map(pair).collect()
}

#[test]
fn a_library_that_only_analyzes_is_made_of_few_crates() {
    let found = linked(&["--no-default-features"]);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"ffmpeg-next") && names.contains(&"ort"), "{names:?}");
    assert!(found.len() <= MOST_CRATES, "{} crates instead of {MOST_CRATES}: {names:?}", found.len());
    for foreign in ["clap", "tokio", "axum", "ureq", "rustls", "plotters", "parquet", "pyo3", "utoipa"] {
        assert!(!names.contains(&foreign), "{foreign} is for a feature");
    }
}

#[test]
fn hardly_a_crate_is_linked_twice() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version) in linked(&[]) {
        versions.entry(name).or_default().insert(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let known: Vec<&str> = TWICE.iter().map(|(name, _)| *name).collect();
    let found: Vec<&str> = versions.keys().map(String::as_str).collect();
    assert_eq!(found, known, "linked in several versions: {versions:?}");
}

#[test]
fn no_dependency_needs_a_newer_rust_than_startle_says() {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", host]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let number = |version: &str| -> Vec<u32> { version.split('.').map(|part| part.parse().unwrap_or(0)).collect() };
    let ours = env!("CARGO_PKG_RUST_VERSION");
    let packages = metadata["packages"].as_array().unwrap();
    let newer: Vec<String> = packages
        .iter()
        .filter_map(|package| Some((&package["name"], package["rust_version"].as_str()?)))
        .filter(|(_, theirs)| number(theirs) > [number(ours), vec![0]].concat())
        .map(|(name, theirs)| format!("{name} needs {theirs}"))
        .collect();
    assert!(packages.len() > 100 && newer.is_empty(), "startle says {ours}: {newer:?}");
}
