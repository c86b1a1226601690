"""A test bench for nodes: topics in a namespace of its own, waits on events."""

import threading

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.task import Future

from hand_perception.ros.perception_node import PerceptionNode

#: Longest wait for anything; only a broken test or a stalled machine gets there.
TIMEOUT_S = 30.0
_LOOK_S = 0.005


class Inbox:
    """What came on one topic."""

    def __init__(self):
        self.condition = threading.Condition()
        self.messages = []
        self.num_matched = 0

    def put(self, message):
        with self.condition:
            self.messages.append(message)
            self.condition.notify_all()

    def matched(self, event):
        with self.condition:
            self.num_matched = event.current_count
            self.condition.notify_all()

    def wait(self, predicate, *, what):
        """Wait until a message satisfies ``predicate`` and return the first one that does."""

        def find():
            return next((m for m in self.messages if predicate(m)), None)

        with self.condition:
            found = self.condition.wait_for(find, TIMEOUT_S)
        assert found is not None, f'{what} did not come; {len(self.messages)} others did'
        return found

    def wait_count(self, count):
        with self.condition:
            came = self.condition.wait_for(lambda: len(self.messages) >= count, TIMEOUT_S)
        assert came, f'{len(self.messages)} messages came, expected {count}'
        return self.messages[:count]

    def wait_matched(self, count=1):
        with self.condition:
            matched = self.condition.wait_for(lambda: self.num_matched >= count, TIMEOUT_S)
        assert matched, 'nobody on the other side of the topic'


class Bench:
    """Spins the node under test beside a node of the test, in one thread."""

    def __init__(self, context, *, namespace):
        self.context = context
        self.namespace = namespace
        self.node = Node('bench', context=context, namespace=namespace)
        self._nodes = [self.node]
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self._stop = Future(executor=self._executor)
        self._thread = threading.Thread(target=self._spin, name='bench', daemon=True)
        self._thread.start()

    def _spin(self):
        self._executor.spin_until_future_complete(self._stop)

    def close(self):
        self._stop.set_result(None)
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        for node in reversed(self._nodes):
            self._executor.remove_node(node)
            node.close() if hasattr(node, 'close') else node.destroy_node()
        self._executor.shutdown()

    def node_options(self, **parameters):
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        return {
            'context': self.context,
            'namespace': self.namespace,
            'parameter_overrides': overrides,
        }

    def add(self, node):
        """Spin a node; it is closed at the end."""
        self._nodes.append(node)
        self._executor.add_node(node)
        return node

    def start_perception(self, pipeline, **parameters):
        defaults = {'max_age_ms': 0.0, 'camera_info_timeout_s': 0.0, 'reliability': 'reliable'}
        parameters = {**defaults, **parameters}
        return self.add(PerceptionNode(lambda _: pipeline, **self.node_options(**parameters)))

    def listen(self, kind, topic, *, qos=10, wait=True):
        """Subscribe; by default wait until the node under test is found."""
        inbox = Inbox()
        events = SubscriptionEventCallbacks(matched=inbox.matched)
        self.node.create_subscription(kind, topic, inbox.put, qos, event_callbacks=events)
        self._executor.wake()
        if wait:
            inbox.wait_matched()
        return inbox

    def talk(self, kind, topic, *, qos=None, wait=True):
        """Make a publisher; by default wait until the node under test listens."""
        inbox = Inbox()
        publisher = self.node.create_publisher(
            kind, topic, qos or QoSProfile(depth=10),
            event_callbacks=PublisherEventCallbacks(matched=inbox.matched),
        )  # fmt: skip
        self._executor.wake()
        if wait:
            inbox.wait_matched()
        return publisher

    def call(self, kind, name, request):
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(TIMEOUT_S)
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(TIMEOUT_S), f'service {name} did not answer'
        return future.result()

    def wait_until(self, condition, *, what):
        """Wait for something no topic tells: looked at by the executor's thread."""
        done = threading.Event()
        timer = self.node.create_timer(_LOOK_S, lambda: done.set() if condition() else None)
        self._executor.wake()
        assert done.wait(TIMEOUT_S), f'{what} did not come'
        self.node.destroy_timer(timer)

    def diagnostics(self):
        return DiagnosticsInbox(self)


class DiagnosticsInbox:
    """The status of the node under test."""

    def __init__(self, bench):
        self._name = f'{bench.namespace}/perception: images to hands'
        self._inbox = bench.listen(DiagnosticArray, '/diagnostics')

    def wait(self, predicate, *, what):
        """Wait for a status; ``predicate`` gets it and its values as a dict."""

        def matches(array):
            return any(
                status.name == self._name and predicate(status, values_of(status))
                for status in array.status
            )

        array = self._inbox.wait(matches, what=what)
        return next(status for status in array.status if status.name == self._name)


def values_of(status):
    return {pair.key: pair.value for pair in status.values}
