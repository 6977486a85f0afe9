//! `[[webhook]]`, `[[command]]`, `[mqtt]` and `[spool]`: where alerts go.

use super::toml_place::{TomlPlace, read};
use super::values::{Positive, Seconds};
use crate::error::Result;
use crate::watch::deliver::{CommandSettings, DeliverySettings, MqttSettings, Phases, Secret, Wanted, WebhookSettings};
use serde::Deserialize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// What may wait for one destination unless it is said, megabytes.
const SPOOL_MB: f32 = 100.0;

/// `[spool]` as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSpool {
    folder: Option<PathBuf>,
    max_mb: Option<Positive>,
}

/// `[[webhook]]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenWebhook {
    url: Option<Spanned<String>>,
    url_env: Option<Spanned<String>>,
    secret_env: Option<Spanned<String>>,
    secret_file: Option<Spanned<PathBuf>>,
    timeout_s: Option<Seconds>,
    ca_file: Option<PathBuf>,
    phases: Option<Spanned<Vec<String>>>,
    cameras: Option<Spanned<Vec<String>>>,
}

/// `[[command]]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCommand {
    argv: Spanned<Vec<String>>,
    timeout_s: Option<Seconds>,
    phases: Option<Spanned<Vec<String>>>,
    cameras: Option<Spanned<Vec<String>>>,
}

/// `[mqtt]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenMqtt {
    url: Spanned<String>,
    username_env: Option<Spanned<String>>,
    password_env: Option<Spanned<String>>,
    password_file: Option<Spanned<PathBuf>>,
    topic_prefix: Option<Spanned<String>>,
    discovery_prefix: Option<String>,
    ca_file: Option<PathBuf>,
}

/// What reading needs beside the text.
pub(super) struct Reader<'a> {
    pub(super) place: &'a TomlPlace<'a>,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// Names of the cameras.
    pub(super) cameras: &'a [String],
}

impl Reader<'_> {
    /// All destinations; `None` when there is none.
    pub(super) fn delivery(
        &self,
        spool: WrittenSpool,
        webhooks: Vec<Spanned<WrittenWebhook>>,
        commands: Vec<WrittenCommand>,
        mqtt: Option<WrittenMqtt>,
    ) -> Result<Option<DeliverySettings>> {
        if webhooks.is_empty() && commands.is_empty() && mqtt.is_none() {
            return Ok(None);
        }
        Ok(Some(DeliverySettings {
            folder: spool.folder,
            bytes: (f64::from(spool.max_mb.map_or(SPOOL_MB, |mb| mb.0)) * 1e6) as u64,
            webhooks: webhooks.into_iter().map(|hook| self.webhook(hook)).collect::<Result<_>>()?,
            commands: commands.into_iter().map(|command| self.command(command)).collect::<Result<_>>()?,
            mqtt: mqtt.map(|mqtt| self.mqtt(mqtt)).transpose()?,
        }))
    }

    fn webhook(&self, hook: Spanned<WrittenWebhook>) -> Result<WebhookSettings> {
        let span = hook.span();
        let hook = hook.into_inner();
        let (url, at) = match (&hook.url, &hook.url_env) {
            (Some(url), None) => (url.get_ref().clone(), url.span()),
            (None, Some(name)) => (self.variable("url_env", name)?, name.span()),
            _ => return Err(self.place.error(Some(span), "a [[webhook]] needs one of url and url_env")),
        };
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with(['/', '?', ':', '@'])) {
            return Err(self.place.error(Some(at), "url: not an https:// or http:// address"));
        }
        Ok(WebhookSettings {
            url: Secret(url),
            secret: self.secret("secret", hook.secret_env.as_ref(), hook.secret_file.as_ref())?,
            timeout: seconds(hook.timeout_s, 10.0),
            ca_file: hook.ca_file,
            wanted: self.wanted(hook.phases, hook.cameras)?,
        })
    }

    fn command(&self, command: WrittenCommand) -> Result<CommandSettings> {
        let span = command.argv.span();
        let argv = command.argv.into_inner();
        if argv.first().is_none_or(String::is_empty) {
            return Err(self.place.error(Some(span), "argv: name a program and its arguments, each in quotes"));
        }
        let wanted = self.wanted(command.phases, command.cameras)?;
        Ok(CommandSettings { argv, timeout: seconds(command.timeout_s, 30.0), wanted })
    }

    fn mqtt(&self, mqtt: WrittenMqtt) -> Result<MqttSettings> {
        let discovery = mqtt.discovery_prefix.unwrap_or_else(|| "homeassistant".into());
        if let Some(prefix) =
            mqtt.topic_prefix.as_ref().filter(|p| p.get_ref().is_empty() || p.get_ref().contains(['+', '#']))
        {
            return Err(self.place.error(Some(prefix.span()), "topic_prefix: one or more words without + and #"));
        }
        let user = mqtt.username_env.as_ref().map(|name| self.variable("username_env", name)).transpose()?;
        Ok(MqttSettings {
            url: Secret(mqtt.url.into_inner()),
            username: user.map(Secret),
            password: self.secret("password", mqtt.password_env.as_ref(), mqtt.password_file.as_ref())?,
            topic_prefix: mqtt.topic_prefix.map_or_else(|| "startle".into(), Spanned::into_inner),
            discovery_prefix: Some(discovery).filter(|prefix| !prefix.is_empty()),
            ca_file: mqtt.ca_file,
        })
    }

    fn wanted(&self, phases: Option<Spanned<Vec<String>>>, cameras: Option<Spanned<Vec<String>>>) -> Result<Wanted> {
        let mut wanted = Wanted::default();
        if let Some(phases) = phases {
            let known = phases.get_ref().iter().all(|phase| ["begun", "over"].contains(&phase.as_str()));
            if !known || phases.get_ref().is_empty() {
                return Err(self.place.error(Some(phases.span()), "phases: any of \"begun\" and \"over\""));
            }
            let has = |name: &str| phases.get_ref().iter().any(|phase| phase == name);
            wanted.phases = Phases { begun: has("begun"), over: has("over") };
        }
        if let Some(cameras) = cameras {
            if let Some(unknown) = cameras.get_ref().iter().find(|name| !self.cameras.contains(name)) {
                let words = format!("cameras: there is no camera \"{unknown}\"");
                return Err(self.place.error(Some(cameras.span()), &words));
            }
            wanted.cameras = cameras.into_inner();
        }
        Ok(wanted)
    }

    fn secret(
        &self,
        what: &str,
        env: Option<&Spanned<String>>,
        file: Option<&Spanned<PathBuf>>,
    ) -> Result<Option<Secret>> {
        let secret = match (env, file) {
            (None, None) => Ok(None),
            (Some(name), None) => Ok(Some(Secret(self.variable(&format!("{what}_env"), name)?))),
            (None, Some(path)) => {
                let text = read(Path::new(path.get_ref()))
                    .map_err(|e| self.place.error(Some(path.span()), &format!("{what}_file: {e}")))?;
                Ok(Some(Secret(text.trim_end_matches(['\r', '\n']).into())))
            }
            (Some(name), Some(_)) => {
                let words = format!("{what}_env and {what}_file: keep one");
                Err(self.place.error(Some(name.span()), &words))
            }
        }?;
        match secret {
            Some(Secret(word)) if word.is_empty() => {
                let span = env.map(Spanned::span).or_else(|| file.map(Spanned::span));
                Err(self.place.error(span, &format!("the {what} is empty")))
            }
            secret => Ok(secret),
        }
    }

    fn variable(&self, key: &str, name: &Spanned<String>) -> Result<String> {
        let span: Range<usize> = name.span();
        let unset = format!("{key}: the environment variable {} is not set", name.get_ref());
        (self.env)(name.get_ref()).ok_or_else(|| self.place.error(Some(span), &unset))
    }
}

fn seconds(written: Option<Seconds>, or: f64) -> Duration {
    Duration::from_secs_f64(written.map_or(or, |s| s.0).max(0.1))
}
