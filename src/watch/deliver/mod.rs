//! Alerts to other programs: webhooks, commands, an MQTT broker.
//!
//! Every alert is on the disk before it is sent, in a queue for each destination (`spool`); a thread for each sends them in
//! their order, and forgets one when it was acknowledged (`send_thread`). What a destination can't take now waits, through
//! restarts; what it will never take is put aside.
//!
//! Invariants: the listener never waits for a peer; a peer's fault touches no other; no secret is in a message, an error or
//! a `Debug`.

mod command;
mod mqtt;
mod send_thread;
mod settings;
mod spool;
mod webhook;

use super::alert::slug;
use super::folder_lock::lock;
use super::{Bulletin, Listener, Say};
use crate::error::{Error, Result};
use crate::units::Stop;
use send_thread::{SendThread, Sender};
pub use settings::{CommandSettings, DeliverySettings, MqttSettings, Phases, Secret, Wanted, WebhookSettings};
use sha2::{Digest, Sha256};
use spool::{QueuedAlert, Spool};
use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// One destination: what it wants to hear, and its queue.
struct Route {
    wanted: Wanted,
    spool: Arc<Spool>,
    done: Receiver<()>,
}

/// Puts alerts into the queues of their destinations.
pub struct Delivery {
    routes: Vec<Route>,
    stop: Stop,
    say: Say,
    _lock: File,
}

impl Delivery {
    /// Opens the queues in `folder` and begins to send what still waits in them.
    ///
    /// # Errors
    /// [`Error::Output`] when the spool can't be made or read, [`Error::Config`] when another program uses it or a
    /// destination's settings make no sense.
    pub fn start(settings: DeliverySettings, folder: &Path, cameras: &[String], say: Say) -> Result<Self> {
        let DeliverySettings { bytes, webhooks, commands, mqtt, .. } = settings;
        let lock = lock(folder, ".lock", "[spool] folder")?;
        let stop = Stop::new();
        let (mut routes, mut queues) = (Vec::new(), HashSet::new());
        let mut route = |kind: &str, id: &str, wanted: Wanted, name: String, sender: Box<dyn Sender>| -> Result<()> {
            let named = |text: String| folder.join(format!("{kind}-{}", hex::encode(&Sha256::digest(text)[..4])));
            let queue = named(format!("{id}\0{}", wanted.text()));
            // As version 0.1 named it.
            let before = named(format!("{id}\0{wanted:?}"));
            if before.is_dir() && !queue.exists() {
                std::fs::rename(&before, &queue).map_err(|e| Error::output(&queue, e))?;
            }
            if !queues.insert(queue.clone()) {
                return Err(Error::Config(format!("{name} is there twice, for the same alerts: keep one")));
            }
            let spool = Arc::new(Spool::open(&queue, bytes)?);
            let (tell, done) = sync_channel(1);
            let post =
                SendThread { name, sender, spool: Arc::clone(&spool), stop: stop.clone(), say: Arc::clone(&say) };
            std::thread::Builder::new()
                .name(kind.into())
                .spawn(move || {
                    post.run();
                    let _ = tell.send(());
                })
                .map_err(|e| Error::Internal { stage: "delivery", reason: e.to_string() })?;
            routes.push(Route { wanted, spool, done });
            Ok(())
        };
        for hook in webhooks {
            let (id, wanted, name) = (hook.url.0.clone(), hook.wanted.clone(), hook.name());
            route("webhook", &id, wanted, name, Box::new(webhook::Webhook::new(hook)?))?;
        }
        for command in commands {
            let (id, wanted, name) = (command.argv.join("\0"), command.wanted.clone(), command.argv[0].clone());
            route("command", &id, wanted, name, Box::new(command::Hook::new(command)))?;
        }
        if let Some(mqtt) = mqtt {
            if let Some(twin) = mqtt::shared_topic(cameras) {
                let words = format!("[mqtt]: camera \"{twin}\" has the topics of another: rename one");
                return Err(Error::Config(words));
            }
            let (id, name) = (format!("{}\0{}", mqtt.url.0, mqtt.topic_prefix), mqtt.name());
            route("mqtt", &id, Wanted::default(), name, Box::new(mqtt::Broker::new(mqtt, cameras)?))?;
        }
        for (queue, waiting) in spool::left_behind(folder, &queues) {
            say(&format!(
                "{}: {waiting} alerts wait there for a destination that is no longer configured (or was changed): configure \
                 it as it was, or remove the folder",
                queue.display()
            ));
        }
        Ok(Self { routes, stop, say, _lock: lock })
    }
}

impl Listener for Delivery {
    fn take(&mut self, bulletin: &Bulletin) -> Result<()> {
        let (Some(alert), Some(line)) = (&bulletin.alert, bulletin.line()) else { return Ok(()) };
        let (incident, camera) = (alert.incident.clone(), alert.camera.clone());
        let message = QueuedAlert { incident, phase: alert.phase, camera, line };
        for route in self.routes.iter().filter(|route| route.wanted.holds(&message.camera, message.phase)) {
            if let Some(words) = route.spool.put(&message) {
                (self.say)(&words);
            }
        }
        Ok(())
    }

    fn finish(&mut self, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        let left = || limit.saturating_sub(begun.elapsed());
        // Most of the time is for sending, some for ending well.
        while left() > limit / 4 && self.routes.iter().any(|route| route.spool.is_lively()) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.stop.request();
        for route in &self.routes {
            route.spool.wake();
            let _ = route.done.recv_timeout(left());
        }
        let waiting: usize = self.routes.iter().map(|route| route.spool.len()).sum();
        if waiting > 0 {
            (self.say)(&format!("{waiting} alerts are not delivered yet: the next start goes on with them"));
        }
        Ok(())
    }
}
