"""The reference: the surprise protocol does not leak, and pixels follow the library's rules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from startle_models import reference
from startle_models.checkpoints import ModelConfig
from startle_models.random_model import random_weights

CONFIG = ModelConfig(
    crop_size=16, patch_size=8, frames_per_clip=8,
    hidden_size=32, num_attention_heads=2, num_hidden_layers=2,
    pred_hidden_size=24, pred_num_attention_heads=2, pred_num_hidden_layers=1, pred_num_mask_tokens=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return reference.hugging_face_model(random_weights(CONFIG, seed=5))


def clips(batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, 8, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("length", [2, 4, 6])
def test_the_future_does_not_reach_the_context(model, length):
    one, other = clips(), clips()
    other[:, length:] = clips(seed=1)[:, length:]
    a = reference.surprise(model, one, [length])[length]
    b = reference.surprise(model, other, [length])[length]
    assert torch.equal(a.context, b.context) and torch.equal(a.prediction, b.prediction)
    assert not torch.equal(a.target, b.target)


def test_the_usual_forward_pass_leaks(model):
    """`VJEPA2Model.forward` with a context mask: why the protocol does not use it."""
    one, other = clips(), clips()
    other[:, 4:] = clips(seed=1)[:, 4:]
    context, target = torch.arange(8)[None], torch.arange(8, 16)[None]
    outs = [model(x, context_mask=[context], target_mask=[target]) for x in (one, other)]
    seen = [o.masked_hidden_state for o in outs]
    assert (seen[0] - seen[1]).abs().max() > 1e-3
    predicted = [o.predictor_output.last_hidden_state for o in outs]
    assert (predicted[0] - predicted[1]).abs().max() > 1e-4


def test_surprise_is_what_its_definition_says(model):
    pixels = clips(batch=2)
    found = reference.surprise(model, pixels, [4, 6])
    for length, stage in found.items():
        cut = length // 2 * 4
        whole = model.encoder(pixel_values_videos=pixels).last_hidden_state.numpy().astype(np.float64)
        whole = (whole - whole.mean(-1, keepdims=True)) / np.sqrt(whole.var(-1, keepdims=True) + 1e-5)
        context = model.encoder(pixel_values_videos=pixels[:, :length]).last_hidden_state
        masks = [torch.arange(cut).repeat(2, 1)], [torch.arange(cut, 16).repeat(2, 1)]
        predicted = model.predictor(context, *masks).last_hidden_state.numpy()
        for window in range(2):
            for token in range(cut, 16):
                slot, place = divmod(token, 4)
                error = np.abs(predicted[window, token - cut] - whole[window, token]).mean()
                assert abs(stage.error[window, slot - length // 2, place // 2, place % 2] - error) < 1e-5
        assert np.allclose(stage.surprise, stage.error.numpy().mean(axis=(1, 2, 3)), rtol=1e-6)


def test_horizon_asks_the_predictor_for_less(model):
    pixels = clips()
    stage = reference.surprise(model, pixels, [2, 6], horizon=2)
    assert stage[2].error.shape == (1, 2, 2, 2) and stage[6].error.shape == (1, 1, 2, 2)
    places = torch.arange(12)[None]
    expected = reference.predict(model, stage[2].context, places[:, :4], places[:, 4:12])
    assert torch.equal(stage[2].prediction, expected)


def test_whole_tokens_may_be_given(model):
    pixels = clips()
    whole = reference.encode(model.encoder, pixels)
    given = reference.surprise(model, pixels, [4], whole=whole)[4]
    assert torch.equal(given.error, reference.surprise(model, pixels, [4])[4].error)


def test_context_must_be_a_prefix(model):
    tokens, places = torch.zeros(1, 4, 32), torch.arange(8)[None]
    with pytest.raises(ValueError, match="prefix"):
        reference.predict(model, tokens, places[:, 1:5], places[:, 5:])


def test_encoder_without_layers_is_patches_and_norm():
    config = ModelConfig(crop_size=16, patch_size=8, hidden_size=12, num_attention_heads=1, num_hidden_layers=0)
    weights = random_weights(config, seed=1)
    encoder = reference.hugging_face_encoder(weights)
    w = {k.rpartition("encoder.")[2]: v for k, v in weights.encoder.items()}
    x = F.conv3d(clips().transpose(1, 2), w["embeddings.patch_embeddings.proj.weight"], stride=(2, 8, 8))
    x = x.flatten(2).transpose(1, 2) + w["embeddings.patch_embeddings.proj.bias"]
    x = F.layer_norm(x, (12,), w["layernorm.weight"], w["layernorm.bias"], 1e-6)
    assert (reference.encode(encoder, clips()) - x).abs().max() < 1e-5


# --- pixels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(72, 102), (102, 72), (480, 640), (37, 991), (256, 256), (1080, 1920), (90, 41)])
def test_resized_size_is_the_library_rule(size):
    from transformers.image_transforms import get_resize_output_image_size

    expected = get_resize_output_image_size(np.zeros((3, *size), np.uint8), 292, default_to_square=False)
    assert reference.resized_size(*size, "shorter-side", 292, 256) == tuple(expected)
    assert reference.resized_size(*size, "squash", 292, 256) == (256, 256)
    with pytest.raises(ValueError, match="stretch"):
        reference.resized_size(*size, "stretch", 292, 256)


@pytest.mark.parametrize("resize", ["shorter-side", "squash"])
@pytest.mark.parametrize("size", [(72, 102), (241, 135), (30, 40)])
def test_resize_is_within_one_level_of_the_torch_kernel(size, resize):
    """torchvision's resize of uint8 tensors is `interpolate(antialias=True)` on uint8."""
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    found = reference.preprocess(frame, crop_size=32, resize=resize, resize_size=36)
    height, width = reference.resized_size(*size, resize, 36, 32)
    tensor = torch.from_numpy(frame).permute(2, 0, 1)[None]
    whole = F.interpolate(tensor, (height, width), mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    top, left = (height - 32) // 2, (width - 32) // 2
    expected = whole[top : top + 32, left : left + 32]
    assert found.shape == (32, 32, 3) and np.abs(found.astype(int) - expected).max() <= 1


def test_crop_rounds_down():
    assert reference.crop_origin(36, 51, 32) == (2, 9)
    assert reference.crop_origin(53, 32, 32) == (10, 0)
    assert reference.crop_origin(32, 32, 32) == (0, 0)


def test_normalise_is_imagenet_by_default():
    pixels = np.array([[[[0, 128, 255]]]], np.uint8)
    found = reference.normalise(pixels)
    assert found.shape == (1, 3, 1, 1) and found.dtype == np.float32
    expected = [(v / 255 - m) / s for v, m, s in zip((0, 128, 255), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    assert np.allclose(found.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 7, 2**32 - 1])
def test_self_test_pixels_are_the_generator(seed):
    found = reference.lcg_pixels(seed, 3, 5)
    x, expected = seed, []
    for _ in range(found.size):
        x = (x * 1664525 + 1013904223) % 2**32
        expected.append(x >> 24)
    assert found.shape == (3, 5, 5, 3) and found.ravel().tolist() == expected
