"""The numbers everything else must equal: preprocessing and surprise, in plain PyTorch.

Runs on the modules of `transformers.VJEPA2Model` itself (or of any object whose `encoder` and
`predictor` are called alike, such as those of `reference_vjepa1.py` and `reference_vjepa21.py`), so that the
lean graphs and the Rust program are checked against code that neither of them shares.

Surprise follows Garrido et al., "Intuitive physics understanding emerges from self-supervised
pretraining on natural videos" (arXiv 2502.11831), and Bordes et al., "IntPhys 2" (arXiv 2506.09849):
the mean absolute difference between the predictor's output and the layer-normed features of the real
future, with the context encoded **alone**. `VJEPA2Model.forward(context_mask=…)` is not used: it
encodes the whole clip first, and attention carries the future into the context.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional as F

from .checkpoints import Weights
from .reference_ac import ac_encoder, ac_model
from .reference_vjepa1 import vjepa1_encoder, vjepa1_model
from .reference_vjepa21 import vjepa21_encoder, vjepa21_model

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


Conditions = tuple[np.ndarray, np.ndarray]
"""Actions and states, float32 [B, T, A] each: of every frame of the windows, whatever is left of the last action."""


class JepaModel(Protocol):
    """What the protocol needs of a model; `VJEPA2Model` and `LeanModel`-like objects fit."""

    config: object
    encoder: torch.nn.Module
    predictor: torch.nn.Module


@dataclass(frozen=True)
class Stages:
    """Everything computed for one context length of one batch of windows.

    Shapes, with S predicted slots, g patches per side, N = S·g²: `context` [B, Nc, D],
    `prediction` and `target` [B, N, D], `error` [B, S, g, g]. All float32.
    """

    context: torch.Tensor
    prediction: torch.Tensor
    target: torch.Tensor
    error: torch.Tensor

    @property
    def surprise(self) -> torch.Tensor:
        """[B] float64: mean error over the predicted tokens of each window."""
        return self.error.double().mean(dim=(1, 2, 3))


def load_model(weights: Weights, mask_index: int) -> JepaModel:
    """The PyTorch model of `weights`, whose predictor asks with mask token `mask_index` (modulo their number)."""
    own = {"vjepa1": vjepa1_model, "vjepa21": vjepa21_model, "vjepa2ac": ac_model}.get(weights.config.model_type)
    if own:
        return own(weights, mask_index)
    model = hugging_face_model(weights)
    if mask_index != 1:
        _choose_mask_token(model, mask_index)
    return model


def load_encoder(weights: Weights) -> torch.nn.Module:
    """The PyTorch encoder alone, from `weights` that may have no predictor."""
    own = {"vjepa1": vjepa1_encoder, "vjepa21": vjepa21_encoder, "vjepa2ac": ac_encoder}
    return own.get(weights.config.model_type, hugging_face_encoder)(weights)


def _choose_mask_token(model, mask_index: int) -> None:
    """Makes Hugging Face's predictor, which always asks for token 1, use another one."""
    tokens = model.predictor.embeddings.mask_tokens
    wanted = tokens[mask_index % len(tokens)].clone()
    model.predictor.embeddings.mask_tokens = torch.nn.Parameter(tokens.clone(), requires_grad=False)
    model.predictor.embeddings.mask_tokens[1 % len(tokens)] = wanted


def hugging_face_model(weights: Weights):
    """`VJEPA2Model` holding exactly `weights` (the tensors are shared, not copied), in eval mode."""
    from transformers import VJEPA2Model

    with torch.device("meta"):
        model = VJEPA2Model(weights.config.hugging_face())
    model.load_state_dict(weights.encoder | weights.predictor, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def hugging_face_encoder(weights: Weights) -> torch.nn.Module:
    """The encoder alone, from encoder-only `weights`; it may have no transformer layer."""
    from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2Encoder

    config = weights.config.hugging_face()
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        encoder = VJEPA2Encoder(config)
    tensors = {name.removeprefix("encoder."): tensor for name, tensor in weights.encoder.items()}
    encoder.load_state_dict(tensors, strict=True, assign=True)
    return encoder.eval().requires_grad_(False)


@torch.no_grad()
def predict(model: JepaModel, context: torch.Tensor, context_pos: torch.Tensor, target_pos: torch.Tensor):
    """Predictor on tokens [B, Nc, D] that stand at `context_pos` [B, Nc] → [B, Nt, D] at `target_pos` [B, Nt].

    Hugging Face's predictor first *selects* tokens by its context mask, so the selection is made the
    identity and positions must run from 0: a prefix of the clip, which is what the protocol uses.
    """
    expected = torch.arange(context.shape[1]).expand_as(context_pos)
    if not torch.equal(context_pos.cpu(), expected):
        raise ValueError("context positions must be 0, 1, 2, …: the context is a prefix of the clip")
    out = model.predictor(encoder_hidden_states=context, context_mask=[context_pos], target_mask=[target_pos])
    return out.last_hidden_state


@torch.no_grad()
def encode(encoder: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Normalised pixels [B, T, 3, H, W] → tokens [B, T/tubelet · g², D], final LayerNorm included."""
    return encoder(pixel_values_videos=pixels).last_hidden_state


def targets(whole: torch.Tensor, levels: int = 1) -> torch.Tensor:
    """Tokens [B, N, D] of whole windows, each of its `levels` equal parts layer-normed without affine, eps 1e-5."""
    parts = whole.unflatten(-1, (levels, -1))
    return F.layer_norm(parts, parts.shape[-1:]).flatten(-2)


@torch.no_grad()
def surprise(
    model: JepaModel,
    pixels: torch.Tensor,
    contexts: list[int],
    *,
    horizon: int | None = None,
    target_encoder: torch.nn.Module | None = None,
    whole: torch.Tensor | None = None,
    conditions: Conditions | None = None,
) -> dict[int, Stages]:
    """The surprise protocol for windows `pixels` [B, T, 3, H, W], for each context length in frames.

    The target is layer-normed over its D features without affine parameters, eps 1e-5, as in training
    (`app/vjepa/train.py` upstream: `F.layer_norm(hi, (hi.size(-1),))`; V-JEPA 2.1: over each of its depths),
    and is shared by all context lengths. `horizon` keeps only that many slots after the context; None keeps all.
    `whole` may hold the (target) encoder's tokens of the whole windows, if they were computed before. `conditions`,
    for V-JEPA 2-AC, are the actions and states of the windows' frames; it predicts one slot.
    """
    config = model.config
    grid = config.crop_size // config.patch_size
    area, tubelet = grid * grid, getattr(config, "slot_frames", config.tubelet_size)
    batch, frames = pixels.shape[:2]
    if whole is None:
        whole = encode(target_encoder or model.encoder, pixels)
    whole = targets(whole, getattr(config, "levels", 1))
    results = {}
    for length in contexts:
        first, last = length // tubelet, frames // tubelet
        if horizon is not None:
            last = min(last, first + horizon)
        context = encode(model.encoder, pixels[:, :length])
        if conditions is None:
            places = torch.arange(last * area).expand(batch, -1)
            prediction = predict(model, context, places[:, : first * area], places[:, first * area :])
        else:
            last, given = first + 1, [torch.from_numpy(x[:, :first]) for x in conditions]
            prediction = model.predictor(context, *given).last_hidden_state
        target = whole[:, first * area : last * area]
        error = (prediction - target).abs().mean(dim=-1).reshape(batch, last - first, grid, grid)
        results[length] = Stages(context, prediction, target, error)
    return results


# --- pixels ---------------------------------------------------------------------------------------


def resized_size(height: int, width: int, resize: str, resize_size: int, crop_size: int) -> tuple[int, int]:
    """(height, width) in pixels after the resize step.

    `squash`: crop × crop, whatever the shape. `shorter-side`: the shorter side becomes `resize_size`
    and the longer one ⌊resize_size · long / short⌋, as `get_resize_output_image_size` of transformers.
    """
    if resize == "squash":
        return crop_size, crop_size
    if resize != "shorter-side":
        raise ValueError(f"resize rule {resize!r}: expected 'squash' or 'shorter-side'")
    short, long = min(height, width), max(height, width)
    longer = int(resize_size * long / short)
    return (resize_size, longer) if height <= width else (longer, resize_size)


def crop_origin(height: int, width: int, crop_size: int) -> tuple[int, int]:
    """(top, left) of the centre crop: half the rest, rounded down, as in `TorchvisionBackend.center_crop`."""
    return int((height - crop_size) / 2.0), int((width - crop_size) / 2.0)


def preprocess(frame: np.ndarray, *, crop_size: int, resize: str, resize_size: int) -> np.ndarray:
    """One RGB picture uint8 [H, W, 3] → uint8 [crop, crop, 3].

    Antialiased bilinear filtering on 8-bit values as Pillow does it (triangle filter whose support
    grows with the reduction; fixed-point weights, each pass rounded to 8 bits). Torchvision's antialiased
    resize, which `VJEPA2VideoProcessor` uses, differs from it by at most 1 level.
    """
    from PIL import Image

    height, width = resized_size(frame.shape[0], frame.shape[1], resize, resize_size, crop_size)
    picture = Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR)
    top, left = crop_origin(height, width, crop_size)
    return np.asarray(picture)[top : top + crop_size, left : left + crop_size].copy()


def normalise(pixels: np.ndarray, mean=IMAGENET_MEAN, std=IMAGENET_STD) -> np.ndarray:
    """Pixels uint8 [..., T, H, W, 3] → float32 [..., T, 3, H, W]: (value/255 − mean) / std per RGB channel."""
    scaled = pixels.astype(np.float32) / np.float32(255.0)
    scaled = (scaled - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))


def lcg_conditions(seed: int, frames: int, dim: int) -> Conditions:
    """Actions and states of the self-test clip, [1, frames, dim] each: the generator of `lcg_pixels` started at
    seed + 1, a number for each action, then for each state, in C order, as ((x >> 24) − 128) / 640 (−0.2 … 0.198)."""
    state, values = (seed + 1) & 0xFFFFFFFF, []
    for _ in range(2 * frames * dim):
        state = (1664525 * state + 1013904223) & 0xFFFFFFFF
        values.append(((state >> 24) - 128) / 640)
    both = np.array(values, np.float32).reshape(2, 1, frames, dim)
    return both[0], both[1]


@functools.lru_cache(maxsize=4)
def lcg_pixels(seed: int, frames: int, size: int) -> np.ndarray:
    """The self-test input: uint8 [frames, size, size, 3] of a 32-bit linear congruential generator.

    x ← (1664525·x + 1013904223) mod 2³², from x = seed; each pixel is x >> 24 after the step, in C
    order. (Constants: Press et al., *Numerical Recipes*, 2nd ed., §7.1.)
    """
    count = frames * size * size * 3
    # k steps at once are again affine: x ← aᵏ·x + c·(1 + a + … + aᵏ⁻¹); uint32 wraps as wanted.
    multiply = np.empty(count, np.uint32)
    add = np.empty(count, np.uint32)
    a, c = 1664525, 1013904223
    multiply[0], add[0] = a, c
    done = 1
    while done < count:
        take = min(done, count - done)
        multiply[done : done + take] = multiply[:take] * multiply[done - 1]
        add[done : done + take] = multiply[:take] * add[done - 1] + add[:take]
        done += take
    state = multiply * np.uint32(seed & 0xFFFFFFFF) + add
    pixels = (state >> np.uint32(24)).astype(np.uint8).reshape(frames, size, size, 3)
    pixels.setflags(write=False)
    return pixels
