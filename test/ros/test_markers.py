"""Markers written into the wire format, read back by rclpy."""

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from ros_fakes import FACES, make_hand
from visualization_msgs.msg import Marker, MarkerArray

from hand_perception.datatypes import JOINT_PARENTS
from hand_perception.rendering.normals import vertex_normals
from hand_perception.rendering.palette import RIGHT_RGB
from hand_perception.ros.markers import HandMarkers
from hand_perception.ros.shading import MeshShader

STAMP_NS = 1_700_000_000_123_456_789
LEFT, RIGHT = make_hand(is_right=False, track_id=3), make_hand(is_right=True, track_id=7)


def markers_of(made, hands, *, stamp_ns=STAMP_NS, frame_id='camera'):
    array = deserialize_message(made.serialised(stamp_ns, frame_id, hands), MarkerArray)
    return {(marker.ns, marker.id): marker for marker in array.markers}


def xyz(points):
    return np.array([(p.x, p.y, p.z) for p in points])


@pytest.fixture
def made():
    return HandMarkers(FACES, hands_per_side=1)


@pytest.mark.parametrize('hands', [(LEFT,), (RIGHT,), (LEFT, RIGHT)])
def test_mesh_and_skeleton_hold_the_numbers_of_their_hand(made, hands):
    markers = markers_of(made, hands)
    for hand in hands:
        side = 'right' if hand.is_right else 'left'
        faces = FACES if hand.is_right else FACES[:, ::-1]
        mesh = markers[f'{side}_mesh', 0]
        assert mesh.type == Marker.TRIANGLE_LIST
        np.testing.assert_array_equal(xyz(mesh.points), hand.vertices[faces.ravel()])
        bones, joints = markers[f'{side}_skeleton', 0], markers[f'{side}_skeleton', 1]
        ends = [k for j in range(1, 21) for k in (JOINT_PARENTS[j], j)]
        assert (bones.type, joints.type) == (Marker.LINE_LIST, Marker.SPHERE_LIST)
        np.testing.assert_array_equal(xyz(bones.points), hand.keypoints_3d[ends])
        np.testing.assert_array_equal(xyz(joints.points), hand.keypoints_3d)
        label = markers[f'{side}_label', 0]
        assert label.text.strip() == f'{side} #{hand.track_id}  {hand.confidence:.2f}'
        assert label.pose.position.y < hand.keypoints_3d[:, 1].min()  # above: y points down


def test_mesh_colours_are_those_of_its_shaded_vertices(made):
    mesh = markers_of(made, (RIGHT,))['right_mesh', 0]
    colours = np.array([(c.r, c.g, c.b, c.a) for c in mesh.colors], np.float32)
    shaded = MeshShader(FACES).shade(RIGHT.vertices, RIGHT_RGB)
    np.testing.assert_array_equal(colours, shaded[FACES.ravel()])


def test_everything_else_is_what_rviz_needs(made):
    for marker in markers_of(made, (LEFT, RIGHT)).values():
        assert marker.action == Marker.ADD
        assert marker.header.frame_id == 'camera'
        assert (marker.header.stamp.sec, marker.header.stamp.nanosec) == divmod(STAMP_NS, 10**9)
        assert marker.color.a == 1
        assert marker.pose.orientation.w == 1
        assert marker.lifetime.sec == 2
        assert max(marker.scale.x, marker.scale.z) > 0


def test_a_side_that_is_lost_is_deleted_in_the_same_message(made):
    markers_of(made, (LEFT, RIGHT))
    markers = markers_of(made, (RIGHT,))
    for (name, _), marker in markers.items():
        assert marker.action == (Marker.DELETE if name.startswith('left') else Marker.ADD)


def test_without_hands_all_is_deleted(made):
    actions = {marker.action for marker in markers_of(made, ()).values()}
    assert actions == {Marker.DELETE}
    assert len(markers_of(made, ())) == 8


def test_numbers_of_one_message_do_not_stay_in_the_next(made):
    first = make_hand(track_id=100)
    markers_of(made, (first,))
    markers = markers_of(made, (RIGHT,), stamp_ns=5)
    np.testing.assert_array_equal(xyz(markers['right_skeleton', 1].points), RIGHT.keypoints_3d)
    assert '#7 ' in markers['right_label', 0].text
    stamp = markers['right_mesh', 0].header.stamp
    assert (stamp.sec, stamp.nanosec) == (0, 5)


def test_another_frame_id_is_written(made):
    markers_of(made, (RIGHT,))
    markers = markers_of(made, (RIGHT,), frame_id='another_camera_optical_frame')
    assert {m.header.frame_id for m in markers.values()} == {'another_camera_optical_frame'}
    np.testing.assert_array_equal(xyz(markers['right_skeleton', 1].points), RIGHT.keypoints_3d)


def test_a_followed_hand_keeps_its_id_when_another_of_its_side_goes():
    made = HandMarkers(FACES, hands_per_side=2)
    first, second = make_hand(track_id=1), make_hand(track_id=2)
    markers_of(made, (first, second))
    markers = markers_of(made, (second,))
    assert markers['right_mesh', 0].action == Marker.DELETE
    np.testing.assert_array_equal(xyz(markers['right_skeleton', 3].points), second.keypoints_3d)


def test_a_long_label_is_cut_and_the_rest_unharmed(made):
    markers = markers_of(made, (make_hand(track_id=2**32 - 1),))
    assert markers['right_label', 0].text == 'right #4294967295  0.88 '[:24]
    assert markers['right_label', 0].mesh_resource == ''


def test_memory_is_bounded_with_a_new_frame_id_every_time(made):
    for number in range(100):
        made.serialised(0, f'camera_{number}', (RIGHT,))
    assert len(made._templates) <= 8


def test_shading_is_brightest_towards_the_camera():
    # A square that faces the camera, and the same square from behind.
    vertices = np.array([[-1, -1, 2], [1, -1, 2], [1, 1, 2], [-1, 1, 2]], float) * 0.1
    towards = np.array([[0, 2, 1], [0, 3, 2]])  # counter-clockwise for the camera (y down)
    front = MeshShader(towards).shade(vertices, RIGHT_RGB)
    back = MeshShader(towards[:, ::-1]).shade(vertices, RIGHT_RGB)
    assert (front[:, :2] > 1.5 * back[:, :2]).all()
    assert (front[:, 3] == 1).all()


def test_shading_follows_the_normals_of_the_mesh():
    rng = np.random.default_rng(0)
    vertices = (rng.normal(0, 0.1, (30, 3)) + [0, 0, 1]).astype(np.float32)
    faces = rng.permuted(np.tile(np.arange(29), (40, 1)), axis=1)[:, :3]  # vertex 29 has none
    normals = vertex_normals(vertices.astype(np.float64), faces)
    to_camera = -vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    facing = 0.5 + 0.5 * (normals * to_camera).sum(1)
    to_light = np.array([-0.45, -0.75, -0.5]) / np.linalg.norm([0.45, 0.75, 0.5])
    lit = 0.5 + 0.5 * normals @ to_light
    tone = np.minimum(0.3 + 0.3 * lit**2 + 0.4 * facing**4, 1)
    tone[29] = 0.3
    red = MeshShader(faces).shade(vertices, (255, 0, 0))[:, 0]
    np.testing.assert_allclose(red, tone, atol=1e-4)  # float32 cross products
