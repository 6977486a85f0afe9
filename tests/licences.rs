//! Every dependency's licence is one that a product under MIT or Apache-2.0 can ship with.

use std::process::Command;

/// Permissive licences that may be linked in. WTFPL: ffmpeg-next; the FFmpeg libraries themselves are the system's.
const ALLOWED: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "BSL-1.0",
    "WTFPL",
    "IJG",
    "MPL-2.0",
    "CDLA-Permissive-2.0",
    "OFL-1.1",
];

/// Whether an SPDX expression can be met with allowed licences only: some alternative of every conjunct is allowed.
/// (`WITH` exceptions only ever give more rights.)
fn is_allowed(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    flat.split(" AND ").all(|conjunct| {
        conjunct.split(" OR ").any(|one| ALLOWED.contains(&one.trim().split(" WITH ").next().unwrap_or("")))
    })
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let host = String::from_utf8(rustc.stdout).unwrap();
    let host = host.lines().find_map(|l| l.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50);
    let bad: Vec<String> = packages
        .iter()
        .filter(|p| !p["license"].as_str().is_some_and(is_allowed))
        .map(|p| format!("{} {}: {}", p["name"], p["version"], p["license"]))
        .collect();
    assert!(bad.is_empty(), "licences that need a look:\n{}", bad.join("\n"));
}

#[test]
fn the_rule_knows_its_expressions() {
    assert!(is_allowed("MIT OR GPL-3.0"));
    assert!(is_allowed("(MIT OR Apache-2.0) AND IJG"));
    assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR MIT"));
    assert!(!is_allowed("GPL-3.0"));
    assert!(!is_allowed("MIT AND AGPL-3.0"));
}
