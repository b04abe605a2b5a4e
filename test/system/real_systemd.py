"""A real systemd, as process 1 of namespaces of its own, with a root that vanishes with the test.

It shares nothing with the machine's own process 1 but the kernel: mounts, pids, control groups and sockets are its own.
Where that cannot be, `why_not` says why.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

from house import wait_for

SYSTEMD = Path("/lib/systemd/systemd")
GROUPS = Path("/sys/fs/cgroup")

# The private root: programs and libraries of the machine, everything else new.
BOOT = r"""
set -e
R=$1; shift
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs $R
mkdir -p $R/usr $R/etc/systemd/system $R/run $R/tmp $R/var/log $R/var/lib $R/proc $R/sys $R/dev $R/root $R/old
mount --rbind /usr $R/usr
for d in bin sbin lib lib32 lib64; do
    [ -L /$d ] && cp -a /$d $R/ || { [ ! -d /$d ] || { mkdir $R/$d; mount --rbind /$d $R/$d; }; }
done
for d in "$@"; do mkdir -p $R$d; mount --bind $d $R$d; done
mount -t tmpfs -o mode=755 tmpfs $R/run
mount -t proc proc $R/proc
mount -t sysfs -o ro sysfs $R/sys
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 $R/sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 tmpfs $R/sys/fs/cgroup
    mkdir -p $R/sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup $R/sys/fs/cgroup/systemd
fi
mount -t tmpfs -o mode=755 tmpfs $R/dev
for n in null zero full random urandom tty; do touch $R/dev/$n; mount --bind /dev/$n $R/dev/$n; done
mkdir $R/dev/shm
ln -s /proc/self/fd $R/dev/fd
echo 'root:x:0:0:root:/root:/bin/sh' > $R/etc/passwd
echo 'root:x:0:' > $R/etc/group
: > $R/etc/fstab
echo 0123456789abcdef0123456789abcdef > $R/etc/machine-id
printf '[Unit]\nDescription=idle\nDefaultDependencies=no\n' > $R/etc/systemd/system/idle.target
cd $R
pivot_root . old
cd /
umount -l /old
export container=msf PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec /lib/systemd/systemd --unit=idle.target --log-target=console --log-level=notice --show-status=no
"""


def own_group_place():
    """Where a control group of our own can be made: systemd takes the one it is in for the root of all."""
    return GROUPS if (GROUPS / "cgroup.controllers").exists() else GROUPS / "systemd"


def why_not():
    if os.geteuid() != 0:
        return "needs root"
    if not SYSTEMD.exists():
        return "systemd is not installed"
    if Path("/run/systemd/system").exists() and not os.environ.get("MSF_REAL_SYSTEMD"):
        return "systemd runs this machine; MSF_REAL_SYSTEMD=1 says that a second one may run beside it"
    if not (own_group_place() / "cgroup.procs").exists():
        return f"{own_group_place()} has no control groups that systemd could use"
    if not shutil.which("nsenter"):
        return "there is no nsenter"
    return ""


class Systemd:
    """One that runs, and is asked by systemctl."""

    def __init__(self, root, log, *shared):
        self.group = own_group_place() / f"msf-test-{os.getpid()}"
        self.group.mkdir()
        root.mkdir()
        enter = f"echo $$ > {self.group}/cgroup.procs; exec \"$@\""
        spaces = ["unshare", "--pid", "--fork", "--mount", "--uts", "--ipc", "--cgroup", "--kill-child"]
        with open(log, "w", encoding="utf-8") as out:
            self.outer = subprocess.Popen(["sh", "-c", enter, "sh", *spaces, "sh", "-c", BOOT, "boot", root, *shared],
                                          stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.pid, self.log = None, log
        try:
            wait_for("systemd", self.answers, 15)
        except AssertionError as what:
            self.end()
            raise RuntimeError(f"{what}: {Path(log).read_text()[-500:]}") from None

    def answers(self):
        if self.outer.poll() is not None:
            raise AssertionError("it has ended")
        found = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split()
        self.pid = int(found[0]) if found else None
        return self.pid and self.inside("systemctl", "is-active", "idle.target").stdout.strip() == "active"

    def inside(self, *words):
        """Runs a program in there."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-p", "-C", *map(str, words)]
        return subprocess.run(enter, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)

    def write(self, path, text):
        """A file in there."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "sh", "-c", f"mkdir -p $(dirname {path}); cat > {path}"]
        subprocess.run(enter, input=text, text=True, check=True)

    def unit(self, name, text, **changes):
        """A unit, and in a file beside it what is different here."""
        self.write(f"/etc/systemd/system/{name}", text)
        lines = "".join(f"{key}={value}\n" for key, value in changes.items())
        self.write(f"/etc/systemd/system/{name}.d/test.conf", f"[Service]\n{lines}")
        done = self.inside("systemctl", "daemon-reload")
        assert done.returncode == 0, done.stderr

    def show(self, unit, key):
        return self.inside("systemctl", "show", "--value", "-p", key, unit).stdout.strip()

    def end(self):
        self.outer.kill()
        self.outer.wait()
        # What was in there dies with its process 1, and that takes a moment.
        deadline = time.monotonic() + 10
        while self.group.exists() and time.monotonic() < deadline:
            for folder, _, _ in os.walk(self.group, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            time.sleep(0.02)

