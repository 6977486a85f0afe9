"""Bundles of objects: written, verified, and refused when they are not what they say."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from startle_models import bundle, objects_bundle, objects_tiny

TINY = Path(__file__).parents[3] / "tests/data/bundles/tiny-object"
GOLDEN = Path(__file__).parents[3] / "tests/data/golden/tiny-object"


def test_the_committed_bundle_is_good_and_pytorch_gives_its_golden_numbers():
    assert list(objects_bundle.verify(TINY)) == [name for name, _ in objects_tiny.PARTS]
    options = objects_bundle.Options("", (), "", "")
    pixels = objects_bundle.self_test_pictures(1, 9, objects_tiny.SIDE, options.mean, options.std)
    for name, values in objects_tiny.reference(*objects_tiny.build(), pixels).items():
        assert objects_tiny.relative(values, np.load(GOLDEN / f"{name}.npy")) < 1e-5, name


def test_a_bundle_written_of_its_graphs_is_the_same(tmp_path):
    graphs = [TINY / "encoder.onnx", TINY / "predictor.onnx"]
    options = objects_bundle.Options("again", objects_tiny.PARTS, "d", "s")
    manifest, before = objects_bundle.write(tmp_path / "again", *graphs, options), bundle.read_manifest(TINY)
    for section in ("clip", "objects", "graphs"):
        assert manifest[section] == before[section]
    assert objects_bundle.main(["seal", str(tmp_path / "again")]) == 0
    with pytest.raises(bundle.BundleError, match="odd"):
        objects_bundle.write(tmp_path / "b", *graphs, objects_bundle.Options("b", (("x", "odd"),), "d", "s"))


def test_other_energies_are_told(tmp_path, capsys):
    shutil.copytree(TINY, tmp_path / "copy")
    text = (tmp_path / "copy/bundle.toml").read_text()
    (tmp_path / "copy/bundle.toml").write_text(text.replace('part = "shape", value = 0.', 'part = "shape", value = 9.'))
    assert objects_bundle.main(["verify", str(tmp_path / "copy")]) == 1
    assert "part shape" in capsys.readouterr().err


def test_operations_are_those_that_a_hand_counts(tmp_path):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(4, 6, 3, 2, 1, groups=2)
            self.dense, self.square = torch.nn.Linear(6, 5), torch.nn.Linear(5, 5, bias=False)

        def forward(self, x):
            return self.square(self.dense(self.conv(x).flatten(2).transpose(1, 2)))
    torch.onnx.export(Net(), (torch.zeros(3, 4, 8, 6),), str(tmp_path / "net.onnx"), input_names=["x"], opset_version=17,
                      dynamic_axes={"x": {0: "batch"}}, dynamo=False)
    cells = 4 * 3
    hand = 2 * cells * 6 * (2 * 9) + 2 * cells * 5 * 6 + 2 * cells * 5 * 5
    assert objects_bundle.operations(tmp_path / "net.onnx") == hand
    manifest = bundle.read_manifest(TINY)
    counted = dict(manifest["objects"]["operations"])
    objects_bundle.count(TINY, manifest)
    assert manifest["objects"]["operations"] == counted
