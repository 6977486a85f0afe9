//! What watching cameras needs beside the engine: which cameras there are, and how alerts are told.

pub mod alert;
mod config;
pub mod deliver;
pub mod evidence;
mod hear;
pub mod marks;
mod memory;
mod own;
mod rotate;

pub use config::{Camera, DashboardConfig, MonitorConfig, Schedule, Threshold};
pub use hear::{Heard, Listener};
pub use memory::Memory;
pub use rotate::RotatingFile;
