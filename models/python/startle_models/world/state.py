"""What a scene is and how it moves: the types that sampling, physics and rendering share.

World axes: x right, y up, z away from the camera; units of length (about 8 are in view where the objects
are), seconds. B scenes in a batch, F frames, N objects, K screens, S solids.
"""

from __future__ import annotations

import dataclasses

import torch

N_OBJECTS, N_SCREENS, N_SOLIDS, N_LIGHTS = 5, 2, 2, 3
ASPECT = 9 / 16

# Shapes of objects. CROSS and DUMBBELL are never seen in training; those after them only where a spec asks for variety.
SPHERE, BOX, CYLINDER, CONE, PEG, HOUSE, ELL, CROSS, DUMBBELL, TABLE, MUSHROOM, ROCKET, STEPS, ANVIL, BOTTLE = range(15)
TRAINING_SHAPES = (SPHERE, BOX, CYLINDER, CONE, PEG, HOUSE, ELL)
HELD_OUT_SHAPES = (CROSS, DUMBBELL)
MORE_SHAPES = (TABLE, MUSHROOM, ROCKET, STEPS, ANVIL, BOTTLE)
# A shape is one or two primitives: (SPHERE | BOX | CYLINDER | CONE, centre, half extents), both in units of the
# object's half extents. SPHERE is an ellipsoid; CYLINDER and CONE stand along y.
PARTS: dict[int, tuple[tuple[int, tuple[float, float, float], tuple[float, float, float]], ...]] = {
    SPHERE: ((SPHERE, (0, 0, 0), (1, 1, 1)),),
    BOX: ((BOX, (0, 0, 0), (1, 1, 1)),),
    CYLINDER: ((CYLINDER, (0, 0, 0), (1, 1, 1)),),
    CONE: ((CONE, (0, 0, 0), (1, 1, 1)),),
    PEG: ((CYLINDER, (0, -0.3, 0), (0.7, 0.7, 0.7)), (SPHERE, (0, 0.5, 0), (0.55, 0.5, 0.55))),
    HOUSE: ((BOX, (0, -0.4, 0), (0.9, 0.6, 0.9)), (CONE, (0, 0.6, 0), (1, 0.4, 1))),
    ELL: ((BOX, (-0.6, 0, 0), (0.4, 1, 1)), (BOX, (0.4, -0.6, 0), (0.6, 0.4, 1))),
    CROSS: ((BOX, (0, 0, 0), (0.35, 1, 0.5)), (BOX, (0, 0.1, 0), (1, 0.35, 0.5))),
    DUMBBELL: ((SPHERE, (-0.5, 0, 0), (0.5, 1, 1)), (SPHERE, (0.5, 0, 0), (0.5, 1, 1))),
    TABLE: ((CYLINDER, (0, -0.2, 0), (0.3, 0.8, 0.3)), (CYLINDER, (0, 0.8, 0), (1, 0.2, 1))),
    MUSHROOM: ((CYLINDER, (0, -0.4, 0), (0.4, 0.6, 0.4)), (SPHERE, (0, 0.4, 0), (1, 0.6, 1))),
    ROCKET: ((CYLINDER, (0, -0.3, 0), (0.8, 0.7, 0.8)), (CONE, (0, 0.7, 0), (1, 0.3, 1))),
    STEPS: ((BOX, (0, -0.6, 0), (1, 0.4, 1)), (BOX, (0.4, 0.4, 0), (0.6, 0.6, 1))),
    ANVIL: ((BOX, (0, 0.5, 0), (1, 0.5, 0.7)), (BOX, (0, -0.5, 0), (0.6, 0.5, 1))),
    BOTTLE: ((CYLINDER, (0, -0.35, 0), (1, 0.65, 1)), (CYLINDER, (0, 0.65, 0), (0.4, 0.35, 0.4))),
}

# Textures of floor, wall, screens, solids and objects. The last two are never seen in training.
PLAIN, CHECKER, STRIPES, NOISE, GRADIENT, DOTS, CHEVRON = range(7)
TRAINING_TEXTURES = (PLAIN, CHECKER, STRIPES, NOISE, GRADIENT)
HELD_OUT_TEXTURES = (DOTS, CHEVRON)
BANK = 16  # and on: tiles of bank.py

BLOCK, RAMP = 0, 1  # kinds of solids


@dataclasses.dataclass
class Batch:
    """A dataclass of tensors that lead with B, and of other such dataclasses."""

    def map(self, fn):
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return type(self)(**{k: v.map(fn) if isinstance(v, Batch) else fn(v) for k, v in values.items()})

    def to(self, device):
        return self.map(lambda t: t.to(device))

    def __getitem__(self, index):
        return self.map(lambda t: t[index])

    def __len__(self):
        return len(getattr(self, dataclasses.fields(self)[0].name))

    def clone(self):
        return self.map(torch.clone)

    @classmethod
    def cat(cls, parts):
        def join(values):
            return values[0].cat(values) if isinstance(values[0], Batch) else torch.cat(values)
        return cls(**{f.name: join([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(cls)})


@dataclasses.dataclass
class Surfaces(Batch):
    """Textures of M surfaces per scene: kind [B,M] long, colour [B,M,2,3] in [0,1], params [B,M,4] = scale
    (periods per unit), angle, offset u, offset v."""

    kind: torch.Tensor
    colour: torch.Tensor
    params: torch.Tensor


@dataclasses.dataclass
class Look(Batch):
    """What does not move: what the renderer needs besides the Trajectory.

    cam_tan [B,2]: tangents of half the field of view; wall_z, side_x [B]: back wall z, side walls x = +-side_x
    (side_x may be so large that they are never seen); room Surfaces with M = 3 (floor, back wall, side walls);
    screens Surfaces M = K; solids Surfaces M = S; objects Surfaces M = N: colour is IGNORED there (it is in the
    Trajectory, as a violation may change it), kind and params hold;
    light [B,N_LIGHTS,3] unit vectors towards the lights, power [B,N_LIGHTS] (0: off; the first casts the
    shadows), ambient [B];
    solid_kind [B,S], solid_box [B,S,5] = x, z, half width, half depth, height (they stand on the floor), solid_on
    [B,S] bool, solid_side [B,S] in {-1, 1}: a RAMP rises from 0 to its full height towards that side in x;
    screen_half [B,K,2] = half width, height; screen_on [B,K] bool; screen_tilt [B,K,2] = lean (of the upper edge away
    from the camera) and roll about the middle of the lower edge, radians;
    hung [B,N] bool, pivot [B,N,3]: objects on a thin string;
    noise, blur (optical), gain_amp, gain_freq, gain_phase [B]: the sensor; shutter [B] in [0,1]: share of the
    frame time that the shutter is open (motion blur).
    """

    cam_tan: torch.Tensor
    wall_z: torch.Tensor
    side_x: torch.Tensor
    room: Surfaces
    screens: Surfaces
    solids: Surfaces
    objects: Surfaces
    light: torch.Tensor
    power: torch.Tensor
    ambient: torch.Tensor
    solid_kind: torch.Tensor
    solid_box: torch.Tensor
    solid_on: torch.Tensor
    solid_side: torch.Tensor
    screen_half: torch.Tensor
    screen_on: torch.Tensor
    screen_tilt: torch.Tensor
    hung: torch.Tensor
    pivot: torch.Tensor
    noise: torch.Tensor
    blur: torch.Tensor
    gain_amp: torch.Tensor
    gain_freq: torch.Tensor
    gain_phase: torch.Tensor
    shutter: torch.Tensor


@dataclasses.dataclass
class Trajectory(Batch):
    """States over F frames (dimension 1).

    pos [B,F,N,3] centre of the bounding box; vel [B,F,N,3]; rot [B,F,N,3,3] object to world (columns = object
    axes); active [B,F,N] bool; kind [B,F,N] shape; half [B,F,N,3] half extents of the bounding box in object axes;
    colour [B,F,N,2,3]; screen [B,F,K,3] = x centre, y of the lower edge, z (a rising screen has y > 0, a screen
    that lowers into the floor y < 0); cam_pos [B,F,3]; cam_rot [B,F,3,3] (columns: right, up, forward); time
    [B,F] seconds.
    """

    pos: torch.Tensor
    vel: torch.Tensor
    rot: torch.Tensor
    active: torch.Tensor
    kind: torch.Tensor
    half: torch.Tensor
    colour: torch.Tensor
    screen: torch.Tensor
    cam_pos: torch.Tensor
    cam_rot: torch.Tensor
    time: torch.Tensor

    def frames(self, sl) -> Trajectory:
        return self.map(lambda t: t[:, sl])
