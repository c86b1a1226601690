"""The perception node with its real pipeline, and the images of the built-in clip for it."""

from functools import cache

from ros_fakes import camera_info, set_stamp
from sensor_msgs.msg import CameraInfo, Image

from hand_perception.msg import HandPoseArray
from hand_perception.pipeline.stream import HandPipeline
from hand_perception.ros.messages import stamp_ns_of
from hand_perception.ros.perception_node import PerceptionNode
from hand_perception.synthetic.truth import load_clip_truth
from hand_perception.video import open_source

START_NS = 1_700_000_000_000_000_000
FRAME_NS = 33_333_333
FRAME_ID = 'head'


@cache
def clip_images():
    """All images of the built-in clip."""
    return tuple(frame.image_bgr for frame in open_source('synthetic').frames())


class ClipNode:
    """A node that has its camera, its answers, and images on demand."""

    def __init__(self, bench, *, with_camera_info=True, **parameters):
        defaults = {
            'device': 'cpu', 'reliability': 'reliable', 'max_age_ms': 0.0,
            'camera_info_timeout_s': 60.0 if with_camera_info else 0.0,
        }  # fmt: skip
        options = bench.node_options(**{**defaults, **parameters})
        self.node = bench.add(PerceptionNode(HandPipeline.load, **options))
        self.hands = bench.listen(HandPoseArray, 'pose')
        self.diagnostics = bench.diagnostics()
        self.images = bench.talk(Image, 'image')
        self.camera = load_clip_truth().camera
        if with_camera_info:
            infos = bench.talk(CameraInfo, 'camera_info')
            camera = self.camera
            info = camera_info(width=camera.width, height=camera.height, frame_id=FRAME_ID)
            info.k = camera.K.ravel()
            infos.publish(info)
            bench.wait_until(lambda: self.node._cameras._latched, what='camera_info')

    def show(self, number, *, stamp_ns=None):
        """Publish an image of the clip, by default with its own stamp; return the stamp."""
        image = clip_images()[number]
        height, width = image.shape[:2]
        message = Image(height=height, width=width, encoding='bgr8', step=3 * width)
        set_stamp(message, START_NS + number * FRAME_NS if stamp_ns is None else stamp_ns)
        message.header.frame_id = FRAME_ID
        message.data = image.tobytes()
        self.images.publish(message)
        return stamp_ns_of(message.header)

    def answer(self, stamp_ns):
        """Wait for the hands of an image."""
        return self.hands.wait(lambda m: stamp_ns_of(m.header) == stamp_ns, what='the hands')
