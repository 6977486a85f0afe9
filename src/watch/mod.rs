//! The watch house: all that it takes to watch cameras, from their streams to whoever wants to hear of them.
//!
//! ```text
//! engine    streams → clips → scores → news (needs no other part of the house: `startle.stream` of Python runs on it)
//! listener  who hears the news; outbox: one that may be slow, on a thread of its own
//! alert     news as JSON
//! deliver   webhooks, commands, MQTT │ evidence  clips, curves │ memory  what cameras have learnt │ marks  what people said
//! config    which cameras there are, and all of this, from a file
//! web       the dashboard, its API, metrics
//! ```
#[cfg(feature = "watch")]
pub mod alert;
#[cfg(feature = "watch")]
mod config;
#[cfg(feature = "watch")]
pub mod deliver;
pub mod engine;
#[cfg(feature = "watch")]
pub mod evidence;
#[cfg(feature = "watch")]
mod folder_lock;
#[cfg(feature = "watch")]
mod listener;
#[cfg(feature = "watch")]
pub mod marks;
#[cfg(feature = "watch")]
mod memory;
#[cfg(feature = "watch")]
mod outbox;
#[cfg(feature = "watch")]
mod rotating_file;
#[cfg(feature = "serve")]
pub mod web;

#[cfg(feature = "watch")]
pub use config::{CameraConfig, DashboardConfig, MonitorConfig, Schedule, Threshold};
#[cfg(feature = "watch")]
pub use listener::{Bulletin, Listener};
#[cfg(feature = "watch")]
pub use memory::Memory;
#[cfg(feature = "watch")]
pub use outbox::Outbox;
#[cfg(feature = "watch")]
pub use rotating_file::RotatingFile;

/// Tells people something.
#[cfg(feature = "watch")]
pub type Say = std::sync::Arc<dyn Fn(&str) + Send + Sync>;
