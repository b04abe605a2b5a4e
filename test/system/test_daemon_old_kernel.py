"""msf_daemon where the kernel has no pidfds, no CLONE_PIDFD and no close_range: a seccomp filter takes them away."""

import ctypes
import os
import platform
import signal
import struct
import time
import unittest

from house import gone, wait_for
from test_daemon_attacks import DaemonCase

# pidfd_send_signal, pidfd_open, clone3 and close_range have the same numbers everywhere.
ABSENT = (424, 434, 435, 436)
CLONE = {"x86_64": 56, "aarch64": 220}.get(platform.machine())
CLONE_PIDFD = 0x1000
LOAD, IF_EQUAL, IF_BIT, GIVE = 0x20, 0x15, 0x45, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
ENOSYS, EINVAL = 38, 22
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2


def rules(absent):
    """The filter, as the kernel's machine reads it."""
    code = [(LOAD, 0, 0, 0)]
    for number in absent:
        code += [(IF_EQUAL, 0, 1, number), (GIVE, 0, 0, FAIL | ENOSYS)]
    # An old kernel ignores the flag; that cannot be had, so it is refused.
    code += [(IF_EQUAL, 0, 3, CLONE), (LOAD, 0, 0, 16), (IF_BIT, 0, 1, CLONE_PIDFD), (GIVE, 0, 0, FAIL | EINVAL)]
    return [*code, (GIVE, 0, 0, ALLOW)]


def be_old(absent=ABSENT):
    """The calling process, and all it starts, meet an old kernel from now on: without these calls."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("HBBI", *rule) for rule in rules(absent))
    kept = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    program = Program(len(rules(absent)), ctypes.addressof(kept))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0):
        os._exit(77)


def can_be_old():
    pid = os.fork()
    if pid == 0:
        be_old()
        try:
            os.pidfd_open(os.getpid())
        except OSError as error:
            os._exit(0 if error.errno == ENOSYS else 1)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@unittest.skipUnless(CLONE and can_be_old(), "no seccomp filter can be set here")
class OldKernel(DaemonCase):
    def descriptors(self, daemon):
        return [os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{daemon.pid}/fd")]

    def test_the_dead_are_found_by_sigchld_also_many_at_once(self):
        self.configure(*(self.sleeper(f"p{i}") for i in range(50)), restart={"immediate": 10})
        daemon = self.start(preexec_fn=be_old)
        self.assertFalse([fd for fd in self.descriptors(daemon) if "pidfd" in fd])
        old = {process["pid"] for process in self.status()["processes"]}
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_for("all anew", lambda: all(one["state"] == "up" and one["pid"] not in old for one in self.status()["processes"]))
        self.assertEqual({one["restarts"] for one in self.status()["processes"]}, {1})
        self.assertEqual({one["last_exit"]["signal"] for one in self.status()["processes"]}, {9})
        self.ends(daemon)

    def test_probes_by_command_end(self):
        ready = {"by": "exec", "command": ["test", "-e", str(self.house.folder / "now")], "interval_ms": 10}
        self.configure({**self.sleeper(), "ready": ready})
        daemon = self.start(preexec_fn=be_old)
        self.assertEqual(self.status("one")["state"], "starting")
        (self.house.folder / "now").touch()
        wait_for("it is ready", lambda: self.status("one")["state"] == "up")
        self.ends(daemon)

    def test_who_was_adopted_is_looked_after(self):
        self.configure(self.sleeper("one"), self.sleeper("two"))
        daemon = self.start(preexec_fn=be_old)
        one, two = self.status("one")["pid"], self.status("two")["pid"]
        daemon.kill()
        daemon.wait()
        daemon = self.start(preexec_fn=be_old)
        self.assertEqual((self.status("one")["pid"], self.status("two")["pid"]), (one, two))
        os.kill(one, signal.SIGKILL)
        begun = time.monotonic()
        wait_for("it is noticed", lambda: self.status("one")["pid"] not in (None, one))
        self.assertLess(time.monotonic() - begun, 3)
        self.ends(daemon)
        self.assertTrue(gone(two))


if __name__ == "__main__":
    unittest.main()
