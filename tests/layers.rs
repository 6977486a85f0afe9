//! The architecture as a test: dependencies run downwards only, foreign crates stay in their rooms, files stay small.
//! The floors are those of `src/lib.rs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Longest file; past it ask what it is really two of.
const MAX_LINES: usize = 400;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 20, "the sources were not found");
    found.into_iter().map(|(path, text)| (path.strip_prefix(&root).unwrap().to_owned(), text)).collect()
}

/// The part of a file that is compiled into the product.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

/// Floor of a module path such as `media::open`; `None` for the crate's root.
fn floor(module: &str) -> Option<u8> {
    let adapters = [
        "media::adapt",
        "media::open",
        "media::ffmpeg",
        "media::capabilities",
        "model::bundle",
        "model::tensor",
        "model::jepa",
    ];
    let adapters = adapters.into_iter().chain([
        "model::ort",
        "model::persistence",
        "model::shelf",
        "model::manifest",
        "model::external",
        "model::checkpoint",
        "model::add",
    ]);
    let is_in = |room: &str| module == room || module.starts_with(&format!("{room}::"));
    if adapters.into_iter().any(is_in) {
        return Some(6);
    }
    // The engine runs without the rest of the house; the page hears what the rest tells.
    for (room, floor) in [("watch::engine", 8), ("watch::web", 10)] {
        if is_in(room) {
            return Some(floor);
        }
    }
    let floors: BTreeMap<_, _> = [
        ("units", 1),
        ("error", 0),
        ("media", 2),
        ("clip", 3),
        ("surprise", 4),
        ("model", 5),
        ("record", 6),
        ("folders", 5),
        ("engine", 9),
        ("store", 5),
        ("evaluate", 7),
        ("rank", 7),
        ("dataset", 9),
        ("watch", 9),
        ("pipeline", 7),
        ("report", 9),
        ("cli", 11),
        ("python", 11),
    ]
    .into();
    floors.get(module.split("::").next()?).copied()
}

/// `media/open.rs` → `media::open`.
fn module_of(path: &Path) -> String {
    let parts: Vec<_> = path.with_extension("").iter().map(|p| p.to_string_lossy().into_owned()).collect();
    parts.into_iter().filter(|p| p != "mod").collect::<Vec<_>>().join("::")
}

#[test]
fn dependencies_run_downwards() {
    let mut breaches = Vec::new();
    for (path, text) in sources() {
        let module = module_of(&path);
        let Some(own) = floor(&module) else { continue };
        for import in product(&text).split("crate::").skip(1) {
            let target: String = import.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
            let Some(theirs) = floor(&target) else { continue };
            let top = |m: &str| m.split("::").next().unwrap_or("").to_owned();
            // In one house: the engine may not look up to the page, nor the rest.
            let is_breach =
                if top(&target) == top(&module) { top(&module) == "watch" && theirs > own } else { theirs >= own };
            if is_breach {
                breaches.push(format!("{} (floor {own}) imports {target} (floor {theirs})", path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn foreign_crates_stay_in_their_rooms() {
    let rooms = [
        ("ffmpeg_next", &["media/ffmpeg", "media/capabilities"][..]),
        ("ort::", &["model/ort", "cli/"]),
        ("plotters", &["report/plot"]),
        ("maud", &["report/html", "report/compare", "report/evaluation/page", "report/ranking/page"]),
        ("ureq", &["watch/deliver", "model/checkpoint/hub"]),
        ("rumqttc", &["watch/deliver"]),
        ("crossbeam_channel", &["pipeline/", "watch/engine"]),
        (
            "std::thread",
            &[
                "pipeline/",
                "watch/engine",
                "watch/evidence",
                "watch/deliver",
                "watch/outbox",
                "cli/monitor/lines",
                "cli/signals",
            ],
        ),
        ("axum", &["watch/web"]),
        ("tokio::", &["watch/web"]),
        ("tower", &["watch/web"]),
        ("rustls::", &["watch/web", "watch/deliver"]),
        ("argon2::", &["watch/web/auth"]),
        ("clap::", &["cli/"]),
        ("println!", &["cli/"]),
        ("eprintln!", &["cli/"]),
        ("process::exit", &["cli/"]),
        ("indicatif", &["cli/"]),
        ("signal_hook", &["cli/signals"]),
        ("tracing_subscriber", &["cli/log"]),
        ("pyo3", &["python/"]),
    ];
    let mut breaches = Vec::new();
    for (path, text) in sources() {
        let name = path.to_string_lossy().into_owned();
        for (foreign, allowed) in rooms {
            let code = product(&text).lines().filter(|l| !l.trim_start().starts_with("//"));
            let uses = code.filter(|l| is_use(l, foreign)).count();
            if uses > 0 && !allowed.iter().any(|a| name.starts_with(a)) && name != "main.rs" {
                breaches.push(format!("{name} uses {foreign}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

/// Files of floors 0–5 that may touch the disk or a clock, and why.
const IMPURE: [(&str, &str); 2] = [
    ("store", "it is the room for writing files whole: who writes one says what, it says how"),
    ("folders", "it is the room that asks the environment where a user's folders are"),
];

#[test]
fn the_lower_floors_touch_neither_disk_nor_clock() {
    let impure = [
        "std::fs",
        "fs::",
        "File::",
        "OpenOptions::",
        ".exists()",
        ".is_file()",
        ".is_dir()",
        "std::net",
        "env::var",
        "Instant::now",
        "SystemTime::now",
        ".elapsed()",
        "thread::sleep",
    ];
    let mut breaches = Vec::new();
    let mut pure = 0;
    for (path, text) in sources() {
        let module = module_of(&path);
        if floor(&module).is_none_or(|floor| floor > 5) || IMPURE.iter().any(|(room, _)| *room == module) {
            continue;
        }
        pure += 1;
        let code = product(&text).lines().filter(|l| !l.trim_start().starts_with("//"));
        let uses = code.filter(|line| impure.iter().any(|word| is_use(line, word)));
        breaches.extend(uses.map(|line| format!("{}: {}", path.display(), line.trim())));
    }
    assert!(pure > 30, "only {pure} files were looked at");
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

/// Whether a line names a foreign thing; `report::` does not name `ort::`, nor does a nap start a thread.
fn is_use(line: &str, foreign: &str) -> bool {
    line.match_indices(foreign).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let own_module =
            line[..at].ends_with("model::") || line[..at].ends_with("super::") || line[..at].ends_with("crate::");
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            && !own_module
            && !["available_parallelism", "sleep"].iter().any(|f| line[at..].starts_with(&format!("std::thread::{f}")))
    })
}

#[test]
fn files_are_small_and_say_what_they_are() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} has no header", path.display());
        let lines = product(&text).lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines, at most {MAX_LINES}", path.display());
    }
}

#[test]
fn links_of_the_documents_resolve() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in ["README.md", "CHANGELOG.md", "samples/README.md", "reports/README.md", "models/README.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap_or_else(|e| panic!("{document}: {e}"));
        let folder = Path::new(document).parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(root.join(folder).join(target).exists(), "{document} links to {target}, which is not there");
            }
        }
    }
}
