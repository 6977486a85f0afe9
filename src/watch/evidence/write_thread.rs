//! The thread that writes: lines of the curves as they come, clips as their packets come, and what is too old goes.
//!
//! Invariant: nothing that fails here ends the watch; it is said, counted and tried again where that makes sense.

use super::folder::{Finished, IncidentFolder};
use super::journal::Journal;
use super::recording::Recording;
use super::settings::ClipSettings;
use super::shelf::{Shelf, Why};
use super::{CameraPlace, EvidenceCounts, Say};
use crate::media::ffmpeg::Reached;
use crate::units::MediaTime;
use crate::watch::alert::Alert;
use crate::watch::engine::CameraId;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime};

/// How often it is written: a program that is killed loses no more of its curve.
const ROUND: Duration = Duration::from_millis(200);
/// How often it is looked whether things must go.
const LOOK: Duration = Duration::from_secs(1);
/// Recordings at once; more events begin only where thresholds make no sense.
const MOST_RECORDINGS: usize = 32;

/// What there is to write.
pub(super) enum WriteJob {
    /// A line of a camera's curve, its time there and when it was told.
    Line { camera: CameraId, time: MediaTime, told: String, line: String },
    /// One more camera.
    Camera { camera: CameraId, place: Arc<CameraPlace> },
    /// Nothing follows from it.
    Gone { camera: CameraId },
    /// An event has begun or is over.
    Alert { camera: CameraId, alert: Arc<Alert> },
    /// Nothing follows.
    Finish,
}

/// Where clips go.
pub(super) struct Clips {
    pub(super) settings: ClipSettings,
    pub(super) shelf: Shelf,
}

/// A camera.
pub(super) struct CameraFiles {
    place: Arc<CameraPlace>,
    /// Its last lines, for clips that are yet to begin.
    recent: VecDeque<(MediaTime, String)>,
    /// Nothing follows: it goes with the last of its recordings.
    gone: bool,
}

/// What the thread works with.
pub(super) struct WriteThread {
    pub(super) cameras: BTreeMap<CameraId, CameraFiles>,
    pub(super) clips: Option<Clips>,
    pub(super) journal: Option<Journal>,
    pub(super) counts: Arc<EvidenceCounts>,
    pub(super) say: Say,
    pub(super) recordings: Vec<Recording>,
    /// Whether the last flush of the journal failed.
    pub(super) journal_failed: bool,
}

impl WriteThread {
    /// Until nothing follows; then says so.
    pub(super) fn run(mut self, jobs: &Receiver<WriteJob>, done: &SyncSender<()>) {
        let (mut round, mut look) = (Instant::now(), Instant::now());
        loop {
            match jobs.recv_timeout(ROUND) {
                Ok(WriteJob::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if round.elapsed() >= ROUND {
                round = Instant::now();
                if look.elapsed() >= LOOK {
                    look = Instant::now();
                    self.make_room();
                    self.stop_on_full_disk();
                }
                self.round();
            }
        }
        self.flush();
        self.pump();
        for at in (0..self.recordings.len()).rev().filter(|&at| !self.recordings[at].written).collect::<Vec<_>>() {
            self.finish(at);
        }
        let _ = done.send(());
    }

    fn take(&mut self, job: WriteJob) {
        match job {
            WriteJob::Line { camera, time, told, line } => self.line(camera, time, &told, line),
            WriteJob::Alert { camera, alert } => self.alert(camera, alert),
            WriteJob::Camera { camera, place } => {
                let added = self.journal.as_mut().map_or(Ok(()), |journal| journal.add_camera(camera, &place.slug));
                if let Err(error) = added {
                    (self.say)(&format!("its curve can't be kept: {error}"));
                }
                self.cameras.insert(camera, CameraFiles { place, recent: VecDeque::new(), gone: false });
            }
            WriteJob::Gone { camera } => {
                self.cameras.get_mut(&camera).into_iter().for_each(|watched| watched.gone = true);
            }
            WriteJob::Finish => {}
        }
    }

    fn line(&mut self, camera: CameraId, time: MediaTime, told: &str, line: String) {
        for recording in self.recordings.iter_mut().filter(|recording| recording.camera == camera) {
            if let Err(error) = recording.line(time, &line) {
                (self.say)(&format!("{}: can't write its curve: {error}", recording.folder().path().display()));
            }
        }
        if let Some(journal) = &mut self.journal {
            journal.add(camera, told, line.clone());
        }
        let Some(clips) = &self.clips else { return };
        let reach = MediaTime::from_secs_f64(clips.settings.reach().as_secs_f64());
        let Some(CameraFiles { recent, .. }) = self.cameras.get_mut(&camera) else { return };
        recent.push_back((time, line));
        while recent.front().is_some_and(|(front, _)| time.since(*front) > reach) {
            recent.pop_front();
        }
    }

    fn alert(&mut self, camera: CameraId, alert: Arc<Alert>) {
        let Some(clips) = &self.clips else { return };
        if let Some(at) = self.recordings.iter().position(|recording| recording.incident() == alert.incident) {
            let recording = &mut self.recordings[at];
            if let Err(error) = recording.update(alert) {
                (self.say)(&format!("{}: the alert is not up to date: {error}", recording.folder().path().display()));
            }
            if recording.written && recording.is_over() {
                self.recordings.swap_remove(at);
            }
            return;
        }
        let Some(CameraPlace { slug, tap: Some(tap), .. }) = self.place(camera) else { return };
        let (folder, tap) = (clips.settings.folder.join(slug).join(&alert.incident), Arc::clone(tap));
        if self.recordings.len() >= MOST_RECORDINGS {
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
            (self.say)(&format!("{}: not recorded, {MOST_RECORDINGS} others are", folder.display()));
            return;
        }
        let mut recording = Recording::new(camera, IncidentFolder::new(folder), alert, &clips.settings);
        self.make_room();
        let room = self.clips.as_ref().is_some_and(|clips| !clips.shelf.is_disk_full());
        if !room {
            (self.say)(&format!("{}: no clip, the disk is full", recording.folder().path().display()));
        }
        let mut begun = recording.begin(&tap, room);
        for (time, line) in self.cameras.get(&camera).iter().flat_map(|watched| &watched.recent) {
            begun = begun.and_then(|()| recording.line(*time, line));
        }
        if begun.is_err() {
            recording.close(Reached::Lost);
        }
        self.check(&recording, begun);
        self.recordings.push(recording);
    }

    fn round(&mut self) {
        self.flush();
        self.pump();
        for at in (0..self.recordings.len()).rev() {
            if self.recordings[at].is_ready(self.now(self.recordings[at].camera)) {
                self.finish(at);
            }
        }
        self.let_go();
    }

    /// Forgets cameras that have ended and of which nothing is to be written any more.
    fn let_go(&mut self) {
        let (recordings, journal) = (&self.recordings, &mut self.journal);
        self.cameras.retain(|camera, watched| {
            let is_over = watched.gone
                && recordings.iter().all(|recording| recording.camera != *camera)
                && journal.as_mut().is_none_or(|journal| journal.remove_camera(*camera));
            !is_over
        });
    }

    fn pump(&mut self) {
        for at in 0..self.recordings.len() {
            let camera = self.recordings[at].camera;
            let now = self.now(camera);
            if let Some(tap) = self.place(camera).and_then(|place| place.tap.clone()) {
                let pumped = self.recordings[at].pump(&tap, now);
                self.check(&self.recordings[at], pumped);
            }
        }
    }

    fn place(&self, camera: CameraId) -> Option<&CameraPlace> {
        self.cameras.get(&camera).map(|files| files.place.as_ref())
    }

    /// Time of the newest point of a camera's curve.
    fn now(&self, camera: CameraId) -> MediaTime {
        let newest = self.cameras.get(&camera).and_then(|watched| watched.recent.back());
        newest.map_or(MediaTime::ZERO, |(time, _)| *time)
    }

    fn check(&self, recording: &Recording, done: std::io::Result<()>) {
        if let Err(error) = done {
            (self.say)(&format!("{}: the clip ends early: {error}", recording.folder().path().display()));
        }
    }

    fn finish(&mut self, at: usize) {
        let again = self.recordings[at].has_failed();
        let finished = self.recordings[at].finish();
        let recording = &self.recordings[at];
        let name = recording.folder().path().display();
        if again && finished.is_err() {
            return;
        }
        self.counts.failed.fetch_sub(u64::from(again), Ordering::Relaxed);
        match finished {
            Ok(Finished::Clip) => {
                self.counts.clips.fetch_add(1, Ordering::Relaxed);
                self.counts.incomplete.fetch_add(u64::from(recording.is_incomplete()), Ordering::Relaxed);
            }
            Ok(Finished::NoClip) => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                (self.say)(&format!("{name}: no clip: there were no packets from a key frame on, or no room"));
            }
            Err(error) => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                (self.say)(&format!("{name}: can't be finished yet, it is tried again: {error}"));
            }
        }
        if let (Some(clips), Some((time, item))) = (&mut self.clips, recording.folder().item()) {
            clips.shelf.put(time, item);
        }
        // One that has reached its longest length still waits for its end.
        if recording.is_over() && recording.written {
            self.recordings.swap_remove(at);
        }
        self.make_room();
    }

    fn flush(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        let flushed = journal.flush();
        let lost = journal.take_lost();
        self.counts.lines_lost.fetch_add(lost, Ordering::Relaxed);
        match flushed {
            Err(error) if !self.journal_failed => {
                (self.say)(&format!("the journal can't be written, its lines wait: {error}"));
                self.journal_failed = true;
            }
            Ok(()) if self.journal_failed => {
                (self.say)("the journal is written again");
                self.journal_failed = false;
            }
            _ => {}
        }
    }

    /// Ends clips that there is no room for.
    fn stop_on_full_disk(&mut self) {
        if !self.clips.as_ref().is_some_and(|clips| clips.shelf.is_disk_full()) {
            return;
        }
        for recording in self.recordings.iter_mut().filter(|recording| recording.is_writing()) {
            (self.say)(&format!("{}: the clip ends early: the disk is full", recording.folder().path().display()));
            recording.close(Reached::Lost);
        }
    }

    /// Lets go what must: clips before days of the journal.
    fn make_room(&mut self) {
        let (counts, say) = (&self.counts, &self.say);
        let mut tell = |why: Why, path: &Path, done: std::io::Result<()>| {
            let because = match why {
                Why::Age | Why::Bytes => None,
                Why::DiskFull => Some("the disk is nearly full"),
            };
            match done {
                Ok(()) => {
                    counts.removed.fetch_add(1, Ordering::Relaxed);
                    if let Some(because) = because {
                        counts.removed_for_room.fetch_add(1, Ordering::Relaxed);
                        say(&format!("{} was removed: {because}", path.display()));
                    }
                }
                Err(error) => say(&format!("{} can't be removed: {error}", path.display())),
            }
        };
        let now = SystemTime::now();
        let shelves = self.clips.iter_mut().map(|clips| &mut clips.shelf);
        for shelf in shelves.chain(self.journal.iter_mut().map(|journal| &mut journal.shelf)) {
            if let Some(words) = shelf.look_at_clock(now) {
                say(&words);
            }
            shelf.prune(now, &mut tell);
        }
    }
}
