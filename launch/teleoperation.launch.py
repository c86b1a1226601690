"""Start the perception of hands and the teleoperation that drives arms and hands with them.

    ros2 launch hand_perception teleoperation.launch.py arm_config:=/data/my_arm.yaml \
        right_arm_pose_topic:=/my_arm/tool_pose right_target_topic:=/servo_node/pose_target_cmds
    ros2 launch hand_perception teleoperation.launch.py source:=synthetic sides:=both \
        arm_config:=/data/no_arm.yaml

With source:=none, the default, a camera driver publishes the images and perception starts as in
robot.launch.py; otherwise as in egocentric.launch.py. Their arguments count here, too. Nothing
moves before somebody engages, and no side engages before its arm has told where it is (arm_pose,
or left_tool_frame and right_tool_frame). Without an arm, as with source:=synthetic, arm_config has
to set arm_feedback: false for teleop; scripts/demo --teleop brings a simulated arm. All arguments:
docs/launch.md, or --show-args.
"""

import os

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import (
    EnvironmentVariable,
    EqualsSubstitution,
    LaunchConfiguration,
    NotEqualsSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from hand_perception.dds_profile import profile_variable

# Parameters of teleop that are arguments, too: name, allowed values (none: any), what it is.
# Empty leaves what the parameter files say.
TELEOP_ARGUMENTS = (
    ('sides', ['left', 'right', 'both'], 'hands that drive an arm'),
    ('clutch', ['service', 'button', 'pinch'], 'what engages'),
    ('dead_man', ['none', 'button', 'pinch'], 'what must be held while engaged'),
    ('base_frame', None, 'frame of the targets: the base of the robot'),
    ('hand_urdf_dir', None, 'folder that urdf_path in a hand configuration starts from'),
    ('left_hand_config', None, 'YAML file of dex-retargeting for the left robot hand'),
    ('right_hand_config', None, 'YAML file of dex-retargeting for the right robot hand'),
)
# Topics of teleop that a robot names differently: argument, name in the node, what it is.
TOPIC_ARGUMENTS = (
    ('joy_topic', 'joy', 'buttons of the clutch (sensor_msgs/Joy)'),
    ('joint_states_topic', 'joint_states', 'joints of the robot hands'),
    ('left_arm_pose_topic', '~/left/arm_pose', 'where the left arm is (PoseStamped)'),
    ('right_arm_pose_topic', '~/right/arm_pose', 'where the right arm is (PoseStamped)'),
    ('left_target_topic', '~/left/target', 'where the left arm should be (PoseStamped)'),
    ('right_target_topic', '~/right/target', 'where the right arm should be (PoseStamped)'),
    ('left_twist_topic', '~/left/twist', 'how the left arm should move (TwistStamped)'),
    ('right_twist_topic', '~/right/twist', 'how the right arm should move (TwistStamped)'),
)


def generate_launch_description() -> LaunchDescription:
    """Describe perception and the teleoperation node, wired by the arguments."""
    share = FindPackageShare('hand_perception')
    arguments = [
        DeclareLaunchArgument(
            'source',
            default_value='none',
            description='none when a camera driver publishes the images; or synthetic (the '
            'built-in clip), a video file, a folder of images, a camera number',
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value=PathJoinSubstitution([share, 'config', 'teleoperation.yaml']),
            description='parameters of all nodes; copy the default one to change values',
        ),
        DeclareLaunchArgument(
            'arm_config',
            default_value='',
            description='parameter file of teleop for one robot: base_frame, axis_map, box, '
            'limits; wins over params_file',
        ),
        DeclareLaunchArgument(
            'namespace', default_value='hands', description='namespace of perception'
        ),
        DeclareLaunchArgument(
            'teleop_namespace',
            default_value='',
            description='namespace of the node teleop; its topics are <it>/teleop/...',
        ),
        DeclareLaunchArgument(
            'use_sim_time',
            default_value='false',
            choices=['true', 'false'],
            description='take the time from /clock',
        ),
        DeclareLaunchArgument(
            'dds_profile',
            default_value=PathJoinSubstitution([share, 'config', 'fastdds_large_images.xml']),
            description='Fast DDS profile for the nodes started here; empty for none',
        ),
    ]
    arguments += [
        DeclareLaunchArgument(
            name,
            default_value='',
            choices=choices and ['', *choices],
            description=f'{description}; empty: as in the parameter files',
        )
        for name, choices, description in TELEOP_ARGUMENTS
    ]
    arguments += [
        DeclareLaunchArgument(name, default_value=topic, description=description)
        for name, topic, description in TOPIC_ARGUMENTS
    ]
    return LaunchDescription(
        [
            *arguments,
            _perception(share, 'robot.launch.py', EqualsSubstitution),
            _perception(share, 'egocentric.launch.py', NotEqualsSubstitution),
            OpaqueFunction(function=_teleop),
        ]
    )


def _perception(share: FindPackageShare, name: str, compare: type) -> IncludeLaunchDescription:
    """Include one of the two launch files of perception, by the argument source."""
    source = LaunchConfiguration('source')
    return IncludeLaunchDescription(
        PathJoinSubstitution([share, 'launch', name]),
        launch_arguments=[
            (argument, LaunchConfiguration(argument))
            for argument in ('params_file', 'namespace', 'use_sim_time', 'dds_profile')
        ],
        condition=IfCondition(compare(source, 'none')),
    )


def _teleop(context: LaunchContext) -> list[Node]:
    """The node, with the arguments that are given: an empty one must not hide the files'."""
    values = {name: LaunchConfiguration(name).perform(context) for name, *_ in TELEOP_ARGUMENTS}
    given = {name: ParameterValue(text, value_type=str) for name, text in values.items() if text}
    arm_config = LaunchConfiguration('arm_config').perform(context)
    profile = profile_variable(os.environ.get('ROS_DISTRO', 'jazzy'))
    hands = LaunchConfiguration('namespace').perform(context).strip('/')
    node = Node(
        package='hand_perception',
        executable='teleop',
        name='teleop',
        namespace=LaunchConfiguration('teleop_namespace'),
        output='screen',
        parameters=[
            LaunchConfiguration('params_file'),
            *([ParameterFile(arm_config)] if arm_config else []),
            {
                'use_sim_time': ParameterValue(
                    LaunchConfiguration('use_sim_time'), value_type=bool
                ),
                **given,
            },
        ],
        remappings=[
            ('hands/left/pose', f'/{hands}/left/pose'),
            ('hands/right/pose', f'/{hands}/right/pose'),
            *((topic, LaunchConfiguration(name)) for name, topic, _ in TOPIC_ARGUMENTS),
        ],
        additional_env={
            profile: EnvironmentVariable(profile, default_value=LaunchConfiguration('dds_profile'))
        },
    )
    return [node]
