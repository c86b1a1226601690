"""Start the perception of hands on the images of a robot's camera driver.

    ros2 launch hand_perception robot.launch.py image_topic:=/camera/color/image_raw \
        camera_info_topic:=/camera/color/camera_info

On another host than the camera: image_transport:=compressed. Everything else is as in
egocentric.launch.py, which this includes without a video source. All arguments: docs/launch.md.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

# Argument, default, what it is. Names are those of the RealSense driver with its defaults.
ARGUMENTS = (
    ('image_topic', '/camera/camera/color/image_raw', 'colour images of the driver'),
    ('camera_info_topic', '/camera/camera/color/camera_info', 'intrinsics of the driver'),
    (
        'depth_topic',
        '/camera/camera/aligned_depth_to_color/image_raw',
        'depth aligned to the images; read when use_depth is set in params_file',
    ),
    (
        'image_transport',
        'raw',
        'raw, or compressed when perception runs on another host than the camera',
    ),
    ('backend', '', 'back end, landmarks or hamer; empty: as in params_file'),
    ('hamer_dir', '', 'folder with your files of HaMeR; empty: as in params_file'),
    ('mano_dir', '', 'folder with your licensed MANO_RIGHT.pkl; empty: as in params_file'),
    ('device', '', 'where the networks run: auto, cpu or cuda; empty: as in params_file'),
    (
        'precision',
        '',
        'numbers of the backbone of HaMeR: auto, fp32, bf16, fp16 or int8; empty: as in '
        'params_file',
    ),
    (
        'action_source',
        '',
        'names what hands do: primitives, htt or none; empty: as in params_file',
    ),
    ('htt_checkpoint', '', 'your weights of HTT; empty: as in params_file'),
    ('htt_dataset', '', 'their data set: auto, fpha or h2o; empty: as in params_file'),
    ('htt_labels', '', 'YAML file with the names of their classes; empty: as in params_file'),
    ('htt_engine', '', 'tiled, sliding or two_phase; empty: as in params_file'),
    ('pose_source', '', 'hands published as pose: backend or htt; empty: as in params_file'),
    ('namespace', 'hands', 'namespace of nodes and topics'),
    ('use_sim_time', 'false', 'take the time from /clock'),
    ('rviz', 'false', 'open RViz'),
    ('rviz_fixed_frame', 'camera_color_optical_frame', 'frame_id of the images, for RViz'),
)


def generate_launch_description() -> LaunchDescription:
    """Describe the perception node, wired to the camera driver by the arguments."""
    share = FindPackageShare('hand_perception')
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in ARGUMENTS
    ]
    arguments += [
        DeclareLaunchArgument(
            'params_file',
            default_value=PathJoinSubstitution([share, 'config', 'robot.yaml']),
            description='parameters of the node; copy the default one to change values',
        ),
        DeclareLaunchArgument(
            'dds_profile',
            default_value=PathJoinSubstitution([share, 'config', 'fastdds_large_images.xml']),
            description='Fast DDS profile for perception; the camera driver needs it too, in its '
            'own environment. Empty for none',
        ),
    ]
    names = [name for name, _, _ in ARGUMENTS] + ['params_file', 'dds_profile']
    perception = IncludeLaunchDescription(
        PathJoinSubstitution([share, 'launch', 'egocentric.launch.py']),
        launch_arguments=[('source', 'none')]
        + [(name, LaunchConfiguration(name)) for name in names],
    )
    return LaunchDescription([*arguments, perception])
