//! What is left of an incident when nobody was looking: a clip from before it to after it, the curve of that time, a
//! picture, the alert; and the curves of all cameras, day by day.
//!
//! The listener only hands over; a thread of its own writes (`write_thread`). `recording` is one incident on its way to the
//! disk, `folder` its files, `journal` the curves, `shelf` what is kept and for how long.
//!
//! Invariants: the program can be killed at any moment: the next start finishes or removes what is half written, and no
//! more than the last second of a curve is lost; memory is bounded, whatever the disk does; nothing is removed from the
//! disk that is not of this module's making.

mod clock_check;
mod folder;
mod journal;
mod recording;
mod settings;
mod shelf;
mod write_thread;

use super::alert::{Utc, incident_id, slug};
use super::folder_lock::lock;
use super::{Bulletin, Listener, Say};
use crate::error::{Error, Result};
use crate::media::ffmpeg::{PacketTap, TapLimits};
use crate::record::{CurvePoint, Gap};
use crate::units::MediaTime;
use crate::watch::engine::{CameraId, Moment, News};
use journal::Journal;
use serde::Serialize;
use serde_json::json;
pub(super) use settings::MEGABYTE;
pub use settings::{ClipSettings, JournalSettings, Keep};
use shelf::{Shelf, free_bytes};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use write_thread::{Clips, WriteJob, WriteThread};

/// Lines and incidents that wait for the thread: minutes of many cameras.
const QUEUE: usize = 16_384;

/// What was kept and what was not, since the start.
#[derive(Debug, Default)]
pub struct EvidenceCounts {
    /// Clips.
    pub clips: AtomicU64,
    /// Clips among them that lack a part of their span.
    pub incomplete: AtomicU64,
    /// Incidents without a clip.
    pub failed: AtomicU64,
    /// Events and days of the journal that were removed.
    pub removed: AtomicU64,
    /// Those among them that made room on a disk that was nearly full.
    pub removed_for_room: AtomicU64,
    /// Lines of the journal that were lost.
    pub lines_lost: AtomicU64,
}

/// Where the evidence of each camera goes; cameras may come at any time.
#[derive(Clone)]
pub struct EvidencePlaces {
    clips: Option<ClipSettings>,
    cameras: Arc<Mutex<BTreeMap<CameraId, Arc<CameraPlace>>>>,
    jobs: SyncSender<WriteJob>,
}

/// Where the evidence of one camera goes, and what it is made of.
struct CameraPlace {
    name: String,
    /// Its folder's name.
    slug: String,
    /// Its packets, when there are clips.
    tap: Option<Arc<PacketTap>>,
}

impl EvidencePlaces {
    /// One more camera; one that has the name of another goes on in its folder. Gives what is to keep its packets, when
    /// there are clips.
    ///
    /// # Errors
    /// [`Error::Internal`] when the thread that writes is gone.
    pub fn add(&self, camera: CameraId, name: &str) -> Result<Option<Arc<PacketTap>>> {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        let slug = unique_slug(name, &cameras);
        let limits = |clips: &ClipSettings| TapLimits { span: clips.reach(), bytes: clips.buffer };
        let tap = self.clips.as_ref().map(|clips| Arc::new(PacketTap::new(limits(clips))));
        let place = Arc::new(CameraPlace { name: name.into(), slug, tap: tap.clone() });
        cameras.insert(camera, Arc::clone(&place));
        let gone = || Error::Internal { stage: "evidence", reason: "its thread is gone".into() };
        self.jobs.send(WriteJob::Camera { camera, place }).map_err(|_| gone())?;
        Ok(tap)
    }

    /// A camera is not watched, or not any more.
    pub fn remove(&self, camera: CameraId) {
        self.cameras.lock().unwrap_or_else(PoisonError::into_inner).remove(&camera);
        // Without the thread there is nobody who knows of it.
        let _ = self.jobs.send(WriteJob::Gone { camera });
    }

    /// Where the clip of an incident will be.
    pub fn of(&self, id: CameraId, camera: &str, news: &News) -> Option<PathBuf> {
        let News::Incident(incident) = news else { return None };
        let cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        let CameraPlace { slug, tap, .. } = cameras.get(&id)?.as_ref();
        let name = format!("clip.{}", tap.as_ref()?.container().extension());
        Some(self.clips.as_ref()?.folder.join(slug).join(incident_id(camera, incident)).join(name))
    }
}

/// A folder's name for a camera: its own from before, or one that no other camera has.
fn unique_slug(name: &str, cameras: &BTreeMap<CameraId, Arc<CameraPlace>>) -> String {
    if let Some(before) = cameras.values().find(|place| place.name == name) {
        return before.slug.clone();
    }
    let plain = slug(name);
    let mut numbered = (2_u32..).map(|number| format!("{plain}-{number}"));
    let mut chosen = plain.clone();
    while cameras.values().any(|place| place.slug == chosen) {
        chosen = numbered.next().unwrap_or_default();
    }
    chosen
}

/// Keeps evidence of what it hears.
pub struct Evidence {
    places: EvidencePlaces,
    /// Cameras whose journal was begun.
    begun: HashSet<CameraId>,
    journals: bool,
    jobs: SyncSender<WriteJob>,
    done: Receiver<()>,
    counts: Arc<EvidenceCounts>,
    say: Say,
    /// It was said that something can't be handed over.
    complained: bool,
    _locks: Vec<File>,
}

impl Evidence {
    /// Makes the folders, finishes or removes what another run of the program left there, and begins; cameras are added
    /// to [`Evidence::places`].
    ///
    /// # Errors
    /// [`Error::Output`] when a folder can't be made or read, [`Error::Config`] when another program uses it.
    pub fn start(clips: Option<ClipSettings>, journal: Option<JournalSettings>, say: Say) -> Result<Self> {
        let mut locks = Vec::new();
        let counts = Arc::<EvidenceCounts>::default();
        let (jobs, queue) = sync_channel(QUEUE);
        let places = EvidencePlaces { clips: clips.clone(), cameras: Arc::default(), jobs: jobs.clone() };
        let clips = clips.map(|settings| open_clips(settings, &say, &mut locks)).transpose()?;
        let open_journal = |settings: JournalSettings| -> Result<Journal> {
            locks.push(lock(&settings.folder, ".journal.lock", "folder")?);
            Ok(Journal::open(&settings, Box::new(free_bytes)))
        };
        let journal = journal.map(open_journal).transpose()?;
        let journals = journal.is_some();
        let (tell_done, done) = sync_channel(1);
        let worker = WriteThread {
            cameras: BTreeMap::new(),
            clips,
            journal,
            counts: Arc::clone(&counts),
            say: Arc::clone(&say),
            recordings: Vec::new(),
            journal_failed: false,
        };
        std::thread::Builder::new()
            .name("evidence".into())
            .spawn(move || worker.run(&queue, &tell_done))
            .map_err(|e| Error::Internal { stage: "evidence", reason: e.to_string() })?;
        let begun = HashSet::new();
        Ok(Self { places, begun, journals, jobs, done, counts, say, complained: false, _locks: locks })
    }

    /// Where evidence goes.
    pub fn places(&self) -> EvidencePlaces {
        self.places.clone()
    }

    /// What was kept and what was not.
    pub fn counts(&self) -> Arc<EvidenceCounts> {
        Arc::clone(&self.counts)
    }

    /// Hands over; what can't be is said and counted, for the alerts must go on.
    fn put(&mut self, job: WriteJob) {
        let is_line = matches!(job, WriteJob::Line { .. });
        let Err(error) = self.jobs.try_send(job) else { return };
        let count = if is_line { &self.counts.lines_lost } else { &self.counts.failed };
        count.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(&mut self.complained, true) {
            (self.say)(match error {
                TrySendError::Full(_) => "the disk does not keep up: some curves and clips are lost",
                TrySendError::Disconnected(_) => {
                    "the thread that writes clips and curves is gone: none are kept until the next start; please report \
                     this"
                }
            });
        }
    }
}

impl Listener for Evidence {
    fn take(&mut self, bulletin: &Bulletin) -> Result<()> {
        let camera = bulletin.id;
        let told = Utc(bulletin.at).to_string();
        match bulletin.news.as_ref() {
            News::Moment(moment) => {
                let (time, line) = (MediaTime::from_secs_f64(moment.point.t_s), point(moment, &told));
                self.put(WriteJob::Line { camera, time, told, line });
            }
            News::Gap(gap) => {
                let (time, line) = (MediaTime::from_secs_f64(gap.end_s), gap_line(gap, &told));
                self.put(WriteJob::Line { camera, time, told, line });
            }
            News::Incident(_) if self.places.clips.is_some() => {
                bulletin.alert.iter().for_each(|alert| self.put(WriteJob::Alert { camera, alert: Arc::clone(alert) }));
            }
            News::Health(_) if self.journals && self.begun.insert(camera) => {
                let line = json!({"type": "start", "camera": bulletin.camera.name, "told": told}).to_string();
                self.put(WriteJob::Line { camera, time: MediaTime::ZERO, told, line });
            }
            News::Incident(_) | News::Health(_) | News::Learnt(_) => {}
        }
        Ok(())
    }

    fn gone(&mut self, camera: CameraId) {
        self.begun.remove(&camera);
        self.places.remove(camera);
    }

    fn finish(&mut self, limit: Duration) -> Result<()> {
        let finished = self.jobs.try_send(WriteJob::Finish).is_ok() && self.done.recv_timeout(limit).is_ok();
        if !finished {
            (self.say)("clips are not finished yet: the next start does it");
        }
        let counts = self.counts.as_ref();
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let EvidenceCounts { clips, incomplete, failed, removed, removed_for_room, lines_lost } = counts;
        if of(failed) + of(removed_for_room) + of(lines_lost) > 0 {
            (self.say)(&format!(
                "{} clips ({} not whole), {} events without one, {} old things removed ({} because the disk was nearly \
                 full), {} lines of curves lost",
                of(clips),
                of(incomplete),
                of(failed),
                of(removed),
                of(removed_for_room),
                of(lines_lost)
            ));
        }
        Ok(())
    }
}

/// A point of the curve as a line.
fn point(moment: &Moment, told: &str) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(rename = "type")]
        what: &'static str,
        wall: String,
        told: &'a str,
        levels: [f32; 2],
        #[serde(flatten)]
        point: &'a CurvePoint,
    }
    let levels = [moment.levels.0, moment.levels.1];
    let line = Line { what: "point", wall: Utc(moment.wall).to_string(), told, levels, point: &moment.point };
    // Plain strings and numbers always serialise.
    serde_json::to_string(&line).unwrap_or_default()
}

/// A gap as a line.
fn gap_line(gap: &Gap, told: &str) -> String {
    json!({"type": "gap", "told": told, "start_s": gap.start_s, "end_s": gap.end_s, "reason": gap.reason}).to_string()
}

/// Makes the folder of clips, and looks through it.
fn open_clips(settings: ClipSettings, say: &Say, locks: &mut Vec<File>) -> Result<Clips> {
    locks.push(lock(&settings.folder, ".clips.lock", "folder")?);
    let found = folder::look_through(&settings.folder).map_err(|e| Error::output(&settings.folder, e))?;
    if found.recovered + found.removed > 0 {
        say(&format!(
            "{}: {} events that were half written are finished, {} are removed",
            settings.folder.display(),
            found.recovered,
            found.removed
        ));
    }
    for (path, error) in found.failed {
        say(&format!("{}: can't be finished: {error}", path.display()));
    }
    let mut shelf = Shelf::new(&settings.folder, settings.keep, Box::new(free_bytes));
    found.items.into_iter().for_each(|(time, item)| shelf.put(time, item));
    if shelf.is_disk_full() {
        say(&format!(
            "{}: less is free on the disk than min_free_mb: old events go, and there are no clips until there is room",
            settings.folder.display()
        ));
    }
    Ok(Clips { settings, shelf })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_cameras_are_unique_whatever_their_names_and_a_camera_that_returns_has_its_own() {
        let mut cameras = BTreeMap::new();
        let mut add = |name: &str| {
            let slug = unique_slug(name, &cameras);
            let next = CameraId::new(cameras.len() as u32);
            cameras.insert(next, Arc::new(CameraPlace { name: name.into(), slug: slug.clone(), tap: None }));
            slug
        };
        assert_eq!(["a b", "a-b", "a.b", "../x", "a-b"].map(&mut add), ["a-b", "a-b-2", "a-b-3", "---x", "a-b-2"]);
        assert!(add(&"x".repeat(500)).len() <= 100);
    }
}
