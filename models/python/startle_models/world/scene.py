"""Random scenes: what a lawful video starts from."""

from __future__ import annotations

import dataclasses

import torch

from .bank import COUNT
from .camera import sample_camera
from .looks import object_colours, sample_look, screens
from .sampling import Rng
from .state import HELD_OUT_SHAPES, MORE_SHAPES, N_OBJECTS, SPHERE, TRAINING_SHAPES, Batch, Look
from .stories import free_motion, linger, pendulums, stages

WIDE_LANES = ((6.5, 8.6, 10.7), 0.95)  # depths z of the objects' lanes and half their clear depth, world units
NARROW_LANES = ((6.2, 7.35, 8.5, 9.65, 10.8), 0.5)
ROUND_SHARE = 0.75  # footprint of other shapes in units of a sphere's radius, at least


VARIED = {"variety": 0.7, "textured": 0.85, "pattern": 0.65}
"""Surfaces and shapes of many kinds, as a change of any SceneSpec."""


@dataclasses.dataclass(frozen=True)
class SceneSpec:
    """Ranges of the sampled scenes; all are shares of scenes (or of objects, screens) unless said otherwise.

    objects: weights of 0, 1, .. 5 objects. size: of objects, in shares of the picture's width. spheres: the other
    objects have any other shape. pattern: share of textured objects. stages: weights of what the first object
    does: free, on a ledge, on a ramp, against a block, into another object; second_stage: share of scenes in which
    the third object also has a ledge, ramp or block. airborne, resting, entering, tumbling, hung: shares of the free
    objects. depth: share of single free objects that also move in depth. gravity: units/s^2. noise, blur, drift:
    upper ends, grey levels in [0, 1], share of neighbours, share of the exposure. shutter: share with motion blur.
    view: tangent of half the horizontal field of view. camera_height, aim: heights of the camera and of the point that
    it looks at, units. light_height: of the lights over the horizon, radians. ambient: light from everywhere.
    held_out: shapes and textures are those that training never shows. variety: share of textured surfaces whose texture
    is a tile of the bank, and of objects that are not spheres with more shapes; tiles: the range of the bank's tiles.
    panels: share of the screens that are low and tilted, so that things pass above and partly behind them. linger: share of
    scenes in which the first object passes slowly behind a wide screen, out of sight for up to 3 s. unseen: seconds for
    which the object of a hidden violation is out of sight.
    """

    objects: tuple[float, ...] = (0.03, 0.25, 0.27, 0.22, 0.13, 0.10)
    size: tuple[float, float] = (0.04, 0.25)
    spheres: float = 0.4
    textured: float = 0.7
    pattern: float = 0.45
    screens: float = 0.4
    moving_screens: float = 0.35
    more_lights: float = 0.4
    side_walls: float = 0.3
    camera_moves: float = 0.2
    shake: float = 0.15
    stages: tuple[float, ...] = (0.42, 0.14, 0.13, 0.13, 0.18)
    second_stage: float = 0.25
    hung: float = 0.12
    airborne: float = 0.4
    resting: float = 0.15
    entering: float = 0.35
    tumbling: float = 0.5
    depth: float = 0.4
    gravity: tuple[float, float] = (3.0, 9.0)
    noise: float = 0.015
    blur: float = 0.12
    drift: float = 0.02
    shutter: float = 0.4
    view: tuple[float, float] = (0.46, 0.54)
    camera_height: tuple[float, float] = (1.4, 2.6)
    aim: tuple[float, float] = (1.1, 1.7)
    light_height: tuple[float, float] = (0.6, 1.3)
    ambient: tuple[float, float] = (0.3, 0.5)
    held_out: bool = False
    variety: float = 0.0
    tiles: tuple[int, int] = (0, COUNT)
    panels: float = 0.0
    linger: float = 0.0
    unseen: tuple[float, float] = (0.25, 1.6)

    @classmethod
    def plain(cls) -> SceneSpec:
        """One or two objects on plain surfaces before a fixed camera."""
        return cls(
            objects=(0.03, 0.6, 0.37, 0.0, 0.0, 0.0), size=(0.09, 0.2), spheres=0.7, textured=0.0, pattern=0.0,
            screens=0.2, moving_screens=0.0, more_lights=0.0, side_walls=0.0, camera_moves=0.0, shake=0.0,
            stages=(0.85, 0.0, 0.0, 0.0, 0.15), second_stage=0.0, hung=0.0, tumbling=0.0, depth=0.0,
            gravity=(3.0, 6.0), noise=0.006, blur=0.06, drift=0.0, shutter=0.0,
        )

    @classmethod
    def wide(cls, **change) -> SceneSpec:
        """More cameras, lights and sizes than the benchmark has: low and tall cameras, strong perspective, long shadows,
        objects down to 3 % of the picture's width."""
        wider = {
            "objects": (0.03, 0.2, 0.25, 0.24, 0.16, 0.12), "size": (0.03, 0.27), "noise": 0.02, "blur": 0.3,
            "view": (0.36, 0.7), "camera_height": (0.9, 4.2), "aim": (0.7, 2.0), "light_height": (0.4, 1.4),
            "ambient": (0.2, 0.6),
        }
        return cls(**(wider | change))

    @classmethod
    def curriculum(cls, p: float) -> SceneSpec:
        """From plain() at p = 0 to the full variety at p = 1."""
        a, b = dataclasses.asdict(cls.plain()), dataclasses.asdict(cls())

        def mix(x, y):
            if isinstance(x, tuple):
                return tuple(mix(i, j) for i, j in zip(x, y))
            return x if isinstance(x, bool) else x + (y - x) * min(max(p, 0.0), 1.0)
        return cls(**{k: mix(a[k], b[k]) for k in a})


@dataclasses.dataclass
class Scene(Batch):
    """A batch of B scenes: look, state at time 0, and physical parameters; N objects, K screens.

    look; active [B,N] bool; kind [B,N] shape; half [B,N,3] half extents; colour [B,N,2,3]; yaw [B,N] turn about
    the vertical at first; pos, vel [B,N,3]; axis [B,N,3] unit axis, turn [B,N] angle at first and rate [B,N] rad/s of
    the rotation in the air (spheres turn about the axis on which they roll, hung objects with their string);
    rolls [B,N] bool: rolls without slipping on the ground; ease [B,N]: share of the force along a slope that speeds
    up the object (rolling solid sphere 5/7); restitution, friction [B,N]; gravity [B]; collide [B,N,N] bool: pairs
    i < j that may touch; solid [B,N] long: the one solid that the object may touch, or -1;
    screen_place [B,K,3]: x, y of the lower edge, z at first; screen_move [B,K,5] = travel (units upwards), start of
    the move, start of the move back, duration of a move, period (s) after which all begins anew;
    cam_place, cam_angles, cam_pan, cam_dolly [B,3], cam_shake [B,3,3]: see camera.py.
    An object hangs on a string where look.hung, from look.pivot to pos.
    """

    look: Look
    active: torch.Tensor
    kind: torch.Tensor
    half: torch.Tensor
    colour: torch.Tensor
    yaw: torch.Tensor
    pos: torch.Tensor
    vel: torch.Tensor
    axis: torch.Tensor
    turn: torch.Tensor
    rate: torch.Tensor
    rolls: torch.Tensor
    ease: torch.Tensor
    restitution: torch.Tensor
    friction: torch.Tensor
    gravity: torch.Tensor
    collide: torch.Tensor
    solid: torch.Tensor
    screen_place: torch.Tensor
    screen_move: torch.Tensor
    cam_place: torch.Tensor
    cam_angles: torch.Tensor
    cam_pan: torch.Tensor
    cam_dolly: torch.Tensor
    cam_shake: torch.Tensor


def _lanes(b, r: Rng, count):
    """Depth z [B,N] of a lane of its own for each object, and half of its clear depth [B]."""
    (wide, wide_clear), (narrow, narrow_clear) = WIDE_LANES, NARROW_LANES
    many = count > len(wide)
    order = torch.rand(b, N_OBJECTS, generator=r.g).argsort(-1)
    few = torch.rand(b, len(wide), generator=r.g).argsort(-1)
    few = torch.cat([few, few[:, :1].expand(-1, N_OBJECTS - len(wide))], 1)
    z = torch.where(many[:, None], torch.tensor(narrow)[order], torch.tensor(wide)[few])
    return z, torch.where(many, narrow_clear, wide_clear)


def _bodies(b, r: Rng, spec, z, clear, tan):
    """Shapes [B,N], half extents [B,N,3] and whether round spheres [B,N]: log-uniform sizes in the picture."""
    n = N_OBJECTS
    others = HELD_OUT_SHAPES if spec.held_out else tuple(s for s in TRAINING_SHAPES if s != SPHERE)
    sphere = r.chance(0.0 if spec.held_out else spec.spheres, b, n)
    kind = r.pick(others, b, n)
    if spec.variety:
        kind = torch.where(r.chance(0.5 * spec.variety, b, n), r.pick(MORE_SHAPES, b, n), kind)
    kind = torch.where(sphere, SPHERE, kind)
    low, high = spec.size
    share = low * (high / low) ** r.uniform(0, 1, b, n)
    radius = (share * z * tan[:, None]).minimum(0.98 * clear[:, None])
    half = radius[..., None] * r.uniform(ROUND_SHARE, 1.0, b, n, 3)
    half[..., 2] = torch.where((r.chance(0.5, b, n)) | (kind == SPHERE), half[..., 0], half[..., 2])
    foot = half[..., [0, 2]].norm(dim=-1)
    half[..., [0, 2]] *= (0.98 * clear[:, None] / foot).clamp(max=1)[..., None]
    half = torch.where(sphere[..., None], radius[..., None], half)
    return kind, half, sphere


def sample_scenes(batch: int, seconds: float, generator: torch.Generator, spec: SceneSpec | None = None) -> Scene:
    """Sample `batch` lawful scenes for videos of about `seconds`; all randomness from `generator`, on the CPU."""
    spec = spec or SceneSpec()
    r, b, n = Rng(generator), batch, N_OBJECTS
    place, angles, pan, dolly, shake, moves = sample_camera(b, r, spec, seconds)
    screen_half, screen_tilt, screen_on, screen_place, screen_move = screens(b, r, spec, seconds)
    look = sample_look(b, r, spec, screen_half, screen_tilt, screen_on, moves)
    count = r.choice(list(spec.objects), b)
    active = torch.arange(n)[None] < count[:, None]
    z, clear = _lanes(b, r, count)
    kind, half, sphere = _bodies(b, r, spec, z, clear, look.cam_tan[:, 0])
    zero = torch.zeros(b, n)
    axis = torch.nn.functional.normalize(torch.randn(b, n, 3, generator=generator), dim=-1)
    scene = Scene(
        look, active, kind, half, object_colours(r, b, n), r.uniform(0, 6.28, b, n), torch.stack([zero, zero, z], -1),
        torch.zeros(b, n, 3), axis, zero, zero.clone(), sphere, torch.where(sphere, 5 / 7, 1.0),
        torch.where(sphere, r.uniform(0.35, 0.85, b, n), r.uniform(0.0, 0.3, b, n)),
        torch.where(sphere, r.uniform(0.0, 0.04, b, n), r.uniform(0.02, 0.12, b, n)),
        r.uniform(*spec.gravity, b), torch.zeros(b, n, n, dtype=torch.bool), torch.full((b, n), -1),
        screen_place, screen_move, place, angles, pan, dolly, shake,
    )
    free_motion(scene, r, spec, seconds, count == 1)
    lingers = linger(scene, r, spec, seconds)
    stages(scene, r, spec, seconds, clear, lingers)
    pendulums(scene, r, spec, lingers)
    return scene
