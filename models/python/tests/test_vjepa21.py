"""V-JEPA 2.1: recognised by what only it has, and refused with the reasons."""

from __future__ import annotations

import pytest
import torch
from small import CONFIG, WEIGHTS

from startle_models import checkpoints, export
from startle_models.checkpoints import CheckpointError
from startle_models.random_model import to_meta
from startle_models.vjepa21 import unsupported_parts


def networks(encoder_key: str, teacher: int) -> dict:
    """The names that 2.1 adds, on a small V-JEPA 2 checkpoint; `teacher` is the width of its predictions."""
    state, wrap = to_meta(WEIGHTS), "module.backbone."
    encoder, predictor = dict(state["target_encoder"]), dict(state["predictor"])
    for i in range(4):
        encoder |= {f"{wrap}norms_block.{i}.{kind}": torch.ones(40) for kind in ("weight", "bias")}
    for kind in ("weight", "bias"):
        del encoder[f"{wrap}norm.{kind}"]
    encoder |= {f"{wrap}{name}_mod_embed": torch.zeros(1, 1, 40) for name in ("img", "video")}
    encoder |= {f"{wrap}patch_embed_img.proj.weight": torch.zeros(40, 3, 1, 8, 8)}
    predictor |= {f"{wrap}predictor_proj_context.weight": torch.zeros(teacher, 36)}
    predictor |= {f"{wrap}predictor_proj.weight": torch.zeros(teacher, 36)}
    return {encoder_key: encoder, "predictor": predictor, "epoch": 1}


def test_distilled_models_are_refused_with_reasons(sources, tmp_path, capsys):
    torch.save(networks("ema_encoder", teacher=64), tmp_path / "dist.pt")
    argv = [str(tmp_path / "dist.pt"), "--config", str(sources / "shape.json"), "--out", str(tmp_path / "out")]
    assert export.main(argv) == 1
    said = capsys.readouterr().err
    for words in ("V-JEPA 2.1", "4 LayerNorms", "modality embeddings", "second patch embedding",
                  "predicts the context", "64 features, where the encoder gives 40"):  # fmt: skip
        assert words in said
    assert not (tmp_path / "out").exists()


def test_models_with_joined_depths_are_refused_with_reasons(tmp_path):
    state = networks("target_encoder", teacher=160)
    state["predictor"] |= {f"module.backbone.predictor_embed.{i}.weight": torch.zeros(2, 2) for i in (0, 2)}
    torch.save(state, tmp_path / "giant.pt")
    with pytest.raises(CheckpointError, match="several depths, joined"):
        checkpoints.read_meta(tmp_path / "giant.pt", CONFIG)


def test_older_models_are_not_taken_for_it():
    assert unsupported_parts(to_meta(WEIGHTS) | {"epoch": 1, "opt": {"state": {0: {}}}}) == []
