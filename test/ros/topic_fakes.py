"""A node and its topics that only remember, for parts of nodes."""

import types
from dataclasses import dataclass, field


class Log:
    """A logger that keeps its lines."""

    def __init__(self):
        self.lines = []

    def _add(self, text, **_):
        self.lines.append(text)

    info = warning = error = _add


@dataclass
class FakeNode:
    """As much of a node as the frames need."""

    namespace: str = '/hands'
    log: Log = field(default_factory=Log)
    now_ns: int = 0

    def get_namespace(self):
        return self.namespace

    def get_logger(self):
        return self.log

    def get_clock(self):
        return types.SimpleNamespace(now=lambda: types.SimpleNamespace(nanoseconds=self.now_ns))


class Topics:
    """Makes publishers that keep what they are given."""

    def __init__(self, *, num_subscribers=1):
        self.sent = {}
        self.num_subscribers = num_subscribers

    def __call__(self, kind, topic, profile):
        self.sent[topic] = []
        return types.SimpleNamespace(
            publish=self.sent[topic].append,
            get_subscription_count=lambda: self.num_subscribers,
        )
