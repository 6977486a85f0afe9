//! What the user named, as inputs: files, folders, globs, numbered images, URLs and standard input.
//!
//! Rules, in order: `-` is standard input; `scheme://…` is a URL; an existing file is itself; an existing folder is the
//! videos in it or, when it has none, its images as one sequence; `name%04d.png` is a numbered sequence;
//! `* ? [` make a glob, whose images, when it matches nothing else, are one sequence. Folders are searched deeper where
//! that is asked for; `folder/**/*.mp4` does so too.
//!
//! Invariant: each real file is taken once, whatever links lead to it; the order is that of the arguments and, within one, natural (`clip2` before `clip10`), so a run over the
//! same files is the same run on every machine; what was named twice is taken once.

mod name;
mod order;
mod walk;

pub(crate) use name::usable;
pub use name::{Names, host_only, redacted, unique_slugs};
pub use order::natural_order;

use crate::error::{Error, Result};
use crate::units::Stop;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Endings of video files, lower case; a folder gives these (a file named on its own may be called anything).
const VIDEO_ENDINGS: [&str; 39] = [
    "264", "265", "3g2", "3gp", "asf", "avc", "avi", "dav", "divx", "dv", "f4v", "flv", "gif", "h264", "h265", "hevc",
    "ivf", "m2t", "m2ts", "m2v", "m4v", "mjpeg", "mjpg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "nut",
    "ogm", "ogv", "rm", "ts", "vob", "webm", "wmv", "y4m",
];
/// Endings of images that can be frames of a sequence, lower case.
const IMAGE_ENDINGS: [&str; 17] = [
    "bmp", "dpx", "exr", "j2k", "jp2", "jpeg", "jpg", "jxl", "pbm", "pgm", "png", "pnm", "ppm", "tga", "tif", "tiff",
    "webp",
];

/// One image of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageFile {
    /// Its place in time: the number in its name for numbered sequences (so a missing number is a hole in time), else
    /// its rank.
    pub number: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// Images that are the frames of one video; never empty, numbers strictly ascending.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageSequence {
    /// What the user named: a folder, a pattern or a glob.
    pub label: PathBuf,
    /// The images in order of time.
    pub files: Vec<ImageFile>,
}

/// Something to analyse. [`fmt::Display`] gives its name for people, without credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Input {
    /// A file (or a named pipe).
    File(PathBuf),
    /// Images that are one video.
    Images(ImageSequence),
    /// What is piped in.
    Stdin,
    /// Anything with a scheme that FFmpeg opens.
    Url(String),
    /// The same, of which only the scheme and the host may ever be shown.
    Secret(String),
}

impl Input {
    /// A file or a URL of this name, without a look at the disk.
    pub fn as_it_is(name: &OsStr) -> Self {
        match name.to_str().filter(|text| is_url(text) && !text.starts_with("file://")) {
            Some(url) => Self::Url(url.to_owned()),
            None => Self::File(name.into()),
        }
    }

    /// The file or folder on disk; `None` for streams.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Images(sequence) => Some(&sequence.label),
            Self::Stdin | Self::Url(_) | Self::Secret(_) => None,
        }
    }

    /// The URL of a stream, with its secrets.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Url(url) | Self::Secret(url) => Some(url),
            Self::File(_) | Self::Images(_) | Self::Stdin => None,
        }
    }

    /// A name for a report's folder: letters, digits, `.`, `_` and `-`, never empty. See [`unique_slugs`] for many.
    pub fn slug(&self) -> String {
        name::slug(self)
    }

    /// The same from its whole path as it was named, with its ending.
    pub fn long_slug(&self) -> String {
        name::long_slug(self)
    }

    /// Names for its report's folder, of which the first is the shortest and the last is like no other input's: its
    /// [`Input::slug`], its [`Input::long_slug`], and that with a mark made from its name.
    pub fn names(&self) -> [String; 3] {
        let long = self.long_slug();
        let marked = format!("{long}-{:08x}", name::mark(&self.to_string()));
        [self.slug(), long, marked]
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Images(sequence) => write!(f, "{}", sequence.label.display()),
            Self::Stdin => write!(f, "standard input"),
            Self::Url(url) => write!(f, "{}", name::redacted(url)),
            Self::Secret(url) => write!(f, "{}", name::origin(url)),
        }
    }
}

/// Scheme of a camera at this machine (Video for Linux): `v4l2:///dev/video0`, which `/dev/video0` stands for.
pub const CAMERA: &str = "v4l2://";

/// How folders are searched.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Whether the folders of a folder are searched too.
    pub recursive: bool,
    /// Ends a long search.
    pub stop: Stop,
}

/// What the arguments name.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Found {
    /// The inputs, each once.
    pub inputs: Vec<Input>,
    /// Visible files of named folders that are no videos, and folders in them that were not searched.
    pub passed_over: (usize, usize),
}

/// All inputs that the arguments name, each once, in a fixed order; folders are not searched deeper.
///
/// # Errors
/// As [`expand_in`].
pub fn expand<S: AsRef<OsStr>>(arguments: &[S]) -> Result<Vec<Input>> {
    Ok(expand_in(arguments, &Search::default())?.inputs)
}

/// As [`expand`], with a say in how folders are searched.
///
/// # Errors
/// [`Error::Input`] for the first argument that names nothing usable; [`Error::Stopped`] when stopped meanwhile.
pub fn expand_in<S: AsRef<OsStr>>(arguments: &[S], search: &Search) -> Result<Found> {
    let (mut seen, mut files) = (HashSet::new(), HashSet::new());
    let mut all = Found::default();
    for argument in arguments {
        let found = look(argument.as_ref(), search)?;
        all.passed_over.0 += found.passed_over.0;
        all.passed_over.1 += found.passed_over.1;
        for input in found.inputs {
            let real = match &input {
                Input::File(path) => walk::identity(path),
                _ => None,
            };
            // A real file is known by what it is, all else by its name.
            if real.map_or_else(|| seen.insert(input.clone()), |real| files.insert(real)) {
                all.inputs.push(input);
            }
        }
    }
    if all.inputs.len() > 1 && all.inputs.contains(&Input::Stdin) {
        return Err(Error::input(
            "-",
            "standard input can only be analysed alone: name the other inputs in another run",
        ));
    }
    Ok(all)
}

/// The inputs that one argument names; at least one.
///
/// # Errors
/// As [`expand_in`].
pub fn parse(argument: &str) -> Result<Vec<Input>> {
    Ok(look(OsStr::new(argument), &Search::default())?.inputs)
}

fn look(argument: &OsStr, search: &Search) -> Result<Found> {
    let one = |input| Ok(Found { inputs: vec![input], ..Found::default() });
    // What is not Unicode can only be a name.
    let Some(text) = argument.to_str() else { return look_for_path(argument, search) };
    if text.is_empty() {
        return Err(Error::input("''", "an empty name: name a file, a folder, a glob, a URL or `-`"));
    }
    if text == "-" {
        return one(Input::Stdin);
    }
    if text.starts_with("/dev/video") {
        return one(Input::Url(format!("{CAMERA}{text}")));
    }
    if let Some(path) = text.strip_prefix("file://") {
        let path = path.strip_prefix("localhost").unwrap_or(path);
        // A name that is there as it stands needs no decoding.
        let decoded = if Path::new(path).exists() { path.into() } else { percent_decoded(path) };
        return look_for_path(&decoded, search);
    }
    if let Some(path) = text.strip_prefix("file:") {
        return look_for_path(OsStr::new(path), search);
    }
    if is_url(text) {
        return one(Input::Url(text.to_owned()));
    }
    look_for_path(argument, search)
}

/// A path with its `%20` and the like as the bytes that they stand for.
fn percent_decoded(path: &str) -> OsString {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let (bytes, mut out) = (path.as_bytes(), Vec::with_capacity(path.len()));
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = digit(bytes.get(at + 1)).zip(digit(bytes.get(at + 2))).filter(|_| byte == b'%');
        out.push(code.map_or(byte, |(high, low)| (high * 16 + low) as u8));
        at += if code.is_some() { 3 } else { 1 };
    }
    OsString::from_vec(out)
}

/// `scheme://`, where the scheme is letters, digits, `+`, `-`, `.` after a letter.
fn is_url(argument: &str) -> bool {
    let scheme = argument.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

fn look_for_path(argument: &OsStr, search: &Search) -> Result<Found> {
    let path = Path::new(argument);
    let shown = path.to_string_lossy();
    let found = |inputs| Ok(Found { inputs, ..Found::default() });
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => in_folder(path, search),
        Ok(_) => found(vec![Input::File(path.to_owned())]),
        Err(_) if Pattern::of(&shown).is_some() => found(numbered(&shown)?),
        Err(_) if shown.contains(['*', '?', '[']) => found(matching(&shown, search)?),
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Error::input(shown, "no permission to look there: check the owner and mode of its folders"))
        }
        Err(_) => Err(Error::input(shown, "no such file or folder: check the spelling and where you are")),
    }
}

/// The videos of a folder (and of the folders in it, where that is asked for) or, without any, its images as one sequence.
fn in_folder(folder: &Path, search: &Search) -> Result<Found> {
    let depth = if search.recursive { usize::MAX } else { 0 };
    let walked = walk::files(folder, depth, &search.stop)?;
    let mut by_folder: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    let total = walked.files.len();
    for file in walked.files {
        by_folder.entry(file.parent().unwrap_or(folder).to_owned()).or_default().push(file);
    }
    let mut inputs = Vec::new();
    for (folder, files) in by_folder {
        inputs.extend(videos_or_sequence(&folder, files)?);
    }
    inputs.sort_by(|a, b| natural_order(a.path().unwrap_or(folder), b.path().unwrap_or(folder)));
    if inputs.is_empty() {
        let deeper = match walked.left_out {
            0 => "name another",
            _ => "look into the folders in it with --recursive, or with a glob such as `folder/**/*.mp4`",
        };
        return Err(Error::input(
            folder.display().to_string(),
            format!("a folder without a video or an image: {deeper}"),
        ));
    }
    let taken: usize = inputs.iter().map(|input| if let Input::Images(s) = input { s.files.len() } else { 1 }).sum();
    Ok(Found { inputs, passed_over: (total - taken, walked.left_out) })
}

/// The plain, visible files of a folder in natural order.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(walk::files(folder, 0, &Stop::new())?.files)
}

/// The videos among the files; without any, the images as one sequence.
fn videos_or_sequence(label: &Path, files: Vec<PathBuf>) -> Result<Vec<Input>> {
    if files.iter().any(|file| has_ending(file, &VIDEO_ENDINGS)) {
        let videos = files.into_iter().filter(|file| has_ending(file, &VIDEO_ENDINGS));
        return Ok(videos.map(Input::File).collect());
    }
    let images: Vec<PathBuf> = files.into_iter().filter(|file| is_image(file)).collect();
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let files = images.into_iter().zip(0..).map(|(path, number)| ImageFile { number, path }).collect();
    Ok(vec![Input::Images(one_kind(label, files)?)])
}

/// One decoder reads a whole sequence, so its images must be of one kind.
fn one_kind(label: &Path, files: Vec<ImageFile>) -> Result<ImageSequence> {
    let kind = |file: &ImageFile| match ending(&file.path).as_str() {
        "jpeg" => "jpg".to_owned(),
        "tiff" => "tif".to_owned(),
        other => other.to_owned(),
    };
    let first = kind(&files[0]);
    if let Some(other) = files.iter().map(kind).find(|other| *other != first) {
        return Err(Error::input(
            label.display().to_string(),
            format!(
                "images of two kinds (.{first} and .{other}): name one kind with a glob such as `folder/*.{first}`"
            ),
        ));
    }
    Ok(ImageSequence { label: label.to_owned(), files })
}

/// What a glob matches: all of it but hidden files and folders; images alone are one sequence.
fn matching(pattern: &str, search: &Search) -> Result<Vec<Input>> {
    let files = walk::matching(pattern, &search.stop)?;
    if files.is_empty() {
        return Err(Error::input(pattern, "the glob matches no file: check it with `ls`, and quote it for the shell"));
    }
    if files.iter().all(|file| is_image(file)) {
        return videos_or_sequence(Path::new(pattern), files);
    }
    Ok(files.into_iter().map(Input::File).collect())
}

/// `before%04dafter`, split.
struct Pattern<'a> {
    folder: &'a Path,
    before: &'a str,
    digits: usize,
    after: &'a str,
}

impl<'a> Pattern<'a> {
    fn of(argument: &'a str) -> Option<Self> {
        let path = Path::new(argument);
        let name = path.file_name()?.to_str()?;
        let (before, rest) = name.split_once('%')?;
        let (digits, after) = rest.split_once('d')?;
        let digits = if digits.is_empty() { 1 } else { digits.strip_prefix('0').unwrap_or(digits).parse().ok()? };
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(Self { folder, before, digits, after })
    }

    /// The number in a name that fits.
    fn number(&self, path: &Path) -> Option<u64> {
        let name = path.file_name()?.to_str()?;
        let digits = name.strip_prefix(self.before)?.strip_suffix(self.after)?;
        let fits = digits.len() == self.digits || (digits.len() > self.digits && !digits.starts_with('0'));
        (fits && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
    }
}

fn numbered(argument: &str) -> Result<Vec<Input>> {
    let nothing = || Error::input(argument, "no image fits this pattern: check the folder and the number of digits");
    let pattern = Pattern::of(argument).ok_or_else(nothing)?;
    if !pattern.folder.is_dir() {
        return Err(nothing());
    }
    let numbered = list(pattern.folder)?.into_iter().filter_map(|path| Some((pattern.number(&path)?, path)));
    let mut files: Vec<ImageFile> = numbered.map(|(number, path)| ImageFile { number, path }).collect();
    files.sort_by_key(|file| file.number);
    if files.is_empty() {
        return Err(nothing());
    }
    Ok(vec![Input::Images(one_kind(Path::new(argument), files)?)])
}

/// Whether a file is called like an image.
pub(crate) fn is_image(path: &Path) -> bool {
    has_ending(path, &IMAGE_ENDINGS)
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    endings.contains(&ending(path).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        folder
    }

    fn names(inputs: &[Input]) -> Vec<String> {
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        inputs
            .iter()
            .flat_map(|input| match input {
                Input::Images(sequence) => sequence.files.iter().map(|file| name(&file.path)).collect(),
                other => vec![name(other.path().unwrap())],
            })
            .collect()
    }

    #[test]
    fn a_folder_gives_its_videos_in_natural_order() {
        let folder = folder_with(&["clip10.mp4", "clip2.MP4", "notes.txt", ".hidden.mp4", "cover.jpg"]);
        let inputs = parse(folder.path().to_str().unwrap()).unwrap();
        assert_eq!(names(&inputs), ["clip2.MP4", "clip10.mp4"]);
    }

    #[test]
    fn a_folder_of_images_is_one_sequence() {
        let folder = folder_with(&["f10.png", "f9.png", "labels.json"]);
        let inputs = parse(folder.path().to_str().unwrap()).unwrap();
        assert_eq!((inputs.len(), names(&inputs)), (1, vec!["f9.png".to_owned(), "f10.png".to_owned()]));
        let mixed = folder_with(&["a.png", "b.jpg"]);
        assert!(parse(mixed.path().to_str().unwrap()).unwrap_err().to_string().contains("two kinds"));
    }

    #[test]
    fn numbered_images_keep_their_holes() {
        let folder = folder_with(&["f0007.png", "f0008.png", "f0011.png", "f12.png", "g0009.png"]);
        let inputs = parse(&format!("{}/f%04d.png", folder.path().display())).unwrap();
        let Input::Images(sequence) = &inputs[0] else { panic!("not a sequence: {inputs:?}") };
        assert_eq!(sequence.files.iter().map(|f| f.number).collect::<Vec<_>>(), [7, 8, 11]);
        let error = parse(&format!("{}/z%04d.png", folder.path().display())).unwrap_err();
        assert!(error.to_string().contains("no image fits"));
    }

    #[test]
    fn globs_match_or_say_so_and_nothing_is_taken_twice() {
        let folder = folder_with(&["b.mp4", "a.mkv", "c.png"]);
        let root = folder.path().display();
        let inputs = expand(&[format!("{root}/*.m*"), format!("{root}/b.mp4")]).unwrap();
        assert_eq!(names(&inputs), ["a.mkv", "b.mp4"]);
        assert!(parse(&format!("{root}/*.avi")).unwrap_err().to_string().contains("matches no file"));
        assert!(parse(&format!("{root}/[.avi")).unwrap_err().to_string().contains("not a glob"));
        assert!(matches!(parse(&format!("{root}/*.png")).unwrap()[0], Input::Images(_)));
    }

    #[test]
    fn streams_are_told_from_paths() {
        assert_eq!(parse("-").unwrap(), [Input::Stdin]);
        assert_eq!(parse("rtsp://cam/1").unwrap(), [Input::Url("rtsp://cam/1".into())]);
        assert!(parse("no/such/file.mp4").unwrap_err().to_string().contains("no such file"));
        assert!(parse("").is_err());
        assert!(expand(&["-", "rtsp://cam/1"]).unwrap_err().to_string().contains("alone"));
        let empty = folder_with(&["readme.txt"]);
        assert!(parse(empty.path().to_str().unwrap()).unwrap_err().to_string().contains("without a video"));
    }
}
