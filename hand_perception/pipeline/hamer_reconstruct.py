"""HaMeR's hands in the true camera: crop, network, shape, place; all hands of an image at once.

Left hands are mirrored in the crop and mirrored back by ``models.hamer.mirroring``.
"""

import copy
import dataclasses
import functools
import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from hand_perception import geometry
from hand_perception.boxes import box_arrays, box_from_keypoints, check_box
from hand_perception.config import PipelineSettings
from hand_perception.datatypes import (
    Box,
    Camera,
    DepthSource,
    DoubleArray,
    FloatArray,
    Frame,
    HamerDetails,
    Hand,
    HandLandmarks,
)
from hand_perception.errors import BoxError
from hand_perception.models.hamer.cameras import (
    keypoints_in_image,
    official_camera,
    place_hands,
)
from hand_perception.models.hamer.crop_geometry import square_boxes
from hand_perception.models.hamer.crops import cut_crops
from hand_perception.models.hamer.device_crops import plan_crops, sample_crops
from hand_perception.models.hamer.engine import HamerEngine
from hand_perception.models.hamer.mirroring import CropHands, mirror_left
from hand_perception.models.hamer.network import HamerNetwork
from hand_perception.models.hamer.packing import HamerHands
from hand_perception.models.hand_model import HandModel
from hand_perception.models.skinning import LinearBlendSkinning
from hand_perception.pipeline.confidence import (
    hand_confidence,
    keypoint_agreement,
    motion_continuity,
)
from hand_perception.pipeline.hands import make_hand, parameters_from_rotations
from hand_perception.pipeline.lift import (
    monocular_depth,
    normalised_from_pixels,
    scale_from_depth,
)
from hand_perception.pipeline.reconstruct import LandmarkReconstructor
from hand_perception.pipeline.shape import ShapeMemory
from hand_perception.pipeline.track import Track

_LOG = logging.getLogger(__name__)

#: Images of a hand count for its shape from this confidence.
_SHAPE_CONFIDENCE: Final = 0.5


class HamerReconstructor:
    """Runs HaMeR on the boxes of tracked hands."""

    backend_name = 'hamer'
    takes_boxes = True

    def __init__(
        self, engine: HamerEngine, network: HamerNetwork, settings: PipelineSettings
    ) -> None:
        """Take a loaded network; :meth:`load` is the usual way."""
        arrays = network.hand.arrays
        # Held shapes pose the hand again: some microseconds on the CPU, less than a way to a GPU.
        skinning = LinearBlendSkinning(arrays, device='cpu')
        self.model = HandModel(
            name=network.hand.name, arrays=arrays, skinning=skinning, device='cpu'
        )
        self._engine = engine
        self._network = network
        self._settings = settings
        self._sides = LandmarkReconstructor.load(hand_model='default', mano_dir='', hand_scale=1.0)

    @classmethod
    def load(cls, settings: PipelineSettings) -> 'HamerReconstructor':
        """Load the user's files and warm the network up.

        Raises:
            WeightsError: files are missing, damaged, unsafe, or do not belong together.
            ConfigError: device or precision are not there, or one hand does not fit into memory.
        """
        network = HamerNetwork.load(
            settings.hamer_dir,
            mano_dir=settings.mano_dir,
            device=settings.device,
            precision=settings.precision,
            use_compile=settings.compile_backbone,
        )
        engine = HamerEngine(network)
        engine.warm_up()
        return cls(engine, network, settings)

    @property
    def device_name(self) -> str:
        """Device and precision of the network, and what its memory limits."""
        return self._engine.device_name

    def with_settings(self, settings: PipelineSettings) -> 'HamerReconstructor':
        """Return a reconstructor with other live settings that shares the network."""
        other = copy.copy(self)
        other._settings = settings
        return other

    def side_evidence(self, camera: Camera, hands: Sequence[HandLandmarks]) -> list[float]:
        """Say for each hand how much better a right hand fits its landmarks than a left one."""
        return self._sides.side_evidence(camera, hands)

    def __call__(
        self, frame: Frame, tracks: Sequence[Track], shapes: ShapeMemory
    ) -> tuple[Hand, ...]:
        """Reconstruct the tracked hands of one image, in the order of the tracks.

        Hands whose box holds no hand, or that fit nowhere in front of the camera, are left out.
        """
        seen = [(track, box) for track in tracks if (box := _usable_box(track, frame)) is not None]
        if not seen:
            shapes.forget_all_but([])
            return ()
        kept = [track for track, _ in seen]
        boxes, is_right = box_arrays([box for _, box in seen])
        result = self._run(frame, boxes, is_right)
        centers, sizes = square_boxes(boxes)
        hands = mirror_left(_crop_hands(result), is_right)
        pixels = keypoints_in_image(hands.pred_keypoints_2d, centers, sizes)
        confidence = [
            _confidence(track, points, frame.stamp_ns)
            for track, points in zip(kept, pixels, strict=True)
        ]
        image_size = (frame.image.shape[1], frame.image.shape[0])
        cam_t_full, focal = official_camera(hands.pred_cam, centers, sizes, image_size)
        details = [
            HamerDetails(
                pred_cam=hands.pred_cam[i],
                cam_t_full=cam_t_full[i],
                focal_full_px=float(focal[i]),
                rotations=hands.rotations[i],
            )
            for i in range(len(kept))
        ]
        if self._settings.official_camera:
            return self._in_official_camera(image_size, kept, hands, pixels, confidence, details)
        betas = shapes.step(
            [track.track_id for track in kept],
            hands.betas.astype(np.float64),
            [value >= _SHAPE_CONFIDENCE for value in confidence],
            hold_after=self._settings.hold_shape_after,
        )
        betas = betas + self.model.betas_for_scale(self._settings.hand_scale)
        return self._in_true_camera(frame, kept, result, hands, betas, pixels, confidence, details)

    def _run(self, frame: Frame, boxes: FloatArray, is_right: NDArray[np.bool_]) -> HamerHands:
        """Cut the crops where the network is, and run it."""
        if self._network.device.type == 'cpu':
            crops = cut_crops(frame.image, boxes, is_right, is_rgb=frame.is_rgb)
            return self._engine.run(crops.images_rgb)
        height, width = frame.image.shape[:2]
        plan = plan_crops(boxes, is_right, image_size=(width, height))
        window = plan.window
        region = np.ascontiguousarray(
            frame.image[window.y_min : window.y_max, window.x_min : window.x_max]
        )
        with torch.inference_mode():
            pixels = torch.from_numpy(region).to(self._network.device)
            sampled = sample_crops(pixels, plan.to(self._network.device))
            return self._engine.run(sampled if frame.is_rgb else sampled.flip(-1))

    def _in_true_camera(
        self,
        frame: Frame,
        tracks: Sequence[Track],
        result: HamerHands,
        hands: CropHands,
        betas: DoubleArray,
        pixels: DoubleArray,
        confidence: Sequence[float],
        details: Sequence[HamerDetails],
    ) -> tuple[Hand, ...]:
        """Pose the hands with their shapes and place them by true intrinsics, in metres."""
        is_right = np.array([track.is_right for track in tracks])
        posed = self._pose(result.rotations, betas, is_right)
        rays = functools.partial(normalised_from_pixels, frame.camera)
        placement = place_hands(posed.keypoints, pixels, rays)
        shift = np.zeros((len(tracks), 3))
        depths = [
            monocular_depth(frame.camera, float(z), size_ratio=self._settings.hand_scale_stddev)
            for z in placement.place(posed.keypoints)[:, 0, 2]
        ]
        if frame.depth_m is not None:
            vertices = placement.place(posed.vertices)
            middles = placement.place(posed.keypoints).mean(1)
            for i in range(len(tracks)):
                measured = scale_from_depth(frame.camera, frame.depth_m, vertices[i])
                if measured is not None:
                    scale, stddev = measured
                    betas[i] += self.model.betas_for_scale(scale)
                    middles[i] *= scale
                    depths[i] = (DepthSource.SENSOR, stddev)
            # A hand that is farther is larger by the same ratio, so that its projection stays.
            posed = self._pose(result.rotations, betas, is_right)
            shift = middles - placement.place(posed.keypoints).mean(1)
        vertices = placement.place(posed.vertices) + shift[:, None]
        keypoints = placement.place(posed.keypoints) + shift[:, None]
        orient = placement.turn(hands.rotations[:, 0])
        transl = placement.transl(self._roots(betas, is_right)) + shift
        return tuple(
            make_hand(
                frame.camera,
                track,
                vertices=vertices[i],
                keypoints=keypoints[i],
                parameters=parameters_from_rotations(
                    orient[i], hands.rotations[i], betas[i], transl[i]
                ),
                confidence=confidence[i],
                depth=depths[i],
                hamer=details[i],
            )
            for i, track in enumerate(tracks)
            if np.isfinite(transl[i]).all()
        )

    def _in_official_camera(
        self,
        image_size: tuple[int, int],
        tracks: Sequence[Track],
        hands: CropHands,
        pixels: DoubleArray,
        confidence: Sequence[float],
        details: Sequence[HamerDetails],
    ) -> tuple[Hand, ...]:
        """Place the hands as the official demo does: default focal length, shapes as they came.

        The 2D keypoints are those of the crop, as official evaluations use them; the full-image
        camera projects the same hand some pixels beside them.
        """
        width, height = image_size
        made = []
        for i, (track, detail) in enumerate(zip(tracks, details, strict=True)):
            camera = Camera(
                width=width, height=height, fx=detail.focal_full_px, fy=detail.focal_full_px,
                cx=width / 2, cy=height / 2, is_assumed=True,
            )  # fmt: skip
            moved = detail.cam_t_full.astype(np.float64)
            keypoints = hands.keypoints[i] + moved
            if not keypoints[:, 2].min() > 0:
                continue  # a camera scale of 0 or less: behind the camera
            hand = make_hand(
                camera,
                track,
                vertices=hands.vertices[i] + moved,
                keypoints=keypoints,
                parameters=parameters_from_rotations(
                    hands.rotations[i, 0], hands.rotations[i], hands.betas[i], moved
                ),
                confidence=confidence[i],
                depth=monocular_depth(camera, float(keypoints[0, 2])),
                hamer=detail,
            )
            made.append(dataclasses.replace(hand, keypoints_2d=pixels[i].astype(np.float32)))
        return tuple(made)

    def _pose(
        self, rotations: FloatArray, betas: DoubleArray, is_right: NDArray[np.bool_]
    ) -> '_Posed':
        """Pose right hands of given shapes and mirror the left ones; axes of the crop."""
        with torch.inference_mode():
            mesh = self.model.from_rotations(
                rotations=torch.from_numpy(rotations), betas=torch.from_numpy(betas).float()
            )
        side = np.where(is_right[:, None, None], 1.0, (-1.0, 1.0, 1.0))
        return _Posed(
            vertices=mesh.vertices.numpy() * side, keypoints=mesh.keypoints.numpy() * side
        )

    def _roots(self, betas: DoubleArray, is_right: NDArray[np.bool_]) -> DoubleArray:
        """Give the (N, 3) wrists of unposed hands, which MANO turns about."""
        roots = np.stack([self.model.rest(shape).joints[0] for shape in betas])
        return np.where(is_right[:, None], roots, geometry.mirror_points(roots))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Posed:
    """True hands about the model's origin: (N, V, 3) and (N, 21, 3) metres, axes of the crop."""

    vertices: DoubleArray
    keypoints: DoubleArray


def _usable_box(track: Track, frame: Frame) -> Box | None:
    """Give the box of a track where HaMeR can work with it."""
    box = track.box
    if box is None:
        box = box_from_keypoints(track.known_landmarks.keypoints_2d, is_right=track.is_right)
    if box is None:
        return None
    try:
        check_box(box, image_size=(frame.image.shape[1], frame.image.shape[0]))
    except BoxError as error:
        _LOG.debug('track %d is left out: %s', track.track_id, error)
        return None
    return dataclasses.replace(box, is_right=track.is_right)


def _confidence(track: Track, keypoints_px: DoubleArray, stamp_ns: int) -> float:
    """Combine what is known of a hand; see ``pipeline.confidence``."""
    if track.landmarks is None:
        return hand_confidence(
            presence=None if track.box is None else track.box.score,
            agreement=None,
            continuity=None,
        )
    agreement = continuity = None
    if track.is_seen:
        agreement = keypoint_agreement(keypoints_px, track.landmarks.keypoints_2d)
    else:
        continuity = motion_continuity(
            keypoints_px,
            track.landmarks.keypoints_2d,
            velocity_px_s=track.velocity_px_s if track.box is not None else (0.0, 0.0),
            elapsed_s=(stamp_ns - track.stamp_ns) * 1e-9,
        )
    presence = track.landmarks.presence if track.box is None else track.box.score
    return hand_confidence(presence=presence, agreement=agreement, continuity=continuity)


def _crop_hands(result: HamerHands) -> CropHands:
    names = [field.name for field in dataclasses.fields(CropHands)]
    return CropHands(**{name: getattr(result, name) for name in names})
