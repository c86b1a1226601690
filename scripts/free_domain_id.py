"""Print a ROS domain id that no process on this machine uses."""

import random
from pathlib import Path

# Ports of higher domains reach into those that Linux gives to outgoing connections.
DOMAIN_IDS = range(1, 101)
# Discovery of domain d listens on UDP port 7400 + 250 d (RTPS specification, section 9.6.1.1).
PORT_BASE, PORTS_PER_DOMAIN = 7400, 250


def used_ports() -> set[int]:
    """Return the UDP ports in use."""
    ports = set()
    for table in ('/proc/net/udp', '/proc/net/udp6'):
        path = Path(table)
        lines = path.read_text(encoding='ascii').splitlines()[1:] if path.exists() else []
        ports.update(int(line.split()[1].rpartition(':')[2], 16) for line in lines)
    return ports


def main() -> None:
    """Print one free domain id, a different one each time."""
    used = {(port - PORT_BASE) // PORTS_PER_DOMAIN for port in used_ports()}
    free = [domain_id for domain_id in DOMAIN_IDS if domain_id not in used]
    print(random.SystemRandom().choice(free or list(DOMAIN_IDS)))


if __name__ == '__main__':
    main()
