"""One worker, the newest item, calls between items, and errors that do not end it."""

import logging
import threading

from hand_perception.ros.worker import NewestItemWorker

TIMEOUT_S = 30


class Work:
    """Processes items one by one when allowed to."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)
        self.done = []
        self.errors = []
        self.worker = NewestItemWorker(self.process, name='work', on_error=self.errors.append)
        self.worker.start()

    def process(self, item):
        self.entered.release()
        assert self.allowed.acquire(timeout=TIMEOUT_S)
        if isinstance(item, Exception):
            raise item
        self.done.append(item)

    def submit_and_enter(self, item):
        has_dropped = self.worker.submit(item)
        assert self.entered.acquire(timeout=TIMEOUT_S)
        return has_dropped


def test_only_the_newest_of_waiting_items_is_processed():
    work = Work()
    assert not work.submit_and_enter(1)
    assert [work.worker.submit(item) for item in (2, 3, 4)] == [False, True, True]
    work.allowed.release(2)
    assert work.entered.acquire(timeout=TIMEOUT_S)
    assert work.worker.stop(TIMEOUT_S)
    assert work.done == [1, 4]


def test_an_error_is_told_and_the_next_item_processed(caplog):
    work = Work()
    logging.getLogger('hand_perception').propagate = True
    error = ValueError('no such hand')
    for item in (error, 'next'):
        work.submit_and_enter(item)
        work.allowed.release()
    assert work.worker.stop(TIMEOUT_S)
    assert work.errors == [error]
    assert work.done == ['next']
    assert 'ValueError: no such hand' in caplog.text  # with its traceback


def test_the_same_error_is_not_logged_for_every_image(caplog):
    work = Work()
    logging.getLogger('hand_perception').propagate = True
    for _ in range(5):
        work.submit_and_enter(ValueError('again'))
        work.allowed.release()
    assert work.worker.stop(TIMEOUT_S)
    assert len(work.errors) == 5
    assert len(caplog.records) == 1


def test_what_waits_when_the_worker_stops_is_not_processed():
    work = Work()
    work.submit_and_enter(1)
    work.worker.submit(2)
    assert not work.worker.stop(timeout_s=0.0)  # still at the first item
    work.allowed.release(2)
    assert work.worker.stop(TIMEOUT_S)
    assert work.done == [1]


def test_a_worker_that_never_started_stops_at_once():
    assert NewestItemWorker(print, name='idle', on_error=print).stop(0.0)


def test_a_call_runs_in_the_workers_thread_between_two_items():
    work = Work()
    work.submit_and_enter(1)
    work.worker.submit(2)
    called = work.worker.call(lambda: (threading.current_thread().name, list(work.done)))
    assert not called.done()
    work.allowed.release(2)
    assert called.result(TIMEOUT_S) == ('work', [1])
    assert work.entered.acquire(timeout=TIMEOUT_S)
    assert work.worker.stop(TIMEOUT_S)
    assert work.done == [1, 2]


def test_an_idle_worker_answers_a_call_and_tells_its_error(caplog):
    work = Work()
    logging.getLogger('hand_perception').propagate = True
    failed = work.worker.call(lambda: 1 / 0)
    assert isinstance(failed.exception(TIMEOUT_S), ZeroDivisionError)
    assert work.worker.call(lambda: 'still there').result(TIMEOUT_S) == 'still there'
    assert work.worker.stop(TIMEOUT_S)
    assert 'ZeroDivisionError' in caplog.text
    assert work.errors == []  # no image was lost


def test_calls_that_wait_when_the_worker_stops_are_cancelled():
    work = Work()
    work.submit_and_enter(1)
    waiting = work.worker.call(lambda: 2)
    assert not work.worker.stop(timeout_s=0.0)
    assert waiting.cancelled()
    assert work.worker.call(lambda: 3).cancelled()
    work.allowed.release()
