//! `config.json` of an encoder of pictures: what all of them have in common, beside fields of their own.

use super::net::{Act, Kind};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The fields that matter here.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PictureConfig<Own> {
    pub image_size: usize,
    pub patch_size: usize,
    num_channels: usize,
    pub hidden_size: usize,
    num_attention_heads: usize,
    pub num_hidden_layers: usize,
    layer_norm_eps: f32,
    hidden_act: String,
    /// Those of this network alone.
    #[serde(flatten)]
    pub own: Own,
}

impl<Own: DeserializeOwned> PictureConfig<Own> {
    /// From `config.json`; what it leaves out is as in `defaults`, an object with every field.
    ///
    /// # Errors
    /// [`Error::Config`] when it is not understood or its numbers do not fit together.
    pub fn read(json: &Value, mut defaults: Value) -> Result<Self> {
        let fail = |reason: String| Error::Config(format!("config.json: {reason}"));
        for (name, value) in json.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            defaults[name] = value.clone();
        }
        let config: Self = serde_json::from_value(defaults).map_err(|error| fail(error.to_string()))?;
        if config.num_channels != 3 || config.patch_size == 0 {
            let (channels, patch) = (config.num_channels, config.patch_size);
            return Err(fail(format!(
                "pictures of {channels} channels in patches of {patch}; startle writes 3 channels"
            )));
        }
        super::check_heads(config.hidden_size, config.num_attention_heads).map_err(fail)?;
        Ok(config)
    }

    /// What its layers share.
    pub const fn kind(&self) -> Kind {
        Kind { width: self.hidden_size, heads: self.num_attention_heads, epsilon: self.layer_norm_eps }
    }

    /// The activation, one of `known`.
    ///
    /// # Errors
    /// [`Error::Config`] when it is another.
    pub fn act(&self, known: &[Act]) -> Result<Act> {
        let act = serde_json::from_value(Value::String(self.hidden_act.clone())).ok().filter(|act| known.contains(act));
        act.ok_or_else(|| {
            Error::Config(
                format!("config.json: activation {:?}; startle writes {known:?}", self.hidden_act).to_lowercase(),
            )
        })
    }
}
