//! Models of the Hugging Face hub, brought into the cache that Hugging Face's own programs use.
//!
//! Layout and environment are those of `huggingface_hub`: `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`,
//! `HF_HUB_OFFLINE`; `models--OWNER--NAME/{blobs,refs,snapshots}`. Invariant: a blob has its name only when it is whole and
//! its sha256 is the one that the hub states (weights; small text files have none stated); what was cut off lies beside it
//! as `.incomplete` and is gone on with. The crate `hf-hub` does not serve: it brings an asynchronous runtime, a second
//! HTTP client and about 150 crates for the four requests that are needed.

use super::{INDEX, Index, PROCESSORS, SINGLE};
use crate::error::{Error, Result};
use crate::model::bundle::sha256_file;
use crate::units::Stop;
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// Who waits longer than this for a connection or an answer has none.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes between two looks at whether to stop.
const PIECE: usize = 1 << 20;
/// Relative redirects that are followed to find a file's hash.
const TURNS: usize = 5;
/// Digits of a sha256.
const SHA256_DIGITS: usize = 64;

/// The hub, and where its files are kept here.
#[derive(Debug, Clone)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    offline: bool,
    agent: Agent,
}

/// A model of the hub on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The folder with its files.
    pub folder: PathBuf,
    /// The revision, a commit's hash.
    pub revision: String,
}

/// What the hub says of a file.
struct Stated {
    /// The name of its blob: the sha256 of weights.
    etag: String,
    bytes: u64,
}

/// What is told while a file comes in: its name, bytes so far, bytes in all.
pub type Tell<'a> = &'a mut dyn FnMut(&str, u64, u64);

#[derive(Deserialize)]
struct Listing {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// Whether `text` has the form of a hub id, `OWNER/NAME`.
pub fn is_id(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

impl Hub {
    /// As the environment says.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no place for the cache.
    pub fn from_env() -> Result<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = set("HF_HOME").map(PathBuf::from).or_else(|| {
            let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
            Some(cache.or_else(|| Some(std::env::home_dir()?.join(".cache")))?.join("huggingface"))
        });
        let home = home.ok_or_else(|| Error::Config("there is no home folder for downloads: set HF_HOME".into()))?;
        let kept = || std::fs::read_to_string(home.join("token")).ok().map(|token| token.trim().to_owned());
        let truth = |value: String| ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str());
        Ok(Self {
            endpoint: set("HF_ENDPOINT")
                .unwrap_or_else(|| "https://huggingface.co".into())
                .trim_end_matches('/')
                .into(),
            token: set("HF_TOKEN").or_else(kept).filter(|token| !token.is_empty()),
            offline: set("HF_HUB_OFFLINE").is_some_and(truth),
            cache: set("HF_HUB_CACHE").map_or_else(|| home.join("hub"), PathBuf::from),
            agent: agent(),
        })
    }

    /// Brings a model's configuration and weights here, or finds them; with `HF_HUB_OFFLINE` it looks in the cache alone.
    ///
    /// # Errors
    /// [`Error::Input`] when the hub can't be reached, has no such model or gives other bytes than it states;
    /// [`Error::Output`] when the cache can't be written; [`Error::Stopped`].
    pub fn fetch(&self, id: &str, revision: &str, stop: &Stop, tell: Tell<'_>) -> Result<Fetched> {
        let home = self.cache.join(format!("models--{}", id.replace('/', "--")));
        if self.offline {
            return cached(&home, id, revision);
        }
        let url = format!("{}/api/models/{id}/revision/{revision}", self.endpoint);
        let mut answer = self.get(&url, 0).map_err(|reason| refused(id, &reason))?;
        let text = answer.body_mut().read_to_string().map_err(|e| refused(id, &e.to_string()))?;
        let listing: Listing = serde_json::from_str(&text).map_err(|e| refused(id, &format!("{url}: {e}")))?;
        let there = |name: &str| listing.siblings.iter().any(|sibling| sibling.rfilename == name);
        if !is_plain(&listing.sha) {
            return Err(refused(id, "its revision is no commit"));
        }
        let folder = home.join("snapshots").join(&listing.sha);
        let mut bring = |name: &str| self.bring((&home, id, &listing.sha), name, stop, &mut *tell);
        let mut names = vec!["config.json"];
        names.extend(PROCESSORS.into_iter().filter(|name| there(name)));
        names.push(if there(INDEX) { INDEX } else { SINGLE });
        names.into_iter().try_for_each(&mut bring)?;
        if let Some(index) = super::json::<Index>(&folder.join(INDEX))? {
            let shards: std::collections::BTreeSet<String> = index.weight_map.into_values().collect();
            shards.iter().try_for_each(|shard| bring(shard))?;
        }
        put(&home.join("refs").join(revision), listing.sha.as_bytes())?;
        Ok(Fetched { folder, revision: listing.sha })
    }

    /// Brings one file into the cache, unless it is there.
    fn bring(&self, (home, id, sha): (&Path, &str, &str), name: &str, stop: &Stop, tell: Tell<'_>) -> Result<()> {
        let link = home.join("snapshots").join(sha).join(name);
        if link.is_file() {
            return Ok(());
        }
        if !is_plain(name) {
            return Err(refused(id, &format!("{name:?} is no name of a file")));
        }
        let url = format!("{}/{id}/resolve/{sha}/{name}", self.endpoint);
        let fail = |reason: String| refused(id, &format!("{name}: {reason}"));
        let stated = self.stated(&url).map_err(fail)?;
        let blob = home.join("blobs").join(&stated.etag);
        if !blob.is_file() {
            self.download(&url, (&blob, &stated), stop, &mut |done| tell(name, done, stated.bytes)).map_err(
                |error| match error {
                    Error::Input { reason, .. } => fail(reason),
                    other => other,
                },
            )?;
        }
        let folder = link.parent().unwrap_or(home);
        std::fs::create_dir_all(folder).map_err(|error| Error::output(folder, error))?;
        let target = Path::new("../../blobs").join(&stated.etag);
        std::os::unix::fs::symlink(target, &link).map_err(|error| Error::output(link, error))
    }

    /// What the hub states of a file: it does so before it sends one on to where the bytes lie.
    fn stated(&self, url: &str) -> Result<Stated, String> {
        let mut url = url.to_owned();
        for _ in 0..TURNS {
            let answer = self.authorised(self.agent.head(&url)).call().map_err(|error| error.to_string())?;
            let headers = answer.headers();
            let linked = text(headers, "x-linked-etag");
            let etag = linked.clone().or_else(|| text(headers, "etag"));
            let bytes = text(headers, "x-linked-size").or_else(|| text(headers, "content-length"));
            match (answer.status().as_u16(), text(headers, "location")) {
                (300..400, Some(place)) if linked.is_none() && place.starts_with('/') => {
                    url = format!("{}{place}", self.endpoint);
                }
                (200..400, _) => {
                    let etag = etag.unwrap_or_default().trim_start_matches("W/").trim_matches('"').to_owned();
                    let bytes = bytes.and_then(|bytes| bytes.parse().ok());
                    return match bytes {
                        Some(bytes) if is_plain(&etag) => Ok(Stated { etag, bytes }),
                        _ => Err("the hub states no hash and length of it".into()),
                    };
                }
                (status, _) => return Err(in_words(status)),
            }
        }
        Err("the hub sends one in a circle".into())
    }

    /// Downloads a blob, or the rest of it.
    fn download(
        &self,
        url: &str,
        (blob, stated): (&Path, &Stated),
        stop: &Stop,
        tell: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let part = blob.with_file_name(format!("{}.incomplete", stated.etag));
        let fail = |error| Error::output(&part, error);
        std::fs::create_dir_all(part.parent().unwrap_or(&part)).map_err(fail)?;
        let mut file = File::options().create(true).append(true).open(&part).map_err(fail)?;
        let mut done = file.metadata().map_err(fail)?.len();
        if done > stated.bytes {
            file.set_len(0).map_err(fail)?;
            done = 0;
        }
        if done < stated.bytes {
            let mut answer = self.get(url, done).map_err(|reason| Error::input("", reason))?;
            if done > 0 && answer.status() != 206 {
                file.set_len(0).map_err(fail)?;
                done = 0;
            }
            let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
            let mut piece = vec![0; PIECE];
            loop {
                tell(done);
                if stop.requested() {
                    return Err(Error::Stopped);
                }
                let count = body.read(&mut piece).map_err(|error| {
                    Error::input("", format!("broke off after {done} bytes: {error}; run the command again to go on"))
                })?;
                if count == 0 {
                    break;
                }
                file.write_all(&piece[..count]).map_err(fail)?;
                done += count as u64;
            }
        }
        file.sync_all().map_err(fail)?;
        check(&part, stated)?;
        std::fs::rename(&part, blob).map_err(|error| Error::output(blob, error))
    }

    /// The answer to a GET, from byte `first` on.
    fn get(&self, url: &str, first: u64) -> Result<Response<Body>, String> {
        let mut request = self.authorised(self.agent.get(url).config().max_redirects(TURNS as u32).build());
        if first > 0 {
            request = request.header("Range", format!("bytes={first}-"));
        }
        let answer = request.call().map_err(|error| format!("{}: {error}", self.endpoint))?;
        if answer.status().is_success() { Ok(answer) } else { Err(in_words(answer.status().as_u16())) }
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        .user_agent(concat!("startle/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// Refuses, and removes, a file that is not what was stated.
fn check(part: &Path, stated: &Stated) -> Result<()> {
    let fail = |error| Error::output(part, error);
    let bytes = std::fs::metadata(part).map_err(fail)?.len();
    if bytes < stated.bytes {
        let reason = format!("broke off after {bytes} of {} bytes; run the command again to go on", stated.bytes);
        return Err(Error::input("", reason));
    }
    let hashed = stated.etag.len() == SHA256_DIGITS;
    if bytes == stated.bytes && !(hashed && sha256_file(part).map_err(fail)? != stated.etag) {
        return Ok(());
    }
    std::fs::remove_file(part).map_err(fail)?;
    Err(Error::input("", "what came is not what the hub states (sha256 or length); run the command again"))
}

/// The model as an earlier download left it.
fn cached(home: &Path, id: &str, revision: &str) -> Result<Fetched> {
    let named = std::fs::read_to_string(home.join("refs").join(revision)).map(|text| text.trim().to_owned());
    let revision = named.unwrap_or_else(|_| revision.to_owned());
    let folder = home.join("snapshots").join(&revision);
    if is_plain(&revision) && folder.join("config.json").is_file() {
        return Ok(Fetched { folder, revision });
    }
    Err(Error::input(
        id,
        format!("is not in the cache ({}), and HF_HUB_OFFLINE forbids to ask the hub", home.display()),
    ))
}

fn refused(id: &str, reason: &str) -> Error {
    Error::input(format!("{id} on the Hugging Face hub"), reason)
}

fn in_words(status: u16) -> String {
    match status {
        401 | 403 => "the hub wants to know who asks: set HF_TOKEN, and accept the model's terms on its page".into(),
        404 => "there is no such model, revision or file".into(),
        status => format!("the hub answers with status {status}"),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Whether a name from the network can be a file's name in a folder of ours.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |error| Error::output(path, error);
    std::fs::create_dir_all(path.parent().unwrap_or(path)).map_err(fail)?;
    std::fs::write(path, bytes).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_an_owner_and_a_name() {
        assert!(is_id("facebook/vjepa2-vitl-fpc64-256"));
        for no in ["vjepa2", "a/b/c", "/b", "a/", "../b", "a/..", "a b/c", "./models"] {
            assert!(!is_id(no), "{no}");
        }
    }
}
