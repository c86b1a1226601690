"""Teleoperation: hands in, bounded motion of an arm out; no ROS, and the time is always given."""
