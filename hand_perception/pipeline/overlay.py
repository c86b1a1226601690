"""Draw hands over the image they were found in: shaded mesh, skeleton, label, action."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hand_perception.actions import ActionEstimate
from hand_perception.datatypes import (
    JOINT_PARENTS,
    DoubleArray,
    FloatArray,
    Frame,
    FrameResult,
    Hand,
    ImageArray,
)
from hand_perception.pipeline.action_overlay import (
    ACTION_WIDTH,
    action_of_hand,
    action_words,
    draw_action_bar,
)
from hand_perception.pipeline.lift import project
from hand_perception.rendering.normals import vertex_normals
from hand_perception.rendering.palette import side_rgb
from hand_perception.rendering.rasterizer import rasterize
from hand_perception.rendering.text import DARK, WHITE, Colour, TextStyle

#: Share of the mesh in the picture; the rest is the image, so the real hand stays visible.
MESH_OPACITY: Final = 0.62
#: Hands larger than this (pixels, long side) are shaded at lower resolution and enlarged: shading
#: is smooth, so it does not show, and a hand that fills the image costs no more than this one.
MAX_SHADED_SIDE_PX: Final = 320
#: Pixels around a hand in its patch, room for its blurred edge.
_MARGIN_PX: Final = 3
#: Light from over the left shoulder of the viewer; camera axes (x right, y down, z forward).
_TO_LIGHT: Final = np.array([-0.45, -0.6, -0.66]) / np.linalg.norm([0.45, 0.6, 0.66])
_TO_VIEWER: Final = np.array([0.0, 0.0, -1.0])
#: cv2 draws at 1/16 pixel with this shift.
_SHIFT: Final = 4
_BONES: Final = np.stack([JOINT_PARENTS[1:], range(1, len(JOINT_PARENTS))], 1)


def draw_overlay(
    frame: Frame,
    result: FrameResult,
    faces_right: NDArray[np.integer],
    *,
    actions: Sequence[ActionEstimate] = (),
) -> ImageArray:
    """Draw all hands of a result over a copy of their image.

    Args:
        frame: the image, its camera (distortion included) and channel order.
        result: hands found in it; parts outside the image or behind the camera are left out.
        faces_right: (F, 3) triangles of a right hand; left hands use them reversed.
        actions: what is done in it: of a side, under the label of its hand; of the whole scene,
            on a bar at the bottom.

    Returns:
        (H, W, 3) blue-green-red picture, contiguous and the caller's own.
    """
    if frame.is_rgb:
        picture = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    else:
        picture = frame.image.copy(order='C')
    scale = max(picture.shape[:2]) / 1280
    far_to_near = sorted(result.hands, key=_distance, reverse=True)
    for hand in far_to_near:
        _draw_mesh(picture, hand, project(frame.camera, hand.vertices), faces_right)
        _draw_skeleton(picture, hand, scale)
    for hand in far_to_near:  # no label under another hand's mesh
        _draw_label(picture, hand, action_of_hand(hand, result.hands, actions), scale)
    draw_action_bar(picture, actions, scale)
    return picture


def _distance(hand: Hand) -> float:
    return float(np.nan_to_num(hand.keypoints_3d[:, 2], nan=np.inf).mean())


def _bgr(hand: Hand) -> Colour:
    red, green, blue = side_rgb(is_right=hand.is_right)
    return blue, green, red


def _draw_mesh(
    picture: ImageArray, hand: Hand, vertices_px: DoubleArray, faces_right: NDArray[np.integer]
) -> None:
    """Blend the shaded mesh into ``picture``, working on the patch that holds the hand only."""
    seen = vertices_px[np.isfinite(vertices_px).all(1)]
    height, width = picture.shape[:2]
    if not len(seen):
        return
    x0, y0 = np.floor(np.clip(seen.min(0) - _MARGIN_PX, 0, (width, height))).astype(int)
    x1, y1 = np.ceil(np.clip(seen.max(0) + _MARGIN_PX + 1, 0, (width, height))).astype(int)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    patch = picture[y0:y1, x0:x1]
    shrink = min(1.0, MAX_SHADED_SIDE_PX / max(x1 - x0, y1 - y0))
    size = (max(1, round((x1 - x0) * shrink)), max(1, round((y1 - y0) * shrink)))
    # Pixel centres are whole numbers: pixel edges, at -0.5, map onto each other when scaled.
    zoom = np.array(size) / (x1 - x0, y1 - y0)
    points = (vertices_px - (x0, y0) + 0.5) * zoom - 0.5
    colour, cover = _shade(hand, points, faces_right, size)
    if shrink < 1:
        colour = cv2.resize(colour, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        cover = cv2.resize(cover, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    # Colour is black where cover is 0, so both can be blurred alike (premultiplied alpha).
    colour = cv2.GaussianBlur(colour, (3, 3), 0)
    cover = cv2.GaussianBlur(cover, (3, 3), 0)
    remain = cv2.merge([cv2.convertScaleAbs(cover, alpha=-MESH_OPACITY, beta=255.0)] * 3)
    under = cv2.multiply(patch, remain, scale=1 / 255)
    patch[:] = cv2.addWeighted(under, 1.0, colour, MESH_OPACITY, 0.0)
    _draw_outline(patch, cover, _bgr(hand))


def _shade(
    hand: Hand,
    points: DoubleArray,
    faces_right: NDArray[np.integer],
    size: tuple[int, int],
) -> tuple[ImageArray, ImageArray]:
    """Rasterise a hand into a patch of (width, height) ``size``.

    Returns:
        (h, w, 3) blue-green-red and (h, w) cover, 0 or 255.
    """
    faces = faces_right if hand.is_right else faces_right[:, ::-1]
    vertices = np.asarray(hand.vertices, np.float64)
    normals = vertex_normals(np.nan_to_num(vertices), faces)
    fragments = rasterize(
        points, vertices[:, 2], faces, width=size[0], height=size[1], cull_sign=-1
    )
    diffuse = np.clip(normals @ _TO_LIGHT, 0, 1)
    facing = np.clip(normals @ _TO_VIEWER, 0, 1)
    half_way = (_TO_LIGHT + _TO_VIEWER) / np.linalg.norm(_TO_LIGHT + _TO_VIEWER)
    gloss = np.clip(normals @ half_way, 0, 1) ** 24
    # 0 black to 0.75 the side's colour to 1 white.
    tone = 0.24 + 0.30 * diffuse + 0.21 * facing + 0.22 * gloss
    level = fragments.interpolate(faces, (tone * 255).astype(np.float32))
    colour = np.zeros((size[1], size[0], 3), np.uint8)
    cover = np.zeros((size[1], size[0]), np.uint8)
    palette = _tones(_bgr(hand))
    colour[fragments.rows, fragments.columns] = palette[np.clip(level, 0, 255).astype(np.uint8)]
    cover[fragments.rows, fragments.columns] = 255
    return colour, cover


def _tones(bgr: Colour) -> ImageArray:
    """Make the (256, 3) table from tone to colour: black, the colour at 0.75, white."""
    tone = np.linspace(0, 1, 256)[:, None]
    dark = tone / 0.75 * np.array(bgr)
    light = np.array(bgr) + (tone - 0.75) / 0.25 * (255.0 - np.array(bgr))
    return np.clip(np.where(tone < 0.75, dark, light), 0, 255).astype(np.uint8)


def _draw_outline(patch: ImageArray, cover: ImageArray, bgr: Colour) -> None:
    """Draw a smooth line around the silhouette."""
    inside = cv2.threshold(cover, 127, 255, cv2.THRESH_BINARY)[1]
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    colour = tuple(int(0.45 * channel) for channel in bgr)
    cv2.drawContours(patch, contours, -1, colour, 1, cv2.LINE_AA)


def _draw_skeleton(picture: ImageArray, hand: Hand, scale: float) -> None:
    """Draw bones as white lines with dark edges, joints as dots in the side's colour."""
    joints = hand.keypoints_2d
    height, width = picture.shape[:2]
    with np.errstate(invalid='ignore'):
        # cv2 takes 32-bit sixteenths of a pixel; bones that far outside are not seen anyway.
        near = (np.abs(joints) < 4 * max(width, height)).all(1)
    near &= (hand.keypoints_3d[:, 2] > 0) & np.isfinite(joints).all(1)
    bones = _fixed_point(joints[_BONES[near[_BONES].all(1)]])
    dots = _fixed_point(joints[near])
    thin = max(1, round(1.6 * scale))
    lines = list(bones)
    cv2.polylines(picture, lines, False, DARK, thin + 2, cv2.LINE_AA, _SHIFT)
    cv2.polylines(picture, lines, False, (255, 255, 255), thin, cv2.LINE_AA, _SHIFT)
    radius = max(2.0, 3.0 * scale)
    for x, y in dots.tolist():  # 21 joints
        cv2.circle(picture, (x, y), int((radius + 1) * 2**_SHIFT), DARK, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(picture, (x, y), int(radius * 2**_SHIFT), _bgr(hand), -1, cv2.LINE_AA, _SHIFT)


def _fixed_point(pixels: FloatArray) -> NDArray[np.int32]:
    return np.rint(pixels * 2**_SHIFT).astype(np.int32)


def _draw_label(
    picture: ImageArray, hand: Hand, action: ActionEstimate | None, scale: float
) -> None:
    """Write side, track number, confidence and action above the hand, always inside the image."""
    text = f'{"right" if hand.is_right else "left"} #{hand.track_id}  {hand.confidence:.2f}'
    if hand.is_predicted:
        text += ' predicted'
    style = TextStyle.of_scale(scale)
    pad = max(3, round(5 * scale))
    height, width = picture.shape[:2]
    lines = [(style.fit(text, width - 3 * pad), WHITE)]
    if action is not None:
        words, colour = action_words(action)
        room = max(style.width(text), round(ACTION_WIDTH * width))
        lines.append((style.fit(words, min(room, width - 3 * pad)), colour))
    box_width = max(style.width(words) for words, _ in lines) + 3 * pad
    row = style.height + style.depth + pad
    box_height = row * len(lines) + pad
    left, top = np.nan_to_num(hand.bbox_xyxy[:2].astype(float))
    x = int(np.clip(left, 0, max(0, width - box_width)))
    y = int(np.clip(top - 2 * pad - box_height, 0, max(0, height - box_height)))
    cv2.rectangle(picture, (x, y), (x + box_width, y + box_height), DARK, cv2.FILLED)
    cv2.rectangle(picture, (x, y), (x + pad // 2, y + box_height), _bgr(hand), cv2.FILLED)
    for number, (words, colour) in enumerate(lines):
        base = y + pad + style.height + row * number
        style.put(picture, words, x + pad + pad // 2, base, colour)
