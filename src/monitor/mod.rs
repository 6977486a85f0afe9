//! What watching cameras needs beside the engine: which cameras there are, and where alerts go.

mod config;

pub use config::{Camera, MonitorConfig, Point, Region, Threshold};
