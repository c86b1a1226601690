"""Start a video source, the perception of hands and, if wanted, RViz.

    ros2 launch hand_perception egocentric.launch.py source:=synthetic rviz:=true
    ros2 launch hand_perception egocentric.launch.py source:=none \
        image_topic:=/camera/color/image_raw camera_info_topic:=/camera/color/camera_info

Arguments here win over the parameter file. All of them: docs/launch.md, or --show-args.
"""

import os

from ament_index_python.packages import get_packages_with_prefixes
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import (
    EnvironmentVariable,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from hand_perception.dds_profile import profile_variable

# Parameters of perception that are arguments, too: name, allowed values (none: any), what it is.
# Empty leaves what params_file says.
PERCEPTION_ARGUMENTS = (
    ('backend', ['landmarks', 'hamer'], 'back end; hamer needs your hamer_dir'),
    ('hamer_dir', None, 'folder with your files of HaMeR, for backend:=hamer'),
    ('mano_dir', None, 'folder with your licensed MANO_RIGHT.pkl'),
    ('device', ['auto', 'cpu', 'cuda'], 'where the networks run'),
    (
        'precision',
        ['auto', 'fp32', 'bf16', 'fp16', 'int8'],
        'numbers of the backbone of HaMeR',
    ),
    (
        'action_source',
        ['primitives', 'htt', 'none'],
        'names what hands do; htt needs your htt_checkpoint',
    ),
    ('htt_checkpoint', None, 'your weights of HTT, for action_source:=htt'),
    ('htt_dataset', ['auto', 'fpha', 'h2o'], 'data set that they were trained on'),
    ('htt_labels', None, 'YAML file with the names of their actions and objects'),
    ('htt_engine', ['tiled', 'sliding', 'two_phase'], 'how HTT looks at the stream'),
    ('pose_source', ['backend', 'htt'], 'whose hands are published as pose'),
)
NO_RVIZ = (
    'rviz:=true, but rviz2 is not installed, so no window opens; the hands are published all the '
    'same. Install it with: sudo apt install ros-$ROS_DISTRO-rviz2'
)


def generate_launch_description() -> LaunchDescription:
    """Describe the nodes, wired by the arguments."""
    config = PathJoinSubstitution([FindPackageShare('hand_perception'), 'config'])
    arguments = [
        DeclareLaunchArgument(
            'source',
            default_value='synthetic',
            description='synthetic (the built-in clip), a video file, a folder of images, a '
            'camera number, or none when something else publishes the images',
        ),
        DeclareLaunchArgument(
            'image_topic',
            default_value='image',
            description='images; relative names lie in the namespace. With compressed transport '
            'it is <image_topic>/compressed',
        ),
        DeclareLaunchArgument(
            'camera_info_topic', default_value='camera_info', description='camera intrinsics'
        ),
        DeclareLaunchArgument(
            'depth_topic',
            default_value='depth',
            description='depth aligned to the image; read when use_depth is set in params_file',
        ),
        DeclareLaunchArgument(
            'image_transport',
            default_value='raw',
            choices=['raw', 'compressed'],
            description='how images travel; compressed between hosts',
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value=PathJoinSubstitution([config, 'egocentric.yaml']),
            description='parameters of the nodes; copy the default one to change values',
        ),
        DeclareLaunchArgument(
            'namespace', default_value='hands', description='namespace of nodes and topics'
        ),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='false',
            choices=['true', 'false'],
            description='perception takes the time from /clock, as with a bag played --clock',
        ),
        DeclareLaunchArgument(
            'dds_profile',
            default_value=PathJoinSubstitution([config, 'fastdds_large_images.xml']),
            description='Fast DDS profile for the nodes started here; yours in '
            'FASTRTPS_DEFAULT_PROFILES_FILE (FASTDDS_... from kilted on) wins; empty for none',
        ),
        DeclareLaunchArgument(
            'rviz', default_value='false', choices=['true', 'false'], description='open RViz'
        ),
        DeclareLaunchArgument(
            'rviz_fixed_frame',
            default_value='camera_optical_frame',
            description='frame_id of the images, for RViz',
        ),
    ]

    arguments += [
        DeclareLaunchArgument(
            name,
            default_value='',
            choices=choices and ['', *choices],
            description=f'{description}; empty: as in params_file',
        )
        for name, choices, description in PERCEPTION_ARGUMENTS
    ]

    profile = profile_variable(os.environ.get('ROS_DISTRO', 'jazzy'))
    wiring = {
        'package': 'hand_perception',
        'namespace': LaunchConfiguration('namespace'),
        'output': 'screen',
        'additional_env': {
            profile: EnvironmentVariable(profile, default_value=LaunchConfiguration('dds_profile'))
        },
        'remappings': [
            ('image', LaunchConfiguration('image_topic')),
            ('image/compressed', [LaunchConfiguration('image_topic'), '/compressed']),
            ('camera_info', LaunchConfiguration('camera_info_topic')),
            ('depth', LaunchConfiguration('depth_topic')),
        ],
    }
    source = LaunchConfiguration('source')
    image_transport = ParameterValue(LaunchConfiguration('image_transport'), value_type=str)
    video_source = Node(
        executable='video_source',
        name='video_source',
        parameters=[
            LaunchConfiguration('params_file'),
            {'source': ParameterValue(source, value_type=str), 'transport': image_transport},
        ],
        condition=IfCondition(NotEqualsSubstitution(source, 'none')),
        **wiring,
    )
    use_sim_time = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)

    def perception(context: LaunchContext) -> list[Node]:
        """The node, with the arguments that are given: an empty one must not hide the file's."""
        values = {
            name: LaunchConfiguration(name).perform(context) for name, *_ in PERCEPTION_ARGUMENTS
        }
        given = {
            name: ParameterValue(text, value_type=str) for name, text in values.items() if text
        }
        node = Node(
            executable='perception',
            name='perception',
            parameters=[
                LaunchConfiguration('params_file'),
                {'image_transport': image_transport, 'use_sim_time': use_sim_time, **given},
            ],
            **wiring,
        )
        return [node]

    actions = [video_source, OpaqueFunction(function=perception), _rviz(config, use_sim_time)]
    return LaunchDescription([*arguments, *actions])


def _rviz(config: PathJoinSubstitution, use_sim_time: ParameterValue) -> Node | LogInfo:
    """RViz on the topics of this launch; on a machine without it, a line that says so."""
    condition = IfCondition(LaunchConfiguration('rviz'))
    if 'rviz2' not in get_packages_with_prefixes():
        return LogInfo(msg=NO_RVIZ, condition=condition)
    return Node(
        package='rviz2',
        executable='rviz2',
        name='rviz',
        namespace=LaunchConfiguration('namespace'),
        parameters=[{'use_sim_time': use_sim_time}],
        arguments=[
            '-d',
            PathJoinSubstitution([config, 'hands.rviz']),
            '-f',
            LaunchConfiguration('rviz_fixed_frame'),
        ],
        # hands.rviz holds the default names; relative targets lie in the namespace.
        remappings=[
            ('/hands/image', LaunchConfiguration('image_topic')),
            ('/hands/camera_info', LaunchConfiguration('camera_info_topic')),
            ('/hands/markers', 'markers'),
            ('/hands/htt/markers', 'htt/markers'),
            ('/hands/overlay', 'overlay'),
        ],
        condition=condition,
    )
