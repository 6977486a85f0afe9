//! What watching cameras needs beside the engine: which cameras there are, and how alerts are told.

pub mod alert;
mod config;
pub mod deliver;
pub mod evidence;
mod hear;
pub mod marks;
mod memory;
mod outbox;
mod own;
mod rotate;

pub use config::{Camera, DashboardConfig, MonitorConfig, Schedule, Threshold};
pub use hear::{Heard, Listener};
pub use memory::Memory;
pub use outbox::Outbox;
pub use rotate::RotatingFile;
use std::sync::Arc;

/// Tells people something.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;
