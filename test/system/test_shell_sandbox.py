"""What an isolated service may do in its sandbox, on a kernel that has it and on one that has not."""

import ctypes
import errno
import os
import signal
import unittest
from pathlib import Path

from house import wait_for
from shells import IsolateCase
from test_daemon_old_kernel import be_old, can_be_old


class Sandbox(IsolateCase):
    """A service that tries what it is told to, and answers with errno."""

    TRIES = r"""
        #include <fcntl.h>
        #include <sched.h>
        #include <signal.h>
        #include <sys/ioctl.h>
        #include <sys/mount.h>
        #include <sys/ptrace.h>
        #include <sys/resource.h>
        #include <sys/socket.h>
        #include <sys/stat.h>
        #include <sys/syscall.h>
        #include <sys/wait.h>
        static void *idle(void *arg) { return arg; }
        static s32 opens(const char *path, int how) { int fd = open(path, how, 0600); if (fd < 0) return errno; close(fd); return 0; }
        static s32 spawns(const char *path)
        {
            int status = 0;
            pid_t pid = fork();
            if (pid < 0) return errno;
            if (pid == 0) { execl(path, path, (char *)NULL); _exit(errno); }
            return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 255;
        }
        static s32 attempt(const char *what)
        {
            struct rlimit limit;
            const char *path = strchr(what, ' ');
            errno = 0;
            if (path) path++;
            if (!strncmp(what, "read ", 5)) return opens(path, O_RDONLY);
            if (!strncmp(what, "write ", 6)) return opens(path, O_WRONLY | O_CREAT);
            if (!strncmp(what, "mkdir ", 6)) return mkdir(path, 0700) == 0 ? 0 : errno;
            if (!strncmp(what, "run ", 4)) return spawns(path);
            if (!strcmp(what, "mount")) return mount("none", "/mnt", "tmpfs", 0, NULL) == 0 ? (umount("/mnt"), 0) : errno;
            if (!strcmp(what, "unshare")) return unshare(CLONE_NEWUTS) == 0 ? 0 : errno;
            if (!strcmp(what, "setns")) return setns(-1, 0) == 0 ? 0 : errno;
            if (!strcmp(what, "ptrace")) return ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 ? 0 : errno;
            if (!strcmp(what, "bpf")) return syscall(SYS_bpf, 0, NULL, 0) >= 0 ? 0 : errno;
            if (!strcmp(what, "perf")) return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0) >= 0 ? 0 : errno;
            if (!strcmp(what, "module")) return syscall(SYS_init_module, NULL, 0, "") == 0 ? 0 : errno;
            if (!strcmp(what, "kexec")) return syscall(SYS_kexec_load, 0, 0, NULL, ~0UL) == 0 ? 0 : errno;
            if (!strcmp(what, "reboot")) return syscall(SYS_reboot, 0, 0, 0, NULL) == 0 ? 0 : errno;
            if (!strcmp(what, "hostname")) return syscall(SYS_sethostname, "", -1) == 0 ? 0 : errno;
            if (!strcmp(what, "chroot")) return chroot("/") == 0 ? 0 : errno;
            if (!strcmp(what, "uring")) return syscall(SYS_io_uring_setup, 0, NULL) >= 0 ? 0 : errno;
            if (!strcmp(what, "sti")) return ioctl(0, TIOCSTI, "x") == 0 ? 0 : errno;
            if (!strcmp(what, "clone")) {
                long pid = syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, 0, 0, 0, 0);
                if (pid == 0) _exit(0);
                return pid > 0 ? (waitpid((pid_t)pid, NULL, 0), 0) : errno;
            }
            if (!strcmp(what, "clone3")) return syscall(SYS_clone3, NULL, 0) >= 0 ? 0 : errno;
            if (!strcmp(what, "thread")) {
                pthread_t thread;
                int code = pthread_create(&thread, NULL, idle, NULL);
                return code ? code : pthread_join(thread, NULL);
            }
            if (!strcmp(what, "socket")) { int fd = socket(AF_INET, SOCK_STREAM, 0); return fd < 0 ? errno : (close(fd), 0); }
            if (!strcmp(what, "nofile")) return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (s32)limit.rlim_cur : -1;
            if (!strcmp(what, "fds")) {
                int fds[64], count = 0, why;
                while (count < 64 && (fds[count] = dup(0)) >= 0) count++;
                for (why = errno; count > 0; count--) close(fds[count - 1]);
                return why;
            }
            if (!strcmp(what, "memory")) { void *much = malloc((size_t)1 << 32); int none = much == NULL; free(much); return none ? ENOMEM : 0; }
            return 199;
        }
    """
    WORK = "char what[200] = \"\"; memcpy(what, data, len < 199 ? len : 199); return attempt(what);"

    def trying(self, name="t", **sandbox):
        return self.bad(self.WORK, name, self.TRIES, sandbox=sandbox)

    def attempt(self, what, name="t"):
        with self.talk(refused=True) as ask:
            answer = ask(verb="call", service=name, command="msg_handler", text=what)
        self.assertIn("code", answer, answer)
        return answer["code"]

    FORBIDDEN = ("mount", "unshare", "setns", "ptrace", "bpf", "perf", "module", "kexec", "reboot", "hostname", "chroot", "uring",
                 "sti", "clone")

    @unittest.skipUnless(os.uname().machine in ("x86_64", "aarch64"), "seccomp profiles are for these machines")
    def test_the_profile_refuses_what_no_service_needs_and_lets_it_work(self):
        config = self.config(self.trying(seccomp="service", required=True))
        child = self.shell(config)
        for what in self.FORBIDDEN:
            self.assertEqual(self.attempt(what), errno.EPERM, what)
        self.assertEqual(self.attempt("clone3"), errno.ENOSYS)
        for what in ("thread", "socket", "read /etc/passwd", f"write {self.house.folder}/written", "run /bin/true"):
            self.assertEqual(self.attempt(what), 0, what)
        pid = self.pid_of(config, "t")
        for task in Path(f"/proc/{pid}/task").iterdir():
            status = (task / "status").read_text()
            self.assertRegex(status, r"Seccomp:\s+2", "every thread of it")
            self.assertRegex(status, r"NoNewPrivs:\s+1")
        self.assertIn("t: sandboxed by seccomp service", self.ask(config, "list"))
        self.assertEqual(self.listed(config)[0]["t"]["sandbox_lacks"], [])
        os.kill(pid, signal.SIGKILL)
        self.pid_of(config, "t", pid)
        self.assertEqual(self.attempt("unshare"), errno.EPERM, "its successor is in one, too")
        self.ends(child)

    def test_without_a_sandbox_nothing_is_refused(self):
        config = self.config(self.bad(self.WORK, "t", self.TRIES))
        child = self.shell(config)
        self.assertNotEqual(self.attempt("sti"), errno.EPERM if os.geteuid() == 0 else None)
        self.assertEqual(self.attempt("thread"), 0)
        self.assertEqual(self.attempt(f"write {self.house.folder}/written"), 0)
        if os.geteuid() == 0:
            self.assertEqual(self.attempt("unshare"), 0)
        self.ends(child)

    @unittest.skipUnless(ctypes.CDLL(None).syscall(444, None, 0, 1) > 0, "this kernel has no landlock")
    def test_files_outside_cannot_be_opened_and_those_inside_can(self):
        folder = self.house.folder
        for name in ("mine", "shown", "secret"):
            (folder / name).mkdir()
            (folder / name / "file").write_text("x")
        config = self.config(self.trying(landlock={"read": [f"{folder}/shown"], "write": [f"{folder}/mine"], "execute": ["/bin", "/usr/bin"]},
                                         required=True))
        child = self.shell(config)
        allowed = (f"read {folder}/shown/file", f"write {folder}/mine/new", f"mkdir {folder}/mine/folder", f"read {folder}/mine/file",
                   "run /bin/true", "read /dev/urandom", "write /dev/null", "thread")
        for what in allowed:
            self.assertEqual(self.attempt(what), 0, what)
        for what in (f"read {folder}/secret/file", f"write {folder}/shown/new", f"mkdir {folder}/shown/folder", "read /etc/passwd",
                     f"read {config}", f"write {folder}/secret/new", f"read {folder}/mine/../secret/file", f"read /proc/{child.pid}/environ"):
            self.assertEqual(self.attempt(what), errno.EACCES, what)
        self.assertIn("is service t's", self.own_log("t"), "its log is written")
        self.assertIn("t: sandboxed by landlock", self.ask(config, "list"))
        self.ends(child)

    def test_limits_hold(self):
        config = self.config(self.trying(rlimits={"nofile": [40, 50], "as": 2 << 30, "core": 0}, no_new_privs=True))
        child = self.shell(config)
        self.assertEqual(self.attempt("nofile"), 40)
        self.assertEqual(self.attempt("memory"), errno.ENOMEM)
        self.assertEqual(self.attempt("fds"), errno.EMFILE)
        pid = self.pid_of(config, "t")
        self.assertRegex(Path(f"/proc/{pid}/limits").read_text(), r"Max open files\s+40\s+50")
        self.assertRegex(Path(f"/proc/{pid}/status").read_text(), r"NoNewPrivs:\s+1")
        holds = self.listed(config)[0]["t"]["sandbox"]
        self.assertEqual(holds, ["rlimit as", "rlimit core", "rlimit nofile", "no_new_privs"])
        self.ends(child)

    def test_what_cannot_be_put_in_force_is_told_or_refused(self):
        entry = self.trying(landlock={"read": [f"{self.house.folder}/nowhere"]})
        self.fails(self.config(entry), 1, "service t: sandbox.landlock.read[0]", "nowhere: No such file")
        self.fails(self.config({**entry, "sandbox": {"rlimits": {"nofile": 1 << 40}}}), 1, "service t: sandbox.rlimits.nofile")
        self.fails(self.config({**entry, "isolate": False}), 2, "proc_svcs[0].sandbox: is about a process of its own")
        self.fails(self.config({**entry, "sandbox": {"secomp": "service"}}), 2, 'secomp: unknown key; did you mean "seccomp"?')

    @unittest.skipUnless(can_be_old(), "no seccomp filter can be set here")
    def test_a_kernel_without_landlock_is_warned_about_or_refused(self):
        entry = self.trying(landlock={"read": ["/etc"]}, seccomp="service")
        config = self.config(entry)
        child = self.shell(config, preexec_fn=lambda: be_old(absent=(444, 445, 446)))
        row = self.listed(config)[0]["t"]
        self.assertEqual((row["sandbox"], row["sandbox_lacks"]), (["seccomp service"], ["landlock is not to be had in this kernel"]))
        self.assertIn("t: not sandboxed: landlock is not to be had", self.ask(config, "list"))
        wait_for("the warning", lambda: "WARN" in self.own_log("t") and "landlock is not to be had" in self.own_log("t"))
        self.ends(child)
        config = self.config({**entry, "sandbox": {**entry["sandbox"], "required": True}})
        done = self.call("-c", config, preexec_fn=lambda: be_old(absent=(444, 445, 446)))
        self.assertEqual(done.returncode, 1)
        self.assertIn("service t: sandbox: landlock is not to be had in this kernel, and it is required", done.stderr)

    @unittest.skipUnless(can_be_old(), "no seccomp filter can be set here")
    def test_deaths_are_found_where_the_kernel_has_no_pidfds(self):
        config = self.config(self.lone("a"))
        child = self.shell(config, preexec_fn=be_old)
        first = self.pid_of(config)
        os.kill(first, signal.SIGKILL)
        self.assertNotEqual(self.pid_of(config, "a", first), first)
        self.assertEqual(self.ask(config, "call", "a", "get"), "0\n")
        self.ends(child)


if __name__ == "__main__":
    unittest.main()
