"""The control that learns dynamics of pictures: learning, graphs, what it is surprised by."""

import numpy as np
import pytest
import torch

from startle_models import objects_bundle
from startle_models.rssm import bundle, train
from startle_models.rssm.net import CELLS, MEMORY, PIXELS, STATE, Encoder, Predictor, Rssm, divergence, patches


def moving(count: int, frames: int, seed: int):
    """Clips uint8 [count,frames,96,96,3] of a bright square that moves evenly over grey."""
    g = torch.Generator().manual_seed(seed)
    video = torch.full((count, frames, 96, 96, 3), 90, dtype=torch.uint8)
    for clip in range(count):
        x, y = torch.randint(0, 30, (2,), generator=g).tolist()
        for t in range(frames):
            video[clip, t, y:y + 24, x + 2 * t:x + 2 * t + 24] = torch.tensor([230, 60, 40], dtype=torch.uint8)
    return video


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with films and a net that was trained on them for a moment, in two pieces."""
    folder = tmp_path_factory.mktemp("rssm")
    (folder / "films").mkdir()
    torch.save({"video": moving(16, train.FRAMES, 1)}, folder / "films" / "00000.pt")
    for minutes in (0.05, 0.1):
        train.train(folder, folder / "films", minutes)
    return folder


def test_training_goes_on_where_it_was_and_learns(trained):
    rows = [line.split(",") for line in (trained / "rssm.csv").read_text().splitlines()]
    steps, pixels = ([float(row[rows[0].index(name)]) for row in rows[1:]] for name in ("step", "pixels"))
    assert len(steps) >= 2 and steps == sorted(steps) and steps[-1] > steps[0]
    assert pixels[-1] < pixels[0]


def test_patches_keep_every_pixel_and_divergence_is_none_of_equals():
    small = torch.rand(2, 3, 64, 64)
    assert torch.allclose(torch.nn.functional.pixel_shuffle(patches(small), 4), small)
    p = Rssm.log_probabilities(torch.randn(3, 256))
    assert torch.allclose(p.exp().sum(-1), torch.ones(3, 16)) and (p.exp() >= 0.01 / 16 - 1e-7).all()
    assert (divergence(p, p) == 0).all() and (divergence(p, p.flip(0))[0] > 0)


@torch.no_grad()
def test_energies_are_the_divergence_and_the_pictures_error():
    torch.manual_seed(0)
    net = Rssm().eval()
    state, pixels = torch.randn(3, STATE), torch.rand(3, 3, 96, 96) * 2 - 1
    tokens, maps = Encoder(net)(pixels)
    assert tokens.shape == (3, 1, MEMORY) and maps.shape == (3, PIXELS, CELLS, CELLS) and maps.abs().max() <= 0.5
    after, energy, expected, seen = Predictor(net)(state, tokens, maps)
    h, z = after.split((MEMORY, STATE - MEMORY), 1)
    assert (z.unflatten(1, (16, 16)).sum(-1) == 1).all()
    pixels_energy = (net.draw(after) - maps).square().sum((1, 2, 3)) / 2
    assert torch.allclose(energy[:, 0, 1], pixels_energy) and (energy[:, 1] == 0).all()
    latent = divergence(net.posterior(h, tokens[:, 0]), net.prior(h))
    assert torch.allclose(energy[:, 0, 0], latent) and (latent > 0).all()
    assert (expected == 0).all() and (seen == 0).all()


def test_the_bundle_gives_pytorchs_energies_and_a_jump_surprises(trained, tmp_path):
    out = tmp_path / "small-rssm"
    bundle.write(trained, out, "small-rssm", "Notes.\n")
    manifest = objects_bundle.bundle.check_files(out)
    assert max(manifest["parity"].values()) < 1e-5
    assert objects_bundle.verify(out).keys() == {"latent", "pixels"}
    assert "minutes of one processor core" in (out / "README.md").read_text()
    session = objects_bundle.Session(out / "encoder.onnx", out / "predictor.onnx")
    video = moving(1, 20, 1)[0]
    video[12:] = 255 - video[12:]
    pixels = (video.permute(0, 3, 1, 2).float() / 127.5 - 1).numpy()
    energies = np.array([step[1][0, 0] for step in session.run(pixels)])
    assert energies[12, 1] > 1.1 * energies[8:12, 1].max()
