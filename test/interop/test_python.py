"""The Python SDK out of the module: its own examples unmodified, and with Go on the other side.

Its worker says nothing about itself but its functions; its client knows msgpack maps only, and waits for ever.
"""

import unittest

import peers
from scene import Scene


class PythonPeers(Scene):
    def test_the_sdks_example_client_and_worker_meet(self):
        self.python_worker()
        said = self.ran([*self.python("example.py"), "client", self.broker.port], self.python_env())
        self.assertEqual(said, "NIHAONIHAO\n")

    def test_go_clients_reach_the_python_worker(self):
        self.python_worker()
        for version in peers.VERSIONS:
            with self.subTest(client=version):
                self.assert_upper(self.go_calls(version, label="go", calls=10), 10)
                self.assert_upper(self.go_calls(version, label="json", calls=10, json=True), 10)

    def test_a_python_client_reaches_go_workers(self):
        for version in peers.VERSIONS:
            with self.subTest(worker=version):
                program = self.go_worker(version)
                self.assert_upper(self.python_calls(label="python", calls=10), 10)
                program.kill()

    def test_a_python_client_is_told_that_nobody_serves(self):
        call = self.python_calls("Nobody")[0]
        self.assertEqual((call["Outcome"], call["Msg"]), ("error", "have no job do"))

    def test_python_and_go_workers_share_a_function(self):
        self.python_worker()
        self.go_worker(peers.NEW, name="beside")
        self.assert_upper(self.go_calls(peers.NEW, label="both", connections=4, calls=25), 100)


if __name__ == "__main__":
    unittest.main()
