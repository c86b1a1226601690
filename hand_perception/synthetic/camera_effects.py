"""What a real camera does to light: exposure time, gain that steps, photon noise, a bent lens."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from hand_perception.datatypes import Camera, DoubleArray, FloatArray, ImageArray
from hand_perception.errors import ConfigError
from hand_perception.synthetic.textures import srgb_from_linear

#: Between two pictures that are averaged, things move by about this much, pixels: less than the
#: lens and the pixel blur anyway.
_STEP_PX: Final = 1.5
_MAX_STEPS: Final = 16
#: Blur of a small lens, pixels at 640 x 480.
_LENS_BLUR_PX: Final = 0.45
#: Steps that find the ray of a pixel; each makes the error of a wide lens 3 times smaller.
_LENS_STEPS: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class GainStep:
    """From a time on, the camera makes light brighter or darker.

    Attributes:
        time_s: when.
        gain: factor on light; noise grows with it.
    """

    time_s: float
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraEffects:
    """What a camera adds to a picture. The defaults add nothing.

    Attributes:
        exposure_s: light is gathered from half of it before the image's stamp until half after.
        shot_noise: standard deviation of photon noise at full brightness, 8-bit steps.
        gain_steps: in order of time, from 1 before the first one.
        distortion: ``plumb_bob`` coefficients k1, k2, p1, p2, k3; empty for none.
    """

    exposure_s: float = 0.0
    shot_noise: float = 0.0
    gain_steps: tuple[GainStep, ...] = ()
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse cameras that cannot be."""
        if self.exposure_s < 0 or self.shot_noise < 0:
            raise ConfigError(
                'exposure_s and shot_noise must be 0 or more, got '
                f'{self.exposure_s} and {self.shot_noise}'
            )
        times = [step.time_s for step in self.gain_steps]
        if times != sorted(times) or any(step.gain <= 0 for step in self.gain_steps):
            raise ConfigError('gain_steps must be in order of time, with gains above 0')
        if len(self.distortion) not in (0, 5):
            raise ConfigError(
                f'distortion takes 5 coefficients (k1 k2 p1 p2 k3), got {len(self.distortion)}'
            )

    def gain_at(self, time_s: float) -> float:
        """Give the factor on light at a time."""
        passed = [step.gain for step in self.gain_steps if step.time_s <= time_s]
        return passed[-1] if passed else 1.0

    def sub_times(self, time_s: float, moved_px: float) -> DoubleArray:
        """Say at which moments to take the pictures that make up one image.

        Args:
            time_s: stamp of the image, the middle of its exposure.
            moved_px: how far anything moves on the image during the exposure.
        """
        count = int(np.clip(np.ceil(moved_px / _STEP_PX), 1, _MAX_STEPS))
        return time_s + self.exposure_s * ((np.arange(count) + 0.5) / count - 0.5)


def photograph(
    light: FloatArray,
    *,
    noise_sigma: float,
    effects: CameraEffects | None,
    time_s: float,
    seed: int,
) -> ImageArray:
    """Turn light into a picture: lens blur, gain, gamma, noise, 8 bits.

    Args:
        light: (H, W, 3) red, green, blue.
        noise_sigma: standard deviation of noise, 8-bit steps.
        effects: of the camera; None for a perfect one.
        time_s: of the image.
        seed: of the noise.

    Returns:
        (H, W, 3) blue-green-red.
    """
    blurred = cv2.GaussianBlur(light, (0, 0), _LENS_BLUR_PX * light.shape[0] / 480)
    gain = 1.0 if effects is None else effects.gain_at(time_s)
    if gain != 1.0:
        blurred *= gain
    values = srgb_from_linear(blurred)
    rng = np.random.default_rng([seed, round(time_s * 1e6)])
    if noise_sigma > 0:
        values += rng.normal(0, noise_sigma * gain, values.shape).astype(np.float32)
    if effects is not None and effects.shot_noise > 0:
        sigma = effects.shot_noise * np.sqrt(gain * np.clip(values, 0, 255) / 255)
        values += sigma * rng.standard_normal(values.shape, np.float32)
    rounded: ImageArray = np.clip(np.rint(values[..., ::-1]), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(rounded)


class Lens:
    """Bends what a pinhole camera sees into what a real lens shows (``plumb_bob``)."""

    def __init__(self, camera: Camera) -> None:
        """Find out which place of a pinhole image each pixel of the real one shows.

        Args:
            camera: the real one; focal lengths alike, with distortion.
        """
        self.camera = camera
        distortion = np.array(camera.distortion, np.float64)
        columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
        bent = np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy], -1)
        rays = bent.copy()
        for _ in range(_LENS_STEPS):
            rays += bent - distort(rays, distortion)
        low = np.floor(rays.reshape(-1, 2).min(0) * camera.fx).astype(int) - 2
        high = np.ceil(rays.reshape(-1, 2).max(0) * camera.fx).astype(int) + 2
        width, height = (high - low + 1).tolist()
        #: The camera to draw with: the same focal length, larger where the lens needs more.
        self.pinhole = Camera(
            width=width, height=height, fx=camera.fx, fy=camera.fy,
            cx=float(-low[0]), cy=float(-low[1]),
        )  # fmt: skip
        self._map = (rays * camera.fx - low).astype(np.float32)

    def bend(self, light: FloatArray) -> FloatArray:
        """Bend (H', W', 3) light of the pinhole camera into (H, W, 3) of the real one."""
        return cv2.remap(light, self._map, None, cv2.INTER_LINEAR)

    def bend_depth(self, depth_m: FloatArray) -> FloatArray:
        """Bend (H', W') distances along the viewing axis, without mixing neighbours."""
        return cv2.remap(depth_m, self._map, None, cv2.INTER_NEAREST)


def distort(rays: DoubleArray, coefficients: DoubleArray) -> DoubleArray:
    """Bend (..., 2) rays x/z, y/z by ``plumb_bob`` coefficients k1, k2, p1, p2, k3."""
    k1, k2, p1, p2, k3 = coefficients
    x, y = rays[..., 0], rays[..., 1]
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
            y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
        ],
        -1,
    )
