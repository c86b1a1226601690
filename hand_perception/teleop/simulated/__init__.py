"""An arm, a person and a camera with faults, to try teleoperation without any of them."""
