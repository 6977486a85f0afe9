//! Names of inputs: for people (without secrets) and for folders (without surprises).

use super::Input;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Component, Path, PathBuf};

/// Longest slug, in bytes: file systems allow 255, and reports add endings and numbers.
const LONGEST_SLUG: usize = 120;
/// Words that mark what follows a name as secret, wherever they stand in the name.
const SECRET_WORDS: [&str; 19] = [
    "token", "key", "auth", "pas", "pwd", "pw", "secret", "sig", "cred", "sess", "policy", "login", "streamid",
    "nonce", "code", "hash", "jwt", "sid", "user",
];
/// What may stand between pairs of names and values within a part of a path.
const BETWEEN: [char; 7] = ['_', ';', ',', ':', '!', '|', '='];
/// A part of a path at least this long, of letters and digits mixed, is taken for a key.
const KEY_LENGTH: usize = 20;
/// What stands in a secret's place.
const HIDDEN: &str = "***";

/// The URL without what may be secret: when in doubt, all up to the last `@`; the values of names that look secret, in
/// the path and in the query; parts of a path that look like keys, and the last one of RTMP, which is the stream's key.
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("***@", rest));
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let mut parts: Vec<String> = path.split('/').map(redacted_part).collect();
    if scheme.to_lowercase().starts_with("rtmp")
        && let [_, _, .., key] = &mut parts[..]
    {
        HIDDEN.clone_into(key);
    }
    // The host is no key, however long.
    if let Some(host) = path.split('/').next() {
        host.clone_into(&mut parts[0]);
    }
    let query = query.map(|query| query.split('&').map(without_values).collect::<Vec<_>>().join("&"));
    format!("{scheme}://{user}{}{}", parts.join("/"), query.map_or(String::new(), |query| format!("?{query}")))
}

/// A text with the host alone of every URL in it.
pub fn host_only(text: &str) -> String {
    let parts = text.split_inclusive(|c: char| c.is_whitespace() || "\"'`".contains(c));
    parts.map(|part| if part.contains("://") { origin(part) + " " } else { part.to_owned() }).collect()
}

/// Scheme and host of a URL: all of one that was kept out of the settings on purpose.
pub(super) fn origin(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.into() };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}://{}", rest.split(['/', '?', '#', ':']).next().unwrap_or(rest))
}

fn redacted_part(part: &str) -> String {
    let stem = part.split('.').next().unwrap_or(part);
    let has = |kind: fn(&u8) -> bool| stem.bytes().any(|b| kind(&b));
    let plain = stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if stem.len() >= KEY_LENGTH && plain && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic) {
        return HIDDEN.into();
    }
    without_values(part)
}

/// A part of a path or a query, up to the value of the first name that looks secret.
fn without_values(part: &str) -> String {
    for (at, _) in part.match_indices('=') {
        let name = part[..at].rsplit(BETWEEN).next().unwrap_or(part).to_lowercase();
        if SECRET_WORDS.iter().any(|word| name.contains(word)) {
            return format!("{}{HIDDEN}", &part[..=at]);
        }
    }
    part.to_owned()
}

/// The URL as FFmpeg understands it: where the password holds what ends a host's name (`/`, `?`, `#`), or an `@`, these
/// are written as `%` codes.
pub(crate) fn usable(url: &str) -> String {
    let whole = || url.to_owned();
    let Some((scheme, rest)) = url.split_once("://") else { return whole() };
    let first = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    // A port is digits; what else follows a colon is the beginning of a password.
    let password = first.split_once(':').is_some_and(|(_, word)| !word.bytes().all(|b| b.is_ascii_digit()));
    let Some((user, host)) = rest.rsplit_once('@').filter(|_| password && !first.starts_with('[')) else {
        return whole();
    };
    let code = |c: char| match c {
        '/' | '?' | '#' | '@' => format!("%{:02X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("{scheme}://{}@{host}", user.chars().map(code).collect::<String>())
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
        Input::Url(url) => Some(url_name(&redacted(url))),
        Input::Secret(url) => Some(url_name(&origin(url))),
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
    let names = Names::of(inputs);
    inputs.iter().map(|input| names.choose(input, |name| taken(input, name))).collect()
}

/// How many inputs of a list may have each name, by the names' hashes: 16 bytes a name, however long. Two that share one by
/// chance get a longer name than they need.
#[derive(Debug)]
pub struct Names(HashMap<u64, u32>);

impl Names {
    /// Of a list.
    pub fn of(inputs: &[Input]) -> Self {
        let mut users: HashMap<u64, u32> = HashMap::with_capacity(3 * inputs.len());
        for input in inputs {
            let mut own = input.names().map(|name| hash(&name));
            own.sort_unstable();
            for (index, name) in own.iter().enumerate() {
                if index == 0 || own[index - 1] != *name {
                    *users.entry(*name).or_default() += 1;
                }
            }
        }
        Self(users)
    }

    /// The name of one of the inputs: see [`unique_slugs`].
    pub fn choose(&self, input: &Input, taken: impl Fn(&str) -> bool) -> String {
        let [slug, long, marked] = input.names();
        let free = |name: &String| self.0.get(&hash(name)).is_none_or(|users| *users == 1) && !taken(name);
        [slug, long].into_iter().find(free).unwrap_or(marked)
    }
}

/// Of a name, in whatever case.
fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.to_lowercase().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn secrets_never_show() {
        let shown = |url: &str| Input::Url(url.into()).to_string();
        assert_eq!(shown("rtsp://admin:p%40ss@cam.local:554/live"), "rtsp://***@cam.local:554/live");
        assert_eq!(shown("rtsp://admin:p@ss@cam/live"), "rtsp://***@cam/live", "an @ in the password");
        assert_eq!(
            shown("https://host/v.mp4?id=7&X-Amz-Signature=abc&access_token=q"),
            "https://host/v.mp4?id=7&X-Amz-Signature=***&access_token=***"
        );
        assert_eq!(shown("https://host/a@b.mp4"), "https://***@b.mp4", "it may be a password with a slash");
        for password in ["pa/ss", "pa?ss", "pa#ss", "p/a@s?s"] {
            let url = format!("rtsp://admin:{password}@cam:554/live");
            assert_eq!(shown(&url), "rtsp://***@cam:554/live");
            assert!(!Input::Url(url).slug().contains("ss"));
        }
        let path = "rtsp://cam/user=admin_password=tlJwpbo6_channel=1_stream=0.sdp?real_stream";
        assert_eq!(shown(path), "rtsp://cam/user=***?real_stream");
        assert_eq!(
            shown("http://cam/v.cgi?loginuse=me&loginpas=x&pw=y&a=1"),
            "http://cam/v.cgi?loginuse=***&loginpas=***&pw=***&a=1"
        );
        assert_eq!(shown("rtmp://a.rtmp.host/live2/abcd-efgh"), "rtmp://a.rtmp.host/live2/***");
        assert_eq!(shown("srt://h:1?streamid=#!::u=me,r=a/b?c"), "srt://h:1?streamid=***");
        assert_eq!(shown("https://h/hls/9f86d081884c7d659a2feaa0/index.m3u8"), "https://h/hls/***/index.m3u8");
        let hidden = Input::Secret("rtsp://u:p@cam:554/1".into());
        assert_eq!((hidden.to_string(), hidden.slug()), ("rtsp://cam".into(), "cam".into()));
        assert_eq!(shown("srt://host:1?passphrase=x&latency=3"), "srt://host:1?passphrase=***&latency=3");
    }

    #[test]
    fn passwords_with_slashes_reach_ffmpeg_as_codes() {
        assert_eq!(usable("rtsp://admin:pa/s?s#@1@cam:554/x"), "rtsp://admin:pa%2Fs%3Fs%23%401@cam:554/x");
        for same in ["rtsp://cam:554/a@b", "rtsp://u:p@cam/x", "http://[::1]:80/a@b", "udp://239.0.0.1:1234", "x"] {
            assert_eq!(usable(same), same);
        }
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

    #[test]
    fn of_a_url_in_a_text_the_host_alone_is_told() {
        let text = "[hls] Opening 'http://u:word@host:8080/word/a.m3u8?token=word' for reading, rtsp://cam/word";
        let told = host_only(text);
        assert!(!told.contains("word") && told.contains("http://host ") && told.contains("rtsp://cam"), "{told}");
    }
}
