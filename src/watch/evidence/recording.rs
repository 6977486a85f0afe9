//! One incident on its way to the disk.

use super::folder::{CURVE, Finished, IncidentFolder};
use super::settings::ClipSettings;
use crate::media::ffmpeg::{ClipWriter, Cut, PacketTap, Reached};
use crate::units::MediaTime;
use crate::watch::alert::rfc3339;
use crate::watch::engine::CameraId;
use serde_json::{Map, Value, json};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

/// How long the last points of the curve are waited for once all packets are there.
const LAST_POINTS: Duration = Duration::from_secs(3);

/// Finishing that failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// What an incident's listener hands over.
pub(super) struct Told {
    /// The alert line's fields.
    pub(super) alert: Map<String, Value>,
    pub(super) is_over: bool,
    pub(super) onset: MediaTime,
    pub(super) end: MediaTime,
    /// The onset by this machine's clock.
    pub(super) wall: SystemTime,
}

/// The clip of a recording.
enum Clip {
    /// Not begun.
    None,
    Writing(Box<ClipWriter>, Cut),
    Closed(Reached),
}

/// An incident that is being recorded.
pub(super) struct Recording {
    pub(super) camera: CameraId,
    pub(super) id: String,
    folder: IncidentFolder,
    told: Told,
    /// The span that the clip should hold.
    from: MediaTime,
    until: MediaTime,
    /// The span was made shorter than it should be.
    capped: bool,
    settings: ClipSettings,
    clip: Clip,
    curve: Option<File>,
    packets_done: Option<Instant>,
    /// When finishing failed.
    failed: Option<Instant>,
    /// `event.json` is there.
    pub(super) written: bool,
}

impl Recording {
    pub(super) fn new(
        camera: CameraId,
        id: String,
        folder: IncidentFolder,
        told: Told,
        settings: &ClipSettings,
    ) -> Self {
        let from = told.onset.since(media(settings.pre_roll));
        let settings = settings.clone();
        let (until, capped, curve, packets_done) = (from, false, None, None);
        let (clip, failed, written) = (Clip::None, None, false);
        let mut recording = Self {
            camera,
            id,
            folder,
            told,
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
        recording.extend(recording.told.end.plus(media(recording.settings.post_roll)));
        recording
    }

    /// The incident is over, or more is known of it.
    pub(super) fn update(&mut self, told: Told) -> io::Result<()> {
        // What is known of the clip stays.
        let clip = self.told.alert.remove("clip");
        self.told = told;
        self.told.alert.insert("clip".into(), clip.unwrap_or_default());
        self.extend(self.told.end.plus(media(self.settings.post_roll)));
        if self.written {
            self.folder.finish(self.told.alert.clone()).map(drop)
        } else {
            self.folder.note(&self.told.alert)
        }
    }

    /// Whether packets are still wanted.
    pub(super) const fn is_writing(&self) -> bool {
        matches!(self.clip, Clip::Writing(..))
    }

    pub(super) const fn is_over(&self) -> bool {
        self.told.is_over
    }

    /// Whether a time belongs to the span.
    pub(super) fn holds(&self, time: MediaTime) -> bool {
        time >= self.from && (time <= self.until || (!self.told.is_over && !self.capped))
    }

    /// Begins on disk: the clip too, if there is room for one and there are packets.
    pub(super) fn begin(&mut self, tap: &PacketTap, room: bool) -> io::Result<()> {
        self.told.alert.insert("clip".into(), Value::Null);
        self.folder.note(&self.told.alert)?;
        self.curve = Some(OpenOptions::new().create(true).append(true).open(self.folder.part(CURVE))?);
        let Some((cut, source)) = tap.cut(self.from, self.told.onset).filter(|_| room) else {
            self.close(Reached::Lost);
            return Ok(());
        };
        let name = format!("clip.{}", source.container().extension());
        let start = rfc3339(shifted(self.told.wall, cut.start.since(self.told.onset)));
        let clip = json!({"file": name, "start": start, "codec": source.codec(), "incomplete": true});
        self.told.alert.insert("clip".into(), clip);
        self.folder.note(&self.told.alert)?;
        match ClipWriter::create(&self.folder.part(&name), &source) {
            Ok(writer) => self.clip = Clip::Writing(Box::new(writer), cut),
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
        if !self.told.is_over {
            self.extend(now);
        }
        let Clip::Writing(writer, cut) = &mut self.clip else { return Ok(()) };
        let piece = tap.read(cut, self.until);
        if let Err(error) = writer.write(&piece) {
            self.close(Reached::Lost);
            return Err(error);
        }
        match piece.reached {
            // Until it is over its end is not known; it may go on.
            Reached::All if !self.told.is_over && !self.capped => {}
            Reached::NotYet => {}
            reached => self.close(reached),
        }
        Ok(())
    }

    /// No more packets: the clip ends here.
    pub(super) fn close(&mut self, reached: Reached) {
        let before = std::mem::replace(&mut self.clip, Clip::Closed(reached));
        match before {
            Clip::Closed(before) => self.clip = Clip::Closed(before),
            Clip::None => self.packets_done = Some(Instant::now()),
            Clip::Writing(writer, cut) => {
                self.packets_done = Some(Instant::now());
                let whole = reached == Reached::All && writer.refused() == 0;
                let incomplete = !whole || self.capped || cut.start > self.from;
                if let Some(Value::Object(clip)) = self.told.alert.get_mut("clip") {
                    // Exact once it is sealed; a clip that can't be keeps this.
                    clip.insert("duration_s".into(), json!(writer.duration_s()));
                    clip.insert("incomplete".into(), incomplete.into());
                }
                // A clip whose end can't be written is readable all the same.
                let _ = writer.finish();
            }
        }
    }

    /// Whether nothing more is waited for.
    pub(super) fn is_ready(&self, now: MediaTime) -> bool {
        let Some(since) = self.packets_done.filter(|_| !self.written) else { return false };
        let broken = !matches!(self.clip, Clip::Closed(Reached::All));
        let points = now >= self.until || since.elapsed() > LAST_POINTS || (broken && self.told.is_over);
        let again = self.failed.is_none_or(|failed| failed.elapsed() > AGAIN);
        (self.told.is_over || self.capped) && points && again
    }

    /// Whether finishing has failed before.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Makes the finished files.
    pub(super) fn finish(&mut self) -> io::Result<Finished> {
        self.close(Reached::Lost);
        self.curve = None;
        let finished = self.folder.finish(self.told.alert.clone());
        self.written = finished.is_ok();
        self.failed = finished.is_err().then(Instant::now);
        finished
    }

    pub(super) fn is_incomplete(&self) -> bool {
        self.told.alert.get("clip").is_none_or(|clip| clip["incomplete"] != false)
    }

    pub(super) const fn folder(&self) -> &IncidentFolder {
        &self.folder
    }

    /// The span reaches to `until` at least, but no further than the longest clip.
    fn extend(&mut self, until: MediaTime) {
        let longest = self.from.plus(media(self.settings.longest));
        self.capped = self.capped || until > longest;
        self.until = self.until.max(until).min(longest);
    }
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
