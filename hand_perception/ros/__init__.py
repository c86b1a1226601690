"""ROS 2 nodes and what they are made of: the only folder that imports rclpy."""
