"""Random scenes: camera, room, lights, screens and the initial state of the objects."""

from __future__ import annotations

import dataclasses
import math

import torch

N_OBJECTS = 3
N_SCREENS = 2
SPHERE, BOX = 0, 1
PLAIN, CHECKER, STRIPES, NOISE = 0, 1, 2, 3
LANES = (6.4, 8.1, 9.8)  # depth z of the object lanes, world units
ASPECT = 9 / 16


@dataclasses.dataclass(frozen=True)
class SceneSpec:
    """Ranges of the sampled scenes.

    objects: probability of 0, 1, 2, 3 objects. textured / screens / pattern: share of scenes with
    textured surfaces, with static screens, share of objects with a two-tone pattern.
    radius: world units. gravity: units/s^2. noise: sensor noise sigma in [0, 1] grey levels, upper end.
    """

    objects: tuple[float, ...] = (0.04, 0.44, 0.36, 0.16)
    textured: float = 0.5
    screens: float = 0.35
    pattern: float = 0.3
    boxes: float = 0.4
    collisions: float = 0.3
    radius: tuple[float, float] = (0.42, 0.85)
    gravity: tuple[float, float] = (3.0, 6.0)
    noise: float = 0.012
    airborne: float = 0.45
    resting: float = 0.12
    entering: float = 0.35


@dataclasses.dataclass
class Scene:
    """A batch of B scenes. Tensors lead with B; N objects, K screens.

    cam_pos [B,3]; cam_rot [B,3,3] (columns: right, up, forward in world axes); cam_tan [B,2] tangent
    of half the horizontal and vertical field of view; floor / wall: texture kind [B], colours [B,2,3]
    in [0,1], params [B,4] = scale, angle, offset u, offset v; wall_z [B]; light [B,2,3] unit vectors
    towards the lights, power [B,2], ambient [B]; screens: box [B,K,4] = x centre, z, half width, height,
    colour [B,K,3], on [B,K]; objects: kind [B,N], half [B,N,3] half extents (sphere: radius three
    times), colour [B,N,2,3], pattern [B,N] (0 none, else stripes per unit), yaw [B,N], active [B,N],
    pos, vel [B,N,3], restitution, friction [B,N]; gravity [B]; collide [B,N,N] pairs that may touch;
    noise, gain_amp, gain_freq, gain_phase, blur [B]: the sensor.
    """

    cam_pos: torch.Tensor
    cam_rot: torch.Tensor
    cam_tan: torch.Tensor
    floor_kind: torch.Tensor
    floor_colour: torch.Tensor
    floor_params: torch.Tensor
    wall_kind: torch.Tensor
    wall_colour: torch.Tensor
    wall_params: torch.Tensor
    wall_z: torch.Tensor
    light: torch.Tensor
    power: torch.Tensor
    ambient: torch.Tensor
    screen_box: torch.Tensor
    screen_colour: torch.Tensor
    screen_on: torch.Tensor
    kind: torch.Tensor
    half: torch.Tensor
    colour: torch.Tensor
    pattern: torch.Tensor
    yaw: torch.Tensor
    active: torch.Tensor
    pos: torch.Tensor
    vel: torch.Tensor
    restitution: torch.Tensor
    friction: torch.Tensor
    gravity: torch.Tensor
    collide: torch.Tensor
    noise: torch.Tensor
    gain_amp: torch.Tensor
    gain_freq: torch.Tensor
    gain_phase: torch.Tensor
    blur: torch.Tensor

    def map(self, fn) -> "Scene":
        return Scene(**{f.name: fn(getattr(self, f.name)) for f in dataclasses.fields(self)})

    def to(self, device) -> "Scene":
        return self.map(lambda t: t.to(device))

    def __getitem__(self, index) -> "Scene":
        return self.map(lambda t: t[index])

    def __len__(self) -> int:
        return self.kind.shape[0]

    def clone(self) -> "Scene":
        return self.map(torch.clone)


class Rng:
    """Thin sampling helper over a CPU torch.Generator."""

    def __init__(self, generator: torch.Generator):
        self.g = generator

    def uniform(self, lo, hi, *shape):
        return lo + (hi - lo) * torch.rand(*shape, generator=self.g)

    def chance(self, p, *shape):
        return torch.rand(*shape, generator=self.g) < p

    def choice(self, weights, *shape):
        flat = torch.multinomial(torch.tensor(weights), math.prod(shape), True, generator=self.g)
        return flat.reshape(shape)

    def sign(self, *shape):
        return torch.where(self.chance(0.5, *shape), 1.0, -1.0)


def hsv(h, s, v):
    """HSV in [0,1] to RGB [...,3]."""
    k = (torch.tensor([5.0, 3.0, 1.0], device=h.device) + h[..., None] * 6) % 6
    return v[..., None] * (1 - s[..., None] * torch.clamp(torch.minimum(k, 4 - k), 0, 1))


def _camera(b, r: Rng):
    pos = torch.stack([r.uniform(-0.3, 0.3, b), r.uniform(1.4, 2.6, b), r.uniform(-0.4, 0.4, b)], -1)
    # aim so that the floor meets the objects' lanes in the lower third of the picture
    pitch = torch.atan2(pos[:, 1] - r.uniform(1.1, 1.7, b), torch.full((b,), 8.0))
    yaw, roll = r.uniform(-0.04, 0.04, b), r.uniform(-0.015, 0.015, b)
    zero = torch.zeros(b)
    fwd = torch.stack([yaw.sin() * pitch.cos(), -pitch.sin(), yaw.cos() * pitch.cos()], -1)
    right = torch.stack([yaw.cos(), zero, -yaw.sin()], -1)
    up = torch.linalg.cross(fwd, right)
    c, s = roll.cos()[:, None], roll.sin()[:, None]
    rot = torch.stack([c * right + s * up, c * up - s * right, fwd], -1)
    tan = r.uniform(0.46, 0.54, b)
    return pos, rot, torch.stack([tan, tan * ASPECT], -1)


def _surface(b, r: Rng, textured):
    base = hsv(r.uniform(0, 1, b), r.uniform(0, 0.45, b), r.uniform(0.25, 0.9, b))
    contrast = r.uniform(0.08, 0.35, b, 1) * r.sign(b, 1)
    other = (base + contrast + r.uniform(-0.05, 0.05, b, 3)).clamp(0.05, 1)
    kind = torch.where(textured, r.choice([0.15, 0.3, 0.25, 0.3], b), torch.zeros(b, dtype=torch.long))
    params = torch.stack([r.uniform(0.5, 1.6, b), r.uniform(0, math.pi, b),
                          r.uniform(0, 50, b), r.uniform(0, 50, b)], -1)
    return kind, torch.stack([base, other], 1), params


def _lights(b, r: Rng):
    az = r.uniform(-2.6, 2.6, b, 2)  # 0 = from the camera's side
    el = r.uniform(0.6, 1.3, b, 2)
    light = torch.stack([az.sin() * el.cos(), el.sin(), -az.cos() * el.cos()], -1)
    power = torch.stack([r.uniform(0.45, 0.75, b), r.uniform(0, 0.25, b) * r.chance(0.5, b)], -1)
    return light, power, r.uniform(0.3, 0.5, b)


def _screens(b, r: Rng, on):
    two = on & r.chance(0.25, b)
    on = torch.stack([on, two], -1)
    half = r.uniform(0.6, 1.1, b, N_SCREENS)
    x = torch.stack([r.uniform(-1.6, 1.6, b), r.uniform(-1.6, 1.6, b)], -1)
    x[:, 1] = torch.where(x[:, 0] > 0, x[:, 0] - r.uniform(2.2, 3.0, b), x[:, 0] + r.uniform(2.2, 3.0, b))
    z = r.uniform(4.9, 5.3, b, N_SCREENS)
    height = r.uniform(1.1, 2.6, b, N_SCREENS)
    box = torch.stack([x, z, half, height], -1)
    shape = (b, N_SCREENS)
    return box, hsv(r.uniform(0, 1, *shape), r.uniform(0, 0.7, *shape), r.uniform(0.3, 0.95, *shape)), on


def _motion(b, n, r: Rng, spec: SceneSpec, z, half, kind, seconds, gravity):
    """Initial positions and velocities: rolling or sliding, airborne, resting, or entering by an edge."""
    reach = 0.5 * z  # half the width of the view at that depth
    resting = r.chance(spec.resting, b, n)
    airborne = r.chance(spec.airborne, b, n) & ~resting
    entering = r.chance(spec.entering, b, n) & ~resting
    side = r.sign(b, n)
    speed = torch.where(airborne, r.uniform(0.0, 2.6, b, n), r.uniform(0.7, 3.2, b, n))
    x_in = r.uniform(-0.75, 0.75, b, n) * reach
    delay = r.uniform(-0.2, 0.7, b, n) * seconds
    speed = torch.where(entering, speed.clamp(min=0.9), speed)
    x_edge = side * (reach + half[..., 0] + speed * delay.clamp(min=0))
    x = torch.where(entering, x_edge, x_in)
    vx = torch.where(entering, -side, torch.where(x_in.abs() > 0.4 * reach, -x_in.sign(), side)) * speed
    drop = r.uniform(0.5, 2.9, b, n)
    y = half[..., 1] + torch.where(airborne, drop, torch.zeros_like(drop))
    vy = torch.where(airborne, r.uniform(-0.6, 2.4, b, n), torch.zeros_like(drop))
    still = resting.float()
    vel = torch.stack([vx * (1 - still), vy, torch.zeros_like(vx)], -1)
    return torch.stack([x, y, z], -1), vel


def _collisions(b, r: Rng, spec, kind, pos, vel, active, half):
    """Put two rolling spheres into one lane, aimed at each other, in a share of the scenes."""
    hit = r.chance(spec.collisions, b) & active[:, 0] & active[:, 1]
    collide = torch.zeros(b, N_OBJECTS, N_OBJECTS, dtype=torch.bool)
    collide[:, 0, 1] = hit
    kind[:, :2] = torch.where(hit[:, None], SPHERE, kind[:, :2])
    half[:, :2] = torch.where(hit[:, None, None], half[:, :2, :1].expand(-1, -1, 3), half[:, :2])
    side, speed = r.sign(b), r.uniform(1.0, 2.8, b)
    still = r.chance(0.5, b)
    x0, x1 = side * r.uniform(2.0, 4.5, b), -side * r.uniform(0.0, 1.8, b)
    z = pos[:, 0, 2]
    p0 = torch.stack([x0, half[:, 0, 1], z], -1)
    p1 = torch.stack([x1, half[:, 1, 1], z], -1)
    zero = torch.zeros(b)
    v0 = torch.stack([-side * speed, zero, zero], -1)
    v1 = torch.stack([torch.where(still, zero, side * r.uniform(0.3, 1.5, b)), zero, zero], -1)
    pos[:, :2] = torch.where(hit[:, None, None], torch.stack([p0, p1], 1), pos[:, :2])
    vel[:, :2] = torch.where(hit[:, None, None], torch.stack([v0, v1], 1), vel[:, :2])
    return collide


def sample_scenes(
    batch: int, seconds: float, generator: torch.Generator, spec: SceneSpec | None = None
) -> Scene:
    """Sample `batch` lawful scenes for videos of about `seconds`; all randomness from `generator`."""
    spec = spec or SceneSpec()
    r, b, n = Rng(generator), batch, N_OBJECTS
    cam_pos, cam_rot, cam_tan = _camera(b, r)
    textured = r.chance(spec.textured, b)
    floor, wall = _surface(b, r, textured), _surface(b, r, textured & r.chance(0.6, b))
    light, power, ambient = _lights(b, r)
    screen_box, screen_colour, screen_on = _screens(b, r, r.chance(spec.screens, b))
    count = r.choice(list(spec.objects), b)
    active = torch.arange(n)[None] < count[:, None]
    kind = torch.where(r.chance(spec.boxes, b, n), BOX, SPHERE)
    radius = r.uniform(spec.radius[0], spec.radius[1], b, n, 1).expand(b, n, 3)
    extent = radius * torch.where((kind == BOX)[..., None], r.uniform(0.65, 1.0, b, n, 3), torch.ones(b, n, 3))
    half = extent.clone()
    lane = torch.rand(b, n, generator=generator).argsort(-1)
    z = torch.tensor(LANES)[lane] + r.uniform(-0.1, 0.1, b, n)
    gravity = r.uniform(spec.gravity[0], spec.gravity[1], b)
    pos, vel = _motion(b, n, r, spec, z, half, kind, seconds, gravity)
    collide = _collisions(b, r, spec, kind, pos, vel, active, half)
    c0 = hsv(r.uniform(0, 1, b, n), r.uniform(0.25, 1, b, n), r.uniform(0.25, 1, b, n))
    c1 = hsv(r.uniform(0, 1, b, n), r.uniform(0, 1, b, n), r.uniform(0.15, 1, b, n))
    is_box = (kind == BOX)
    return Scene(
        cam_pos, cam_rot, cam_tan, *floor, *wall, r.uniform(12.5, 17.0, b), light, power, ambient,
        screen_box, screen_colour, screen_on, kind, half, torch.stack([c0, c1], 2),
        torch.where(r.chance(spec.pattern, b, n), r.uniform(0.8, 1.6, b, n), torch.zeros(b, n)),
        r.uniform(0, math.pi / 2, b, n), active, pos, vel,
        torch.where(is_box, r.uniform(0.0, 0.3, b, n), r.uniform(0.35, 0.85, b, n)),
        torch.where(is_box, r.uniform(0.02, 0.12, b, n), r.uniform(0.0, 0.04, b, n)),
        gravity, collide, r.uniform(0.0, spec.noise, b), r.uniform(0, 0.02, b), r.uniform(0.1, 0.6, b),
        r.uniform(0, 2 * math.pi, b), r.uniform(0, 0.12, b),
    )
