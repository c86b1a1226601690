"""The command hand_perception: each subcommand parses and calls one function."""
