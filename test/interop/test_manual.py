"""The manual's client and worker, compiled as they are printed, with the SDK's own time-out and a real etcd.

What the manual leaves out is added in front of its functions: package, imports, and where broker and etcd are.
"""

import json
import unittest

import peers
from agent import wait_for
from etcd import Etcd
from scene import Scene

TRIES = 50                          # the client has 30 ms; a busy machine may need more


class Manual(Scene):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.etcd = Etcd()
        cls.addClassCleanup(cls.etcd.close)

    def setUp(self):
        super().setUp()
        self.place = {"NMID_HOST": "127.0.0.1", "NMID_PORT": str(self.broker.port), "NMID_ETCD": self.etcd.address}
        self.served([peers.manual_worker()], ["ToUpper"], self.place, sign=None)

    def test_the_client_gets_its_answer_within_thirty_milliseconds(self):
        for _ in range(TRIES):
            said = self.ran([peers.manual_client()], self.place)
            if "time out here" not in said:
                break
        self.assertEqual(said, "NMID\n")

    def test_the_worker_stands_in_etcd(self):
        written = wait_for("nmid/Worker1 in etcd", lambda: self.etcd.value("nmid/Worker1"))
        self.assertEqual(json.loads(written), {"ToUpper": [self.address()]})

    def test_a_client_of_the_oldest_version_reaches_it(self):
        self.assert_upper(self.go_calls(peers.OLD, label="old", calls=10), 10)


if __name__ == "__main__":
    unittest.main()
