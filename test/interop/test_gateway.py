"""The HTTP gateway as nmid's users call it, by curl, with a Go worker behind it."""

import json
import subprocess
import unittest

import peers
from scene import Scene

DO_WORK = "N-NMID-RequestType: HTTP_DO_WORK"


class Gateway(Scene):
    settings = "function.Fail.deadline_ms = 500\n"

    def curl(self, path, body, *headers):
        """Status, the headers that begin with N-Nmid (their names as they were sent), and the body."""
        words = [word for header in headers for word in ("-H", header)]
        done = subprocess.run(["curl", "--silent", "--show-error", "--include", "--max-time", "20", *words, "--data-binary", body,
                               f"http://127.0.0.1:{self.broker.http}{path}"], capture_output=True, text=True, check=True)
        head, _, body = done.stdout.partition("\n\n")
        status, *lines = head.splitlines()
        shown = dict(line.split(": ", 1) for line in lines if line.startswith("N-Nmid"))
        return int(status.split()[1]), shown, body

    def test_a_call_by_header_gets_the_bare_data(self):
        for version in peers.VERSIONS:
            with self.subTest(worker=version):
                program = self.go_worker(version)
                for kind in ("5", "6"):
                    status, shown, body = self.curl("/", '{"name":"nmid"}', DO_WORK, "N-NMID-FunctionName: ToUpper",
                                                    f"N-NMID-ParamsType: {kind}", "N-NMID-ParamsHandleType: 10")
                    self.assertEqual((status, body), (200, "NMID"))
                    self.assertEqual(shown["N-Nmid-Functionname"], "ToUpper")
                    self.assertEqual(shown["N-Nmid-Pdtdatatype"], "PDT_S_RETURN_DATA")
                program.kill()

    def test_a_worker_of_the_first_generation_is_called_alike(self):
        self.first_worker()
        status, _, body = self.curl("/", '{"name":"nmid"}', DO_WORK, "N-NMID-FunctionName: ToUpper")
        self.assertEqual((status, body), (200, "NMID"))

    def test_failures_are_told_in_the_old_words(self):
        self.go_worker(peers.NEW, "Refuse,Fail")
        status, shown, body = self.curl("/", '{"name":"x"}', DO_WORK, "N-NMID-FunctionName: Refuse")
        self.assertEqual((status, shown["N-Nmid-Messagestatustype"], shown["N-Nmid-Errormessage"], body),
                         (200, "RET CODE ERROR", "bad", ""))
        status, shown, _ = self.curl("/", '{"name":"x"}', DO_WORK, "N-NMID-FunctionName: Nobody")
        self.assertEqual((status, shown["N-Nmid-Messagestatustype"], shown["N-Nmid-Errormessage"]),
                         (500, "REQUST ERROR", "have no job do"))
        status, shown, _ = self.curl("/", '{"name":"x"}', DO_WORK, "N-NMID-FunctionName: Fail")
        self.assertEqual((status, shown["N-Nmid-Messagestatustype"], shown["N-Nmid-Errormessage"]),
                         (408, "REQUST TIME OUT", "RESTIMEOUT"))

    def test_the_modern_face_answers_with_json(self):
        self.go_worker(peers.NEW)
        status, _, body = self.curl("/call/ToUpper", '{"name":"nmid"}', "Content-Type: application/json")
        self.assertEqual((status, json.loads(body)["data"]), (200, "NMID"))


if __name__ == "__main__":
    unittest.main()
