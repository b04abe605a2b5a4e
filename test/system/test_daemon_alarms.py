"""msf_daemon tells of what is wrong: a receiver that takes notes proves what arrives, in which order, how signed and how
often; hosts that do not answer prove that nobody waits for them."""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from house import wait_for
from test_daemon_attacks import DaemonCase

LOOPS = {"immediate": 0, "delay_ms": 5, "delay_max_ms": 10, "reset_ms": 100}


class Receiver:
    """A server that keeps what is posted. `answers` are given one after the other, the last one for ever."""

    def __init__(self, test, answers=((200, b"{}"),), context=None):
        self.posts = []
        posts, left = self.posts, list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status, text = left.pop(0) if len(left) > 1 else left[0]
                posts.append((self.path, dict(self.headers), body, time.time()))
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        test.addCleanup(self.server.server_close)
        test.addCleanup(self.server.shutdown)

    def alarms(self):
        return [alarm for _, _, body, _ in self.posts for alarm in json.loads(body)["alarms"]]

    def told(self):
        return [(alarm["service"], alarm["kind"], alarm["state"]) for alarm in self.alarms()]


class Alarms(DaemonCase):
    def loops(self, name="loops"):
        """Dies until the file `well` is there."""
        return self.script(name, f"[ -e {self.house.folder}/well ] && exec sleep 1000; exit 3", restart=LOOPS)

    def hook(self, receiver, **more):
        return {"to": "webhook", "url": f"http://127.0.0.1:{receiver.port}/alarm", **more}

    def well(self):
        (self.house.folder / "well").write_text("")

    def test_an_alarm_and_its_end_arrive_once_and_in_order(self):
        receiver = Receiver(self)
        self.configure(self.loops(), alarms=[self.hook(receiver)])
        daemon = self.start()
        wait_for("the alarm", lambda: receiver.told())
        restarts = self.status("loops")["restarts"]
        wait_for("many more deaths", lambda: self.status("loops")["restarts"] > restarts + 20)
        self.assertEqual(receiver.told(), [("loops", "crash-loop", "raised")])
        alarm = receiver.alarms()[0]
        self.assertEqual((alarm["severity"], alarm["text"], alarm["host"]), ("critical", "exit code 3", socket.gethostname()))
        self.well()
        wait_for("the end of it", lambda: len(receiver.told()) > 1)
        self.assertEqual(receiver.told()[1:], [("loops", "crash-loop", "recovered")])
        self.ends(daemon)

    def test_a_robot_is_told_with_its_signature_and_what_it_refuses_is_not_said_again(self):
        refused = (200, b'{"errcode": 310000, "errmsg": "sign not match"}')
        receiver = Receiver(self, [(200, b'{"errcode": 0, "errmsg": "ok"}'), refused])
        self.configure(self.loops(), alarms=[self.hook(receiver, url=f"http://127.0.0.1:{receiver.port}/send?access_token=t",
                                                       form="dingtalk", secret="SECret")])
        daemon = self.start()
        wait_for("the alarm", lambda: receiver.posts)
        path, headers, body, when = receiver.posts[0]
        query = parse_qs(urlsplit(path).query)
        stamp = query["timestamp"][0]
        expected = base64.b64encode(hmac.new(b"SECret", f"{stamp}\nSECret".encode(), hashlib.sha256).digest()).decode()
        self.assertEqual((query["sign"], query["access_token"]), ([expected], ["t"]))
        self.assertLess(abs(int(stamp) / 1000 - when), 5)
        self.assertTrue(headers["content-type"].startswith("application/json"))
        message = json.loads(body)
        self.assertEqual(message["msgtype"], "markdown")
        self.assertIn("loops: crash-loop: exit code 3", message["markdown"]["text"])
        self.well()
        wait_for("what the robot says", lambda: "sign not match" in self.log())
        self.assertEqual(len(receiver.posts), 2)
        self.assertNotIn("SECret", self.log())
        self.assertNotIn("access_token", self.log())
        self.ends(daemon)

    def test_a_server_that_is_ill_is_told_again_and_one_that_refuses_is_not(self):
        ill = Receiver(self, [(503, b""), (429, b""), (200, b"")])
        refusing = Receiver(self, [(404, b"")])
        self.configure(self.loops(), alarms=[self.hook(ill), self.hook(refusing)])
        daemon = self.start()
        wait_for("the third attempt", lambda: len(ill.posts) == 3)
        self.assertEqual(len({body for _, _, body, _ in ill.posts}), 1)
        self.assertEqual(len(refusing.posts), 1)
        wait_for("what became of it", lambda: "HTTP status 404" in self.log())
        self.ends(daemon)

    def test_what_is_too_much_for_a_minute_waits(self):
        receiver = Receiver(self)
        self.configure(*(self.loops(f"p{i}") for i in range(12)), alarms=[self.hook(receiver, per_minute=4)])
        daemon = self.start()
        wait_for("as many as may be", lambda: len(receiver.posts) == 4)
        events = self.house.log / "msf_daemon.events.jsonl"
        raised = lambda: sum('"crash-loop"' in line for line in events.read_text().splitlines())
        wait_for("all alarms", lambda: raised() == 12)
        time.sleep(0.3)
        self.assertEqual((len(receiver.posts), len(receiver.alarms())), (4, 4))
        self.ends(daemon)

    def test_a_command_is_run_with_the_message_and_one_at_a_time(self):
        notes = self.house.folder / "notes"
        text = f'cat >> {notes}; echo "$MSF_ALARM_SERVICE $MSF_ALARM_KIND $MSF_ALARM_STATE $MSF_ALARM_COUNT" >> {notes}'
        hangs = {"to": "command", "command": ["sh", "-c", f"echo x >> {self.house.folder}/hung; exec sleep 1000"], "timeout_ms": 200}
        self.configure(self.loops("a"), self.loops("b"), alarms=[{"to": "command", "command": ["sh", "-c", text]}, hangs])
        daemon = self.start()
        lines = lambda: notes.read_text().splitlines() if notes.exists() else []
        wait_for("both alarms", lambda: len(lines()) >= 4)
        self.assertEqual({json.loads(line)["alarms"][0]["service"] for line in lines()[0::2]}, {"a", "b"})
        self.assertEqual(set(lines()[1::2]), {"a crash-loop raised 1", "b crash-loop raised 1"})
        wait_for("the one that hangs to be killed twice", lambda: self.log().count("sh did not take an alarm: SIGKILL") == 2)
        self.ends(daemon)

    def test_a_host_that_does_not_answer_delays_nobody(self):
        deaf = socket.socket()
        self.addCleanup(deaf.close)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        receiver = Receiver(self)
        silent = {"to": "webhook", "url": f"http://127.0.0.1:{deaf.getsockname()[1]}/", "timeout_ms": 60000}
        self.configure(self.loops(), self.sleeper("well"), alarms=[silent, self.hook(receiver)])
        daemon = self.start()
        wait_for("the other to be told", lambda: receiver.told())
        for _ in range(20):
            pid = self.status("well")["pid"]
            began = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            wait_for("its successor", lambda: self.status("well")["pid"] not in (None, pid))
            self.assertLess(time.monotonic() - began, 2)
        self.ends(daemon)

    def test_a_reload_changes_who_is_told(self):
        first, second = Receiver(self), Receiver(self)
        self.configure(self.loops("a"), alarms=[self.hook(first)])
        daemon = self.start()
        wait_for("the first", lambda: first.told())
        self.configure(self.loops("a"), self.loops("b"), alarms=[self.hook(second)])
        self.assertEqual(self.call("reload").returncode, 0)
        wait_for("the second", lambda: second.told())
        self.assertEqual((first.told(), second.told()), ([("a", "crash-loop", "raised")], [("b", "crash-loop", "raised")]))
        self.ends(daemon)

    def test_regress_an_alarm_whose_check_is_gone_from_the_file_is_over(self):
        receiver = Receiver(self)
        limits = {"sample_ms": 50, "threads": {"warn": 1, "periods": 1}, "fds": {"warn": 1, "periods": 1}}
        sick = {"by": "exec", "command": ["false"], "interval_ms": 50, "failures": 1, "act": "alarm"}
        self.configure({**self.sleeper(), "limits": limits, "health": sick}, alarms=[self.hook(receiver)])
        daemon = self.start()
        wait_for("the alarms", lambda: len(receiver.told()) == 3)
        del limits["threads"]
        self.configure({**self.sleeper(), "limits": limits}, alarms=[self.hook(receiver)])
        self.assertEqual(self.call("reload").returncode, 0)
        wait_for("the end of two", lambda: len(receiver.told()) == 5)
        self.assertEqual(set(receiver.told()[3:]), {("one", "threads", "recovered"), ("one", "health", "recovered")})
        self.configure(self.sleeper(), alarms=[self.hook(receiver)])
        self.assertEqual(self.call("reload").returncode, 0)
        wait_for("the end of the third", lambda: len(receiver.told()) == 6)
        self.assertEqual(receiver.told()[5:], [("one", "files", "recovered")])
        self.ends(daemon)

    def test_regress_who_said_that_it_is_ill_is_well_when_its_successor_is(self):
        says = ("import os, socket, sys, time\n"
                "peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
                "peer.connect(os.environ['NOTIFY_SOCKET'])\n"
                "peer.send(b'READY=1')\n"
                "first = not os.path.exists(sys.argv[1])\n"
                "open(sys.argv[1], 'w').close()\n"
                "if first: peer.send(b'WATCHDOG=trigger')\n"
                "while True:\n"
                "  peer.send(b'WATCHDOG=1')\n"
                "  time.sleep(0.02)\n")
        for kind, health in (("none", None), ("heartbeat", {"by": "heartbeat", "interval_ms": 1000})):
            with self.subTest(kind):
                receiver = Receiver(self)
                process = self.command("one", sys.executable, "-c", says, str(self.house.folder / kind), ready={"by": "notify"})
                self.configure({**process, **({"health": health} if health else {})}, alarms=[self.hook(receiver)])
                daemon = self.start()
                wait_for("the end of it", lambda: len(receiver.told()) == 2)
                self.assertEqual(receiver.told(), [("one", "health", "raised"), ("one", "health", "recovered")])
                self.assertEqual(self.status("one")["restarts"], 1)
                self.ends(daemon)


class Tls(DaemonCase):
    def certificates(self):
        """A CA of our own, and 127.0.0.1's certificate by it."""
        folder = self.house.folder
        make = lambda *words: subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        make("req", "-x509", *ec, "-subj", "/CN=a CA", "-keyout", "ca.key", "-out", "ca.pem")
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:false\n")
        make("req", *ec[:-2], "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
        make("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
             "-extfile", "names", "-out", "server.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        return context

    def test_a_server_whom_the_ca_vouches_for_is_told_and_a_stranger_is_not(self):
        if "built without TLS" in self.refusal():
            self.skipTest("this msf_daemon is built without TLS")
        receiver = Receiver(self, context=self.certificates())
        stranger = Receiver(self, context=self.certificates_of_others())
        hook = lambda at: {"to": "webhook", "url": f"https://127.0.0.1:{at.port}/alarm", "ca_file": str(self.house.folder / "ca.pem")}
        self.configure(self.script("dies", "exit 1", restart=LOOPS), alarms=[hook(receiver), hook(stranger)])
        daemon = self.start()
        wait_for("the alarm", lambda: receiver.told())
        wait_for("why the other is not told", lambda: f"https://127.0.0.1:{stranger.port}: cannot be told" in self.log())
        self.assertEqual(stranger.posts, [])
        self.ends(daemon)

    def certificates_of_others(self):
        folder = self.house.folder
        ours = (folder / "ca.pem").read_text()
        context = self.certificates()
        (folder / "ca.pem").write_text(ours)
        return context

    def refusal(self):
        self.configure(self.sleeper(), alarms=[{"to": "webhook", "url": "https://h/", "ca_file": "/nowhere/at/all"}])
        done = self.call("-c", self.file)
        self.assertEqual(done.returncode, 2)
        return done.stderr

    def test_without_tls_or_a_ca_it_is_refused_in_words(self):
        self.assertRegex(self.refusal(), r"alarms\[0\]: (this msf_daemon is built without TLS|ca_file /nowhere/at/all: No such file)")


if __name__ == "__main__":
    unittest.main()
