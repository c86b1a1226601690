"""Write received messages as they are into a rosbag2 bag (mcap), with or without a distro."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hand_perception.errors import SourceError
from hand_perception.optional import require
from hand_perception.shared_files import find_shared

_DEFAULT_DISTRO = 'jazzy'


class BagWriter:
    """A bag in the mcap format, compressed message by message.

    The ``rosbags`` package writes it: rosbag2 itself is not on PyPI, and the files are the same.
    """

    def __init__(self, folder: Path) -> None:
        """Open a bag.

        Raises:
            MissingPackageError: rosbags is not installed.
            SourceError: the folder is there already, or cannot be written.
        """
        rosbag2 = require('rosbags.rosbag2', purpose='recording', install='pip install rosbags')
        self._typesys = require('rosbags.typesys', purpose='recording')
        self._typestore = _make_typestore(self._typesys)
        self._writer = rosbag2.Writer(folder, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP)
        try:
            self._writer.open()
        except (OSError, rosbag2.WriterError) as error:
            raise SourceError(f'cannot record into {folder}: {error}') from error

    def connect(
        self, topic: str, message_type: type, *, is_latched: bool = False
    ) -> Callable[[bytes], None]:
        """Add a topic; return the function that writes one of its serialised messages.

        Args:
            topic: full name.
            message_type: class of its messages.
            is_latched: played back, it is to reach subscribers that come later, too.
        """
        name = f'{message_type.__module__.split(".")[0]}/msg/{message_type.__name__}'
        profiles = (_latched_profile(),) if is_latched else ()
        connection = self._writer.add_connection(
            topic, name, typestore=self._typestore, offered_qos_profiles=profiles
        )

        def write(cdr: bytes) -> None:
            self._writer.write(connection, time.time_ns(), cdr)

        return write

    def close(self) -> None:
        """Finish the bag."""
        self._writer.close()


def _latched_profile() -> Any:
    """Give qos.LATCHED in the words of a bag."""
    words = require('rosbags.interfaces', purpose='recording')
    unlimited = words.QosTime(sec=0, nsec=0)  # what rmw means by its default
    return words.Qos(
        history=words.QosHistory.KEEP_LAST,
        depth=1,
        reliability=words.QosReliability.RELIABLE,
        durability=words.QosDurability.TRANSIENT_LOCAL,
        deadline=unlimited,
        lifespan=unlimited,
        liveliness=words.QosLiveliness.SYSTEM_DEFAULT,
        liveliness_lease_duration=unlimited,
        avoid_ros_namespace_conventions=False,
    )


def _make_typestore(typesys: Any) -> Any:
    """Know the standard messages of the distro in use, and ours from their definitions."""
    distro = os.environ.get('ROS_DISTRO', _DEFAULT_DISTRO).upper()
    stores = typesys.Stores
    store = getattr(stores, f'ROS2_{distro}', getattr(stores, f'ROS2_{_DEFAULT_DISTRO.upper()}'))
    typestore = typesys.get_typestore(store)
    folder = find_shared('msg')
    if folder is None:
        raise SourceError(
            'the message definitions (share/hand_perception/msg) are not there; build the package '
            'with colcon and source its setup file'
        )
    types: dict[str, Any] = {}
    for path in sorted(folder.glob('*.msg')):
        name = f'hand_perception/msg/{path.stem}'
        types.update(typesys.get_types_from_msg(path.read_text(encoding='utf-8'), name))
    typestore.register(types)
    return typestore
