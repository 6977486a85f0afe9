//! **startle** watches video and says when and where something happened that should not be possible.
//!
//! Frames are decoded, put on the model's clock and cut into overlapping clips. For each clip a V-JEPA encoder sees
//! only the first frames (the *context*), a predictor says what the features of the frames to come should be, and the
//! distance to what they are, token by token, is the *surprise*. Surprise in time becomes a curve, the curve becomes
//! events.
//!
//! Dependencies run downwards only (`tests/layers.rs` keeps it so):
//!
//! ```text
//! 11 cli, main │ python
//! 10 watch::web
//! 9 report │ dataset │ watch │ engine
//! 8 watch::engine
//! 7 pipeline │ evaluate │ rank
//! 6 media/{open,adapt,ffmpeg} │ model/{bundle,tensor,jepa,ort,persistence,…} │ record
//! 5 model (trait) │ store │ folders
//! 4 surprise
//! 3 clip
//! 2 media (trait)
//! 1 units
//! 0 error
//! ```
//!
//! Invariant: floors 0–5 but for [`store`] and [`folders`] are pure: no I/O, threads, clocks or global state. Foreign crates stay in one room each:
//! `ffmpeg_next` in [`media::ffmpeg`], `ort` in [`model::ort`], `plotters` in `report/plot*.rs`, `maud` in the pages of
//! [`report`], threads and channels in [`pipeline`] and [`watch`], `axum` and `tokio` in `watch::web`,
//! `clap` and printing in the binary's `cli`, `pyo3` in `python`.
//!
//! # Words
//!
//! Time and pictures
//! - *picture* or *frame*: one image of a video. A frame of a model ([`clip::ModelFrame`]) is one on the model's clock, in its size.
//! - *slot*: the shortest stretch of time that is judged, two of the model's frames for V-JEPA; a point of the curve is one slot.
//! - *clip* or *window*: the frames that a model sees at once; the next one begins a *stride* later. (An *event clip* is the
//!   video that is kept of an event.)
//! - *segment*: an unbroken run of frames, between two *gaps* (a scene cut, a lost connection, dropped clips).
//!
//! What models say
//! - *context*: the first frames of a clip, from which the rest is predicted. *Token*: a square of a slot's picture.
//! - *scorer* ([`model::Scorer`]): gives the errors of clips; a model, a control without weights, or the caller's own.
//! - *bundle* ([`model::bundle`]): a model's folder: graphs, a manifest with hashes, a card, often a baseline.
//! - *energy*: the error of one kind of prediction of a model of objects, before it is compared with lawful footage.
//! - *control*: a scorer without a model (nothing changes, motion, …) that shows what the model adds.
//!
//! What it means
//! - *surprise* ([`units::Surprise`]): how far what came is from what was predicted: one finite number a slot.
//! - *footing* ([`surprise::Footing`]): usual error of each context length and kind of token, so that they can be averaged.
//! - *baseline* ([`surprise::Baseline`]): what surprise looks like on normal footage. *Past* ([`surprise::Past`]): the same of the
//!   stream itself, so far.
//! - *verdict*: a slot's surprise as z, p-value and events per hour of normal footage.
//! - *event*: a stretch that is too surprising, with onset, peak and end; a *spike* is so at once, a *slow* one for long.
//! - *twin*: two videos that are the same but for a violation in one.
//!
//! Cameras ([`watch`])
//! - *camera*: an endless source with its settings. *Connection*: its stream from an opening to what ended it.
//! - *engine* ([`watch::engine`]): cameras in, news out. (Not [`engine`], which makes a model, a baseline and a detector of names.)
//! - *watchman*: the thread that ends waits that are too long. *Station*: where scores of all cameras become news, on the caller's
//!   thread; a *tracker* for each camera.
//! - *news*, *bulletin*: what there is to tell of a camera, and the same for whoever listens. *Incident*: an event of a camera,
//!   told when it begins and when it is over. *Alert*: an incident in JSON.
//! - *evidence*: an event's clip, curve and picture on disk. *Journal*: every camera's curve, a file a day. *Mark*: what a person
//!   said of an event.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]

pub mod clip;
pub mod dataset;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod folders;
pub mod media;
pub mod model;
pub mod pipeline;
#[cfg(feature = "python")]
mod python;
pub mod rank;
pub mod record;
#[cfg(feature = "report")]
pub mod report;
pub mod store;
pub mod surprise;
pub mod units;
pub mod watch;

pub use error::{Error, Result};
/// Arrays of the public interface are those of this version.
pub use ndarray;
