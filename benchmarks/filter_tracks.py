"""Made tracks with known truth, ways to filter them, and what is measured of a way.

Lag is the shift in time with which a filtered track lies best on the true one. Jitter is the step
from image to image at rest, which is what a robot trembles with; spread is how far the filtered
hand strays. All are root mean squares per axis.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from hand_perception.datatypes import DoubleArray
from hand_perception.pipeline import quaternions
from hand_perception.pipeline.one_euro import OneEuro, share, step_places, step_rotations
from hand_perception.pipeline.predict_ahead import FULL_SPEED_M_S, faded_share
from hand_perception.pipeline.smooth import VELOCITY_CUTOFF_HZ

#: Images that no figure is taken of.
SETTLED: Final = 30
SHIFTS_S: Final = np.arange(-0.03, 0.2, 0.0005)
#: A turning hand: radians per metre of the track that it follows.
TURN_PER_M: Final = np.radians(40) / 0.12
TURN_AXIS: Final = np.array([0.6, 0.64, 0.48])
_SECONDS: Final = 100.0

#: Places along a line, metres (N,), at times (N,).
Track = Callable[[DoubleArray], DoubleArray]
#: Measured (N, 3) places, or (N, 4) quaternions, and the time between two to filtered ones.
Way = Callable[[DoubleArray, float], DoubleArray]
LINE: Final = np.array([0.8, 0.36, 0.48])


def eased(share_of_way: DoubleArray) -> DoubleArray:
    """Go from 0 to 1 as hands do: with the least jerk."""
    way = np.clip(share_of_way, 0, 1)
    return way**3 * (10 - 15 * way + 6 * way * way)


def reach(time_s: DoubleArray) -> DoubleArray:
    """Go 0.4 m in 0.6 s, up to 1.25 m/s, rest, go back, rest."""
    phase = time_s % 2.4
    return 0.4 * (eased(phase / 0.6) - eased((phase - 1.2) / 0.6))


def wave(time_s: DoubleArray) -> DoubleArray:
    """Swing 0.12 m each way once a second, up to 0.75 m/s."""
    return 0.12 * np.sin(2 * np.pi * time_s)


def creep(time_s: DoubleArray) -> DoubleArray:
    """Move slowly to and fro, 0.05 m/s."""
    return np.abs(time_s % 8.0 - 4.0) * 0.05


def rest(time_s: DoubleArray) -> DoubleArray:
    """Hold still."""
    return np.zeros_like(time_s)


MOVING: Final[Mapping[str, Track]] = {'reach': reach, 'wave': wave, 'creep': creep}


def one_euro(to: OneEuro) -> Way:
    """Filter as the pipeline does: places, or turns where there are four columns."""

    def run(measured: DoubleArray, period_s: float) -> DoubleArray:
        step = step_places if measured.shape[1] == 3 else step_rotations
        value, velocity, found = measured[0], np.zeros(3), []
        for new in measured:
            value, velocity = step(value, velocity, new, seconds=period_s, to=to)
            found.append(value)
        return np.stack(found)

    return run


def low_pass(cutoff_hz: float) -> Way:
    """Filter with a fixed cutoff."""
    return one_euro(OneEuro(min_cutoff_hz=cutoff_hz, beta=0.0))


def mean(alpha: float) -> Way:
    """Take a share of the new value each time, whatever the time between."""

    def run(measured: DoubleArray, period_s: float) -> DoubleArray:
        return low_pass(alpha / (1 - alpha) / (2 * np.pi * period_s))(measured, period_s)

    return run


def measure_places(way: Way, *, rate_hz: float, noise_m: float) -> dict[str, float]:
    """Give lag (ms) and error (mm) of moving hands, jitter and spread (mm) of one at rest."""
    rng = np.random.default_rng(0)
    times = np.arange(round(_SECONDS * rate_hz)) / rate_hz
    figures = {}
    for name, track in MOVING.items():
        found = way(_places(track, times, rng, noise_m), 1 / rate_hz)[SETTLED:] @ LINE
        figures[f'{name} lag ms'] = best_shift_ms(found, track, times[SETTLED:])
        figures[f'{name} error mm'] = 1e3 * rms(found - track(times[SETTLED:]))
    still = way(_places(rest, times, rng, noise_m), 1 / rate_hz)[SETTLED:]
    figures['jitter mm'] = 1e3 * rms(np.diff(still, axis=0))
    figures['spread mm'] = 1e3 * rms(still)
    return figures


def measure_turns(way: Way, *, rate_hz: float, noise_rad: float) -> dict[str, float]:
    """Give the same of hands that turn on the spot: ms and degrees."""
    rng = np.random.default_rng(1)
    times = np.arange(round(_SECONDS * rate_hz)) / rate_hz

    def measured(track: Track) -> DoubleArray:
        angles = TURN_PER_M * track(times)
        noise = noise_rad * rng.normal(size=(len(times), 3))
        return quaternions.turned(quaternions.from_axis_angle(angles[:, None] * TURN_AXIS), noise)

    figures = {}
    for name, track in MOVING.items():
        found = quaternions.to_axis_angle(way(measured(track), 1 / rate_hz)[SETTLED:])
        figures[f'{name} lag ms'] = best_shift_ms(
            found @ TURN_AXIS / TURN_PER_M, track, times[SETTLED:]
        )
    still = way(measured(rest), 1 / rate_hz)[SETTLED:]
    steps = quaternions.turn_between(still[:-1], still[1:])
    figures['jitter deg'] = float(np.degrees(rms(steps)))
    figures['spread deg'] = float(np.degrees(rms(quaternions.to_axis_angle(still))))
    return figures


def measure_ahead(
    way: Way, *, fade: bool | None, rate_hz: float, noise_m: float, ahead_s: float
) -> dict[str, float]:
    """Give the error of a moving hand after a delay (mm, in space) and the jitter at rest (mm).

    Args:
        way: filters the places.
        fade: look ahead with the lead fading out for slow hands, or without; None: do not.
        rate_hz: images per second.
        noise_m: of the measured places.
        ahead_s: the delay.
    """
    rng = np.random.default_rng(2)
    times = np.arange(round(_SECONDS * rate_hz)) / rate_hz
    figures = {}
    for name, track in {**MOVING, 'rest': rest}.items():
        measured = _places(track, times, rng, noise_m)
        seen = way(measured, 1 / rate_hz)
        if fade is not None:
            seen = seen + ahead_s * _velocities(measured, rate_hz, fade=fade)
        if name == 'rest':
            figures['jitter mm'] = 1e3 * rms(np.diff(seen[SETTLED:], axis=0))
        else:
            true = track(times[SETTLED:] + ahead_s)[:, None] * LINE
            figures[f'{name} mm'] = 1e3 * rms(np.linalg.norm(seen[SETTLED:] - true, axis=1))
    return figures


def _velocities(measured: DoubleArray, rate_hz: float, *, fade: bool) -> DoubleArray:
    velocity, alpha, found = np.zeros(3), share(VELOCITY_CUTOFF_HZ, 1 / rate_hz), []
    for moved in np.diff(measured, axis=0, prepend=measured[:1]) * rate_hz:
        velocity = velocity + alpha * (moved - velocity)
        speed = float(np.linalg.norm(velocity))
        found.append(velocity * (faded_share(speed, FULL_SPEED_M_S) if fade else 1.0))
    return np.stack(found)


def best_shift_ms(found: DoubleArray, track: Track, times: DoubleArray) -> float:
    """Say how late (N,) places along the line are, by the shift that suits them best."""
    late = [rms(found - track(times - shift)) for shift in SHIFTS_S]
    return 1e3 * float(SHIFTS_S[int(np.argmin(late))])


def rms(values: DoubleArray) -> float:
    """Give the root mean square of all numbers."""
    return float(np.sqrt(np.mean(np.square(values))))


def _places(
    track: Track, times: DoubleArray, rng: np.random.Generator, noise_m: float
) -> DoubleArray:
    return track(times)[:, None] * LINE + noise_m * rng.normal(size=(len(times), 3))
