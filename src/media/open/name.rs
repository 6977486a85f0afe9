//! Names of inputs: for people (without secrets) and for folders (without surprises).

use super::Input;
use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

/// Longest slug, in bytes: file systems allow 255, and reports add endings and numbers.
const LONGEST_SLUG: usize = 120;
/// Words that mark a query parameter as secret, wherever they stand in its name.
const SECRET_WORDS: [&str; 10] =
    ["token", "key", "auth", "pass", "pwd", "secret", "sig", "credential", "session", "policy"];
/// What stands in a secret's place.
const HIDDEN: &str = "***";

/// The URL without user name, password and the values of query parameters that look secret.
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => authority.to_owned(),
    };
    let (before, query) = tail.split_once('?').map_or((tail, None), |(before, query)| (before, Some(query)));
    let query = query.map(|query| {
        let parameters: Vec<String> = query.split('&').map(redacted_parameter).collect();
        format!("?{}", parameters.join("&"))
    });
    format!("{scheme}://{host}{before}{}", query.unwrap_or_default())
}

fn redacted_parameter(parameter: &str) -> String {
    let Some((name, _)) = parameter.split_once('=') else { return parameter.to_owned() };
    let lower = name.to_lowercase();
    if SECRET_WORDS.iter().any(|word| lower.contains(word)) { format!("{name}={HIDDEN}") } else { parameter.to_owned() }
}

/// See [`Input::slug`].
pub(super) fn slug(input: &Input) -> String {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = match input {
        Input::File(path) => stem(path),
        Input::Images(sequence) if sequence.label.is_dir() => {
            let full = std::fs::canonicalize(&sequence.label).unwrap_or_else(|_| sequence.label.clone());
            full.file_name().map(|name| name.to_string_lossy().into_owned())
        }
        Input::Images(sequence) => {
            let parent = sequence.label.parent().and_then(Path::file_name);
            parent.map_or_else(|| stem(&sequence.label), |name| Some(name.to_string_lossy().into_owned()))
        }
        Input::Stdin => Some("stdin".to_owned()),
        Input::Url(url) => Some(url_name(url)),
    };
    plain(&name.unwrap_or_default())
}

/// Host and path of a URL, without its scheme, port, user, query and ending.
fn url_name(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let path = path.trim_end_matches('/');
    let path = path.rsplit_once('.').map_or(path, |(stem, ending)| if ending.contains('/') { path } else { stem });
    if path.is_empty() { host.to_owned() } else { format!("{host}-{path}") }
}

/// Letters, digits, `.`, `_` and `-` stay, every run of others becomes one `-`.
fn plain(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        if slug.len() + c.len_utf8() > LONGEST_SLUG {
            break;
        }
        if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_matches(['-', '.']);
    if slug.is_empty() { "input".to_owned() } else { slug.to_owned() }
}

/// FNV-1a: 32 bits that are the same on every machine and in every version.
pub(super) fn mark(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// See [`Input::long_slug`].
pub(super) fn long_slug(input: &Input) -> String {
    let name = match input.path() {
        Some(path) => path.components().filter(|part| matches!(part, Component::Normal(_))).collect::<PathBuf>(),
        None => PathBuf::from(slug(input)),
    };
    plain(&name.to_string_lossy())
}

/// A name for each input, in order, all different (also where upper and lower case are the same): the first of its
/// [`Input::names`] that it shares with no other input of the list and that is not `taken`. It is the same whatever the
/// order, so parts of a list may be taken before or after.
pub fn unique_slugs(inputs: &[Input], taken: impl Fn(&Input, &str) -> bool) -> Vec<String> {
    let names: Vec<[String; 3]> = inputs.iter().map(Input::names).collect();
    let mut users: HashMap<String, HashSet<usize>> = HashMap::new();
    for (index, name) in names.iter().enumerate().flat_map(|(index, names)| names.iter().map(move |n| (index, n))) {
        users.entry(name.to_lowercase()).or_default().insert(index);
    }
    let free = |input: &Input, name: &&String| users[&name.to_lowercase()].len() == 1 && !taken(input, name);
    let choose = |(input, names): (&Input, &[String; 3])| {
        names.iter().find(|name| free(input, name)).unwrap_or(&names[2]).clone()
    };
    inputs.iter().zip(&names).map(choose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_show() {
        let shown = |url: &str| Input::Url(url.into()).to_string();
        assert_eq!(shown("rtsp://admin:p%40ss@cam.local:554/live"), "rtsp://***@cam.local:554/live");
        assert_eq!(shown("rtsp://admin:p@ss@cam/live"), "rtsp://***@cam/live", "an @ in the password");
        assert_eq!(
            shown("https://host/v.mp4?id=7&X-Amz-Signature=abc&access_token=q"),
            "https://host/v.mp4?id=7&X-Amz-Signature=***&access_token=***"
        );
        assert_eq!(shown("https://host/a@b.mp4"), "https://host/a@b.mp4");
        assert_eq!(shown("srt://host:1?passphrase=x&latency=3"), "srt://host:1?passphrase=***&latency=3");
    }

    #[test]
    fn slugs_are_plain_and_unique() {
        let file = |name: &str| Input::File(name.into());
        let inputs = [
            file("a/clip.mp4"),
            file("b/clip.mkv"),
            file("Clip.avi"),
            file("clip-2.mov"),
            file("my film (1).mp4"),
            file("Über.mp4"),
            file("..mp4"),
            Input::Stdin,
            Input::Url("rtsp://u:p@cam.local:554/live/1?token=x".into()),
            Input::Url("https://host/dir.d/film.mp4".into()),
        ];
        let names = unique_slugs(&inputs, |_, _| false);
        let expected = ["a-clip.mp4", "b-clip.mkv", "Clip.avi", "clip-2", "my-film-1", "Über", "input", "stdin"];
        assert_eq!(names[..8], expected);
        assert_eq!(names[8..], ["cam.local-live-1", "host-dir.d-film"]);
        let mut turned = inputs.to_vec();
        turned.reverse();
        let mut turned = unique_slugs(&turned, |_, _| false);
        turned.reverse();
        assert_eq!(turned, names, "the order does not matter");
        assert_eq!(unique_slugs(&inputs[3..4], |_, name| name == "clip-2"), ["clip-2.mov"]);
    }

    #[test]
    fn what_is_called_alike_still_gets_a_name_of_its_own() {
        let url = |token: &str| Input::Url(format!("rtsp://cam/live?channel={token}"));
        let inputs = [url("1"), url("2"), Input::File("a b.mp4".into()), Input::File("a-b.mp4".into())];
        let names = unique_slugs(&inputs, |_, _| false);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 4, "{names:?}");
        assert!(names[0].starts_with("cam-live-") && names[2].starts_with("a-b.mp4-"), "{names:?}");
    }
}
