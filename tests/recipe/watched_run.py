"""A command, and where all the processes that come of it listen while it runs."""

import ipaddress
import os
import subprocess
import threading
import uuid

import psutil

_MARK = "DIFFICULTY_CALIB_TEST_RUN"


def run(command, environment, timeout):
    """Run to the end; returns the exit code, the output, and the `Watch` over it."""
    watch = Watch()
    with watch:
        done = subprocess.run(
            command,
            env=environment | {_MARK: watch.mark},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    return done.returncode, done.stdout + done.stderr, watch


class Watch:
    """Looks twice a second at the processes with a mark in their environment:
    Ray's daemons have no parent left.

    Attributes:
        listeners: (address, port) -> name of the process that listens there for TCP connections.
        prefixes: what the names of the run's segments of shared memory begin with.
    """

    def __init__(self):
        self.mark = uuid.uuid4().hex
        self.listeners = {}
        self.prefixes = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    @property
    def open_to_the_network(self):
        """The listeners that another machine could reach."""
        return {
            address: name
            for address, name in self.listeners.items()
            if not _is_loopback(address[0])
        }

    def _watch(self):
        while not self._stop.wait(0.5):
            for process in psutil.process_iter():
                try:
                    self._look_at(process)
                except psutil.Error:
                    continue  # it has ended meanwhile, or is another user's

    def _look_at(self, process):
        environment = process.environ()
        if environment.get(_MARK) != self.mark or process.pid == os.getpid():
            return
        if prefix := environment.get("DIFFICULTY_CALIB_SHM_PREFIX"):
            self.prefixes.add(prefix)
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                self.listeners[connection.laddr[:2]] = " ".join(process.cmdline())[:80]


def _is_loopback(text):
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
