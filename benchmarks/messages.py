"""Messages in and out: ours against message objects filled element by element (number 7).

``python benchmarks/messages.py [--json FILE]``; the ratios are what counts. Publishing goes to a
real publisher without subscribers, so both ways pay for serialisation but not for the network.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from common import environment, report, time_interleaved
from geometry_msgs.msg import Point
from rclpy.node import Node
from rclpy.serialization import deserialize_message, serialize_message
from ros_hands import FACES, make_hands
from sensor_msgs.msg import Image
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from hand_perception.datatypes import Hand
from hand_perception.msg import HandPose, HandPoseArray
from hand_perception.ros import qos
from hand_perception.ros.cdr import read_image, write_image
from hand_perception.ros.images import colour_image
from hand_perception.ros.markers import HandMarkers
from hand_perception.ros.messages import HandMessages, make_header

#: The mesh message of two hands must be built and published at least this much faster.
MARKER_GATE = 40.0
WIDTH, HEIGHT = 1920, 1080


def naive_markers(hands: list[Hand], *, with_colours: bool) -> MarkerArray:
    """Build the meshes the obvious way: one Point object per corner."""
    array = MarkerArray()
    for number, hand in enumerate(hands):
        marker = Marker(type=Marker.TRIANGLE_LIST, id=number)
        marker.header.frame_id = 'camera'
        marker.color.a = 1.0
        for vertex in FACES.ravel():
            x, y, z = hand.vertices[vertex]
            marker.points.append(Point(x=float(x), y=float(y), z=float(z)))
            if with_colours:
                marker.colors.append(ColorRGBA(r=0.5, g=0.5, b=0.5, a=1.0))
        array.markers.append(marker)
    return array


def marker_ways(node: Node, hands: list[Hand]) -> dict[str, Callable[[], object]]:
    """Two meshes with vertex colours; ours computes the colours and adds skeletons and labels."""
    publisher = node.create_publisher(MarkerArray, 'markers', qos.MARKERS)
    ours = HandMarkers(FACES, hands_per_side=1)
    return {
        'objects': lambda: publisher.publish(naive_markers(hands, with_colours=True)),
        'objects, no colours': lambda: publisher.publish(naive_markers(hands, with_colours=False)),
        'ours': lambda: publisher.publish(ours.serialised(1, 'camera', hands)),
    }


def pose_ways(node: Node, hands: list[Hand]) -> dict[str, Callable[[], object]]:
    """Two hands with vertices; the naive way assigns lists."""
    publisher = node.create_publisher(HandPoseArray, 'pose', qos.RESULTS)
    header = make_header(1, 'camera')
    writer = HandMessages(backend='b', hand_model='h')

    def naive() -> None:
        array = HandPoseArray(header=header)
        for hand in hands:
            message = HandPose(header=header, tracked=True)
            message.keypoints = [
                Point(x=float(x), y=float(y), z=float(z)) for x, y, z in hand.keypoints_3d
            ]
            message.keypoints_2d = [float(value) for value in hand.keypoints_2d.ravel()]
            message.hand_pose = [float(value) for value in hand.parameters.hand_pose]
            message.betas = [float(value) for value in hand.parameters.betas]
            message.vertices = [float(value) for value in hand.vertices.ravel()]
            array.hands.append(message)
        publisher.publish(array)

    def ours() -> None:
        messages = writer.write(hands, header, with_vertices=True)
        publisher.publish(HandPoseArray(header=header, hands=messages))

    return {'objects': naive, 'ours': ours}


def image_in_ways() -> dict[str, Callable[[], object]]:
    """From the bytes of a 1080p message to an array."""
    message = Image(height=HEIGHT, width=WIDTH, encoding='bgr8', step=3 * WIDTH)
    message.data = bytes(3 * WIDTH * HEIGHT)
    wire = serialize_message(message)

    def through_object() -> None:
        received = deserialize_message(wire, Image)
        np.frombuffer(received.data, np.uint8).reshape(HEIGHT, WIDTH, 3)

    return {'objects': through_object, 'ours': lambda: colour_image(read_image(wire))}


def image_out_ways(node: Node) -> dict[str, Callable[[], object]]:
    """From a 1080p array to a published message."""
    publisher = node.create_publisher(Image, 'image', qos.image_output('reliable'))
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    def through_object() -> None:
        message = Image(height=HEIGHT, width=WIDTH, encoding='bgr8', step=3 * WIDTH)
        message.data = pixels.tobytes()
        publisher.publish(message)

    def ours() -> None:
        wire = write_image(
            stamp_ns=1, frame_id='camera', height=HEIGHT, width=WIDTH, encoding='bgr8',
            step=3 * WIDTH, pixels=memoryview(pixels).cast('B'),
        )  # fmt: skip
        publisher.publish(wire)

    return {'objects': through_object, 'ours': ours}


def main() -> None:
    """Time all cases and check the gate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path)
    parser.add_argument('--rounds', type=int, default=60)
    options = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node('benchmark')
    hands = make_hands(2)
    cases = {
        'mesh markers, 2 hands': marker_ways(node, hands),
        'poses with vertices, 2 hands': pose_ways(node, hands),
        'image in, 1080p': image_in_ways(),
        'image out, 1080p': image_out_ways(node),
    }
    times = {
        case: time_interleaved(ways, rounds=options.rounds, warm_up=5)
        for case, ways in cases.items()
    }
    where = environment(mesh=f'{hands[0].vertices.shape[0]} vertices, {len(FACES)} faces')
    rows = report(times, baseline='objects', where=where, json_path=options.json)
    ratio = next(r['ratio'] for r in rows if r['case'].startswith('mesh') and r['way'] == 'ours')
    passed = ratio >= MARKER_GATE
    print(f'\nmesh markers: {ratio:.0f} times, at least {MARKER_GATE:.0f} wanted: '
          + ('passed' if passed else 'FAILED'))  # fmt: skip
    node.destroy_node()
    rclpy.shutdown()
    raise SystemExit(not passed)


if __name__ == '__main__':
    main()
