"""Hands as RViz markers, written straight into the serialised message.

A mesh marker made of ``geometry_msgs/Point`` objects costs milliseconds per hand, spent holding
the interpreter lock. Here a MarkerArray is serialised once per set of visible hands; after that
only its numbers are overwritten in place through numpy views.
"""

import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from hand_perception.datatypes import JOINT_PARENTS, NUM_JOINTS, DoubleArray, FloatArray, Hand
from hand_perception.rendering.palette import side_rgb
from hand_perception.ros.shading import MeshShader

#: Size of the skeleton and its label, metres.
BONE_WIDTH_M: Final = 0.004
JOINT_DIAMETER_M: Final = 0.009
LABEL_HEIGHT_M: Final = 0.02
_LABEL_ABOVE_HAND_M: Final = 0.035
_LABEL_LENGTH: Final = 24
#: RViz removes a hand by itself when nothing came for this long: the node is gone.
_LIFETIME_S: Final = 2.0
#: Serialised messages that are kept, one per set of visible hands.
_MAX_TEMPLATES: Final = 8
_BONES: Final = np.array([(JOINT_PARENTS[j], j) for j in range(1, NUM_JOINTS)]).ravel()

_STAMP_MARK: Final = struct.pack('<iI', 0x5A17C3E1, 0x3A92B7D5)
_ENCAPSULATION: Final = 4


class _Slot:
    """Where the numbers of one visible hand lie in a template."""

    def __init__(self, mark: int) -> None:
        self._mark = mark
        self.vertices: DoubleArray
        self.colours: FloatArray
        self.bones: DoubleArray
        self.joints: DoubleArray
        self.label_position: DoubleArray
        self.label_text: NDArray[np.uint8]

    def _number(self, part: int) -> float:
        """Give a number that stands nowhere else in the message."""
        return -(1e200 + 1e190 * (self._mark * 10 + part))

    def fill(self, markers: Sequence[Marker], num_corners: int) -> None:
        """Give mesh, bones, joints and label their size, and a mark where their numbers start."""
        mesh, bones, joints, label = markers
        for part, (marker, size) in enumerate(
            ((mesh, num_corners), (bones, len(_BONES)), (joints, NUM_JOINTS))
        ):
            marker.points = [Point() for _ in range(size)]
            marker.points[0].x = self._number(part)
        mesh.colors = [ColorRGBA() for _ in range(num_corners)]
        label.pose.position.x = self._number(3)
        label.text = self._text_mark()

    def _text_mark(self) -> str:
        return f'<{self._mark:03d}>'.ljust(_LABEL_LENGTH, '~')

    def find(self, buffer: NDArray[np.uint8], wire: bytes, num_corners: int) -> None:
        """Make the views into ``buffer`` of a message that :meth:`fill` prepared."""
        starts = [_find_once(wire, struct.pack('<d', self._number(part))) for part in range(4)]
        sizes = (num_corners, len(_BONES), NUM_JOINTS)
        self.vertices, self.bones, self.joints = (
            np.ndarray((size, 3), '<f8', buffer, _ENCAPSULATION + start)
            for size, start in zip(sizes, starts, strict=False)
        )
        self.label_position = np.ndarray((3,), '<f8', buffer, _ENCAPSULATION + starts[3])
        # The colours follow the points, after their number (4 bytes).
        colours = _ENCAPSULATION + starts[0] + num_corners * 24 + 4
        self.colours = np.ndarray((num_corners, 4), '<f4', buffer, colours)
        text = _find_once(wire, self._text_mark().encode())
        self.label_text = buffer[_ENCAPSULATION + text :][:_LABEL_LENGTH]

    def write(self, hand: Hand, corners: NDArray[np.intp], shader: MeshShader) -> None:
        """Overwrite the numbers with those of a hand."""
        vertices = hand.vertices.astype(np.float64)
        joints = hand.keypoints_3d.astype(np.float64)
        colours = shader.shade(hand.vertices, side_rgb(is_right=hand.is_right))
        # mode='clip' writes straight into the view; the faces are known to be in range.
        np.take(vertices, corners, axis=0, out=self.vertices, mode='clip')
        np.take(colours, corners, axis=0, out=self.colours, mode='clip')
        np.take(joints, _BONES, axis=0, out=self.bones, mode='clip')
        self.joints[:] = joints
        self.label_position[:] = joints.mean(0)
        self.label_position[1] = joints[:, 1].min() - _LABEL_ABOVE_HAND_M
        side = 'right' if hand.is_right else 'left'
        text = f'{side} #{hand.track_id}  {hand.confidence:.2f}'
        padded = text.center(_LABEL_LENGTH)[:_LABEL_LENGTH].encode()
        self.label_text[:] = np.frombuffer(padded, np.uint8)


@dataclass(slots=True)
class _Template:
    """One serialised MarkerArray and the places of its numbers."""

    buffer: NDArray[np.uint8]  # 4 spare bytes in front, so that float64 views are aligned
    stamps: list[NDArray[np.uint32]]
    slots: list[_Slot] = field(default_factory=list)

    def serialised(self, stamp_ns: int) -> bytes:
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        for stamp in self.stamps:  # 8 markers for two hands
            stamp[0], stamp[1] = seconds & 0xFFFFFFFF, nanoseconds
        return self.buffer[_ENCAPSULATION:].tobytes()


class HandMarkers:
    """Makes the serialised MarkerArray of each image.

    Every message says everything: visible hands are added, all other places deleted. A message
    that is lost, or left out by the rate limit, leaves nothing behind. Namespaces are
    ``left_mesh``, ``left_skeleton``, ``left_label`` and the same for right; ids count the hands
    of a side and stay while a hand is followed.
    """

    def __init__(
        self, faces_right: NDArray[np.integer], *, hands_per_side: int, lifetime_s: float = 0.0
    ) -> None:
        """Prepare for one mesh topology.

        Args:
            faces_right: (F, 3) triangles of a right hand; left hands use them reversed.
            hands_per_side: places per side.
            lifetime_s: longest time between two messages, added to the markers' lifetime.
        """
        right = np.asarray(faces_right, np.intp)
        faces = {True: right, False: right[:, ::-1]}
        self._corners = {side: f.ravel() for side, f in faces.items()}
        self._shaders = {side: MeshShader(f) for side, f in faces.items()}
        self._places: dict[bool, list[int | None]] = {
            side: [None] * hands_per_side for side in (False, True)
        }
        self.lifetime_s = lifetime_s
        self._templates: OrderedDict[tuple[object, ...], _Template] = OrderedDict()

    def serialised(self, stamp_ns: int, frame_id: str, hands: Sequence[Hand]) -> bytes:
        """Give the message for one image, ready for ``publisher.publish``."""
        placed = [self._by_place(side, hands) for side in (False, True)]
        visible = tuple(tuple(hand is not None for hand in side) for side in placed)
        key = (frame_id, visible, self.lifetime_s)
        template = self._templates.get(key)
        if template is None:
            template = self._make_template(frame_id, visible)
            self._templates[key] = template
            if len(self._templates) > _MAX_TEMPLATES:
                self._templates.popitem(last=False)
        self._templates.move_to_end(key)
        seen = [hand for side in placed for hand in side if hand is not None]
        for slot, hand in zip(template.slots, seen, strict=True):
            slot.write(hand, self._corners[hand.is_right], self._shaders[hand.is_right])
        return template.serialised(stamp_ns)

    def _by_place(self, is_right: bool, hands: Sequence[Hand]) -> list[Hand | None]:
        """Put the hands of a side in its places; a followed hand keeps its place."""
        by_track = {hand.track_id: hand for hand in hands if hand.is_right == is_right}
        places = self._places[is_right]
        places[:] = [track if track in by_track else None for track in places]
        for track in by_track:
            if track not in places and None in places:
                places[places.index(None)] = track
        return [None if track is None else by_track[track] for track in places]

    def _make_template(self, frame_id: str, visible: tuple[tuple[bool, ...], ...]) -> _Template:
        num_corners = len(self._corners[True])
        array = MarkerArray()
        slots: list[_Slot] = []
        for is_right, places in zip((False, True), visible, strict=True):
            for place, is_visible in enumerate(places):
                markers = _markers(frame_id, place, is_right, self.lifetime_s)
                if is_visible:
                    slots.append(_Slot(len(slots)))
                    slots[-1].fill(markers, num_corners)
                for marker in markers:
                    marker.action = Marker.ADD if is_visible else Marker.DELETE
                array.markers += markers
        wire = serialize_message(array)
        buffer = np.zeros(_ENCAPSULATION + len(wire), np.uint8)
        buffer[_ENCAPSULATION:] = np.frombuffer(wire, np.uint8)
        for slot in slots:
            slot.find(buffer, wire, num_corners)
        stamps = [
            np.ndarray((2,), '<u4', buffer, _ENCAPSULATION + start)
            for start in _find_all(wire, _STAMP_MARK)
        ]
        return _Template(buffer=buffer, stamps=stamps, slots=slots)


def _markers(frame_id: str, place: int, is_right: bool, lifetime_s: float) -> list[Marker]:
    """Make mesh, bones, joints and label of one hand without their numbers."""
    side = 'right' if is_right else 'left'
    red, green, blue = (channel / 255 for channel in side_rgb(is_right=is_right))
    colour = ColorRGBA(r=red, g=green, b=blue, a=1.0)
    white = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    seconds, nanoseconds = struct.unpack('<iI', _STAMP_MARK)
    kinds = (
        ('mesh', place, Marker.TRIANGLE_LIST, (1.0, 1.0, 1.0), colour),
        ('skeleton', 2 * place, Marker.LINE_LIST, (BONE_WIDTH_M, 0.0, 0.0), white),
        ('skeleton', 2 * place + 1, Marker.SPHERE_LIST, (JOINT_DIAMETER_M,) * 3, colour),
        ('label', place, Marker.TEXT_VIEW_FACING, (0.0, 0.0, LABEL_HEIGHT_M), white),
    )
    markers = []
    for name, number, kind, (x, y, z), tint in kinds:
        marker = Marker(ns=f'{side}_{name}', id=number, type=kind, color=tint)
        marker.header.frame_id = frame_id
        marker.header.stamp = Time(sec=seconds, nanosec=nanoseconds)
        marker.scale.x, marker.scale.y, marker.scale.z = x, y, z
        whole, part = divmod(_LIFETIME_S + lifetime_s, 1)
        marker.lifetime.sec, marker.lifetime.nanosec = int(whole), int(part * 1e9)
        markers.append(marker)
    return markers


def _find_once(wire: bytes, mark: bytes) -> int:
    start = wire.find(mark)
    if start < 0 or wire.find(mark, start + 1) >= 0:
        raise RuntimeError(f'the mark {mark.hex()} must stand once in a marker template')
    return start


def _find_all(wire: bytes, mark: bytes) -> list[int]:
    starts, start = [], wire.find(mark)
    while start >= 0:
        starts.append(start)
        start = wire.find(mark, start + 1)
    return starts
