"""Start the processes of a node benchmark together and collect what they measured."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
PROFILE = _HERE.parent / 'config' / 'fastdds_large_images.xml'
_TIMEOUT_S = 60.0


def run_together(
    roles: Mapping[str, Sequence[str]], *, ends: str, with_profile: bool
) -> dict[str, dict[str, Any]]:
    """Run roles of ``ros_roles.py`` until one of them ends, then end the others.

    Args:
        roles: role -> options; started in this order.
        ends: the role that ends by itself.
        with_profile: whether all use the shipped DDS profile.

    Returns:
        What each role printed.
    """
    environment = dict(os.environ)
    environment.pop('FASTRTPS_DEFAULT_PROFILES_FILE', None)
    if with_profile:
        environment['FASTRTPS_DEFAULT_PROFILES_FILE'] = str(PROFILE)
    processes = {
        role: subprocess.Popen(
            [sys.executable, str(_HERE / 'ros_roles.py'), role, *options],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for role, options in roles.items()
    }  # fmt: skip
    try:
        results = {ends: processes[ends].communicate(timeout=_TIMEOUT_S)[0]}
        for role, process in processes.items():
            if role != ends:
                process.send_signal(signal.SIGINT)
                results[role] = process.communicate(timeout=_TIMEOUT_S)[0]
    finally:
        for process in processes.values():
            process.kill()
    return {role: json.loads(text.splitlines()[-1]) for role, text in results.items()}
