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
//! 10 cli, main │ python
//! 9 serve
//! 8 report │ dataset │ monitor │ engine
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
//! `ffmpeg_next` in [`media::ffmpeg`], `ort` in [`model::ort`], `plotters` in `report/plot*.rs`, threads and channels
//! in [`pipeline`] (and those that write, send and tell in `monitor`), `axum` and `tokio` in
//! [`serve`], `clap` and printing in the binary's `cli`, `pyo3` in `python`.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]

pub mod clip;
pub mod dataset;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod folders;
pub mod media;
pub mod model;
#[cfg(feature = "watch")]
pub mod monitor;
pub mod pipeline;
#[cfg(feature = "python")]
mod python;
pub mod rank;
pub mod record;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "serve")]
pub mod serve;
pub mod store;
pub mod surprise;
pub mod units;

pub use error::{Error, Result};
