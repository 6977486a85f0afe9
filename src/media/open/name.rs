//! Names of inputs: for people (without secrets) and for folders (without surprises).

use super::Input;
use std::collections::HashSet;
use std::path::Path;

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

/// One slug for each input, in order, all different (also where upper and lower case are the same): the second `clip`
/// becomes `clip-2`. Depends on the whole list, so shards of a list must be taken after naming.
pub fn unique_slugs(inputs: &[Input]) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut slugs = Vec::with_capacity(inputs.len());
    for input in inputs {
        let slug = input.slug();
        let mut candidate = slug.clone();
        let mut count = 1;
        while !taken.insert(candidate.to_lowercase()) {
            count += 1;
            candidate = format!("{slug}-{count}");
        }
        slugs.push(candidate);
    }
    slugs
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
        let expected = [
            "clip",
            "clip-2",
            "Clip-3",
            "clip-2-2",
            "my-film-1",
            "Über",
            "input",
            "stdin",
            "cam.local-live-1",
            "host-dir.d-film",
        ];
        assert_eq!(unique_slugs(&inputs), expected);
    }
}
