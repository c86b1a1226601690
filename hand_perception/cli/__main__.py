"""``python -m hand_perception.cli`` is the command ``hand_perception``."""

import sys

from hand_perception.cli.main import main

sys.exit(main())
