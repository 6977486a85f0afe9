//! One incident on its way to the disk.

use super::folder::{CURVE, Finished, IncidentFolder};
use super::settings::ClipSettings;
use crate::media::ffmpeg::{ClipWriter, Cut, PacketTap, Reached};
use crate::units::MediaTime;
use crate::watch::alert::{Alert, Utc};
use crate::watch::engine::{CameraId, Phase};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How long the last points of the curve are waited for once all packets are there.
const LAST_POINTS: Duration = Duration::from_secs(3);

/// Finishing that failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// What `event.json` says of the clip.
#[derive(Serialize)]
struct ClipNote {
    file: String,
    /// Of its first picture.
    start: Utc,
    codec: String,
    /// Known once it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_s: Option<f64>,
    /// It lacks a part of its span.
    incomplete: bool,
}

/// The clip of a recording.
enum ClipState {
    /// Not begun.
    None,
    Writing(Box<ClipWriter>, Cut),
    Closed(Reached),
}

/// An incident that is being recorded.
pub(super) struct Recording {
    pub(super) camera: CameraId,
    folder: IncidentFolder,
    alert: Arc<Alert>,
    /// `None`: there is none, or none yet.
    note: Option<ClipNote>,
    /// The span that the clip should hold.
    from: MediaTime,
    until: MediaTime,
    /// The span was made shorter than it should be.
    capped: bool,
    settings: ClipSettings,
    clip: ClipState,
    curve: Option<File>,
    packets_done: Option<Instant>,
    /// When finishing failed.
    failed: Option<Instant>,
    /// `event.json` is there.
    pub(super) written: bool,
}

impl Recording {
    pub(super) fn new(camera: CameraId, folder: IncidentFolder, alert: Arc<Alert>, settings: &ClipSettings) -> Self {
        let from = onset(&alert).since(media(settings.pre_roll));
        let settings = settings.clone();
        let (until, capped, curve, packets_done) = (from, false, None, None);
        let (clip, failed, written) = (ClipState::None, None, false);
        let mut recording = Self {
            camera,
            folder,
            alert,
            note: None,
            from,
            until,
            capped,
            settings,
            clip,
            curve,
            packets_done,
            failed,
            written,
        };
        recording.reach_past_end();
        recording
    }

    /// The name of its incident.
    pub(super) fn incident(&self) -> &str {
        &self.alert.incident
    }

    /// What is on the disk of it.
    fn record(&self) -> Map<String, Value> {
        let mut record = self.alert.object();
        record.insert("clip".into(), serde_json::to_value(&self.note).unwrap_or_default());
        record
    }

    /// The incident is over, or more is known of it.
    pub(super) fn update(&mut self, alert: Arc<Alert>) -> io::Result<()> {
        self.alert = alert;
        self.reach_past_end();
        if self.written { self.folder.finish(self.record()).map(drop) } else { self.folder.note(&self.record()) }
    }

    /// Whether packets are still wanted.
    pub(super) const fn is_writing(&self) -> bool {
        matches!(self.clip, ClipState::Writing(..))
    }

    pub(super) fn is_over(&self) -> bool {
        self.alert.phase == Phase::Over
    }

    /// Whether a time belongs to the span.
    pub(super) fn holds(&self, time: MediaTime) -> bool {
        time >= self.from && (time <= self.until || (!self.is_over() && !self.capped))
    }

    /// Begins on disk: the clip too, if there is room for one and there are packets.
    pub(super) fn begin(&mut self, tap: &PacketTap, room: bool) -> io::Result<()> {
        self.folder.note(&self.record())?;
        self.curve = Some(OpenOptions::new().create(true).append(true).open(self.folder.part(CURVE))?);
        let Some((cut, source)) = tap.cut(self.from, onset(&self.alert)).filter(|_| room) else {
            self.close(Reached::Lost);
            return Ok(());
        };
        let file = format!("clip.{}", source.container().extension());
        let start = Utc(shifted(self.alert.onset.0, cut.start.since(onset(&self.alert))));
        let (part, codec) = (self.folder.part(&file), source.codec().to_string());
        self.note = Some(ClipNote { file, start, codec, duration_s: None, incomplete: true });
        self.folder.note(&self.record())?;
        match ClipWriter::create(&part, &source) {
            Ok(writer) => self.clip = ClipState::Writing(Box::new(writer), cut),
            Err(error) => {
                self.close(Reached::Lost);
                return Err(error);
            }
        }
        Ok(())
    }

    /// A line of the curve.
    pub(super) fn line(&mut self, time: MediaTime, line: &str) -> io::Result<()> {
        if !self.holds(time) || self.written {
            return Ok(());
        }
        let written = self.curve.as_mut().map_or(Ok(()), |curve| curve.write_all(format!("{line}\n").as_bytes()));
        if written.is_err() {
            self.curve = None;
        }
        written
    }

    /// Writes what has come; `now` is the time of the newest point of the curve.
    pub(super) fn pump(&mut self, tap: &PacketTap, now: MediaTime) -> io::Result<()> {
        if !self.is_over() {
            self.extend(now);
        }
        let ClipState::Writing(writer, cut) = &mut self.clip else { return Ok(()) };
        let piece = tap.read(cut, self.until);
        if let Err(error) = writer.write(&piece) {
            self.close(Reached::Lost);
            return Err(error);
        }
        match piece.reached {
            // Until it is over its end is not known; it may go on.
            Reached::All if !self.is_over() && !self.capped => {}
            Reached::NotYet => {}
            reached => self.close(reached),
        }
        Ok(())
    }

    /// No more packets: the clip ends here.
    pub(super) fn close(&mut self, reached: Reached) {
        let before = std::mem::replace(&mut self.clip, ClipState::Closed(reached));
        match before {
            ClipState::Closed(before) => self.clip = ClipState::Closed(before),
            ClipState::None => self.packets_done = Some(Instant::now()),
            ClipState::Writing(writer, cut) => {
                self.packets_done = Some(Instant::now());
                let whole = reached == Reached::All && writer.refused() == 0;
                let incomplete = !whole || self.capped || cut.start > self.from;
                if let Some(note) = &mut self.note {
                    // Exact once it is sealed; a clip that can't be keeps this.
                    (note.duration_s, note.incomplete) = (Some(writer.duration_s()), incomplete);
                }
                // A clip whose end can't be written is readable all the same.
                let _ = writer.finish();
            }
        }
    }

    /// Whether nothing more is waited for.
    pub(super) fn is_ready(&self, now: MediaTime) -> bool {
        let Some(since) = self.packets_done.filter(|_| !self.written) else { return false };
        let broken = !matches!(self.clip, ClipState::Closed(Reached::All));
        let points = now >= self.until || since.elapsed() > LAST_POINTS || (broken && self.is_over());
        let again = self.failed.is_none_or(|failed| failed.elapsed() > AGAIN);
        (self.is_over() || self.capped) && points && again
    }

    /// Whether finishing has failed before.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Makes the finished files.
    pub(super) fn finish(&mut self) -> io::Result<Finished> {
        self.close(Reached::Lost);
        self.curve = None;
        let finished = self.folder.finish(self.record());
        self.written = finished.is_ok();
        self.failed = finished.is_err().then(Instant::now);
        finished
    }

    pub(super) fn is_incomplete(&self) -> bool {
        self.note.as_ref().is_none_or(|note| note.incomplete)
    }

    pub(super) const fn folder(&self) -> &IncidentFolder {
        &self.folder
    }

    /// The span reaches past the event's end as far as it is known.
    fn reach_past_end(&mut self) {
        let end = MediaTime::from_secs_f64(self.alert.end_s);
        self.extend(end.plus(media(self.settings.post_roll)));
    }

    /// The span reaches to `until` at least, but no further than the longest clip.
    fn extend(&mut self, until: MediaTime) {
        let longest = self.from.plus(media(self.settings.longest));
        self.capped = self.capped || until > longest;
        self.until = self.until.max(until).min(longest);
    }
}

/// When an event began, by its camera's clock.
fn onset(alert: &Alert) -> MediaTime {
    MediaTime::from_secs_f64(alert.onset_s)
}

fn media(duration: Duration) -> MediaTime {
    MediaTime::from_nanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

/// A time that lies so much later (or earlier).
fn shifted(time: SystemTime, by: MediaTime) -> SystemTime {
    let away = Duration::from_nanos(by.nanos().unsigned_abs());
    let there = if by < MediaTime::ZERO { time.checked_sub(away) } else { time.checked_add(away) };
    there.unwrap_or(time)
}
