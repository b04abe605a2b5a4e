"""What takes a minute: a Go worker notices that its broker was started anew only when no PONG came for 60 s."""

import unittest

import frames
import peers
from agent import wait_for
from scene import Scene

PONG_LIMIT = 60                     # seconds, of the newest version; it looks every 5 s and dials again every 5 s


class Reconnect(Scene):
    settings = "function.Sleep.deadline_ms = 120000\n"

    def test_a_worker_comes_back_after_the_agent_was_started_anew(self):
        self.go_worker(peers.NEW)
        self.assert_upper(self.go_calls(peers.NEW, label="before", calls=3), 3)
        self.broker.stop()
        self.broker.start()
        self.assertEqual(frames.asked(self.broker.port, "ToUpper"), frames.CANT_DO)
        wait_for("the worker to come back", lambda: frames.asked(self.broker.port, "ToUpper") != frames.CANT_DO,
                 patience=PONG_LIMIT + 30)
        self.assert_upper(self.go_calls(peers.NEW, label="after", calls=3), 3)

    def test_a_job_longer_than_the_workers_patience_is_answered_on_its_new_connection(self):
        self.go_worker(peers.NEW, "Sleep")
        self.assert_upper(self.go_calls(peers.NEW, "Sleep", label="late", millis="75000", patience="110s"), 1)


if __name__ == "__main__":
    unittest.main()
