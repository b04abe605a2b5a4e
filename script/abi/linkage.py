"""Who asks the dynamic linker for whom: one libmsf per process begins with what is written into the files."""

import os
import re
from pathlib import Path

from .headers import run

# What the C library and the compiler bring; anything else would have to be installed on the target.
SYSTEM = re.compile(r"^(libc|libm|libdl|libpthread|librt|libgcc_s|ld-linux[\w-]*|ld64)\.so\.\d+$")
# file -> (SONAME, what of ours it needs, a function it calls through the C ABI)
FILES = {
    "lib/libmsf.so": ("libmsf.so.1", set(), None),
    "lib/libipc.so": ("libipc.so.1", {"libmsf.so.1"}, "msf_log_write"),
    "bin/msf_shell": (None, {"libmsf.so.1"}, "msf_load_dynamic"),
    "bin/msf_agent": (None, set(), None),
    "bin/msf_daemon": (None, set(), None),
}


def linkage(stage):
    """Sentences about files of the stage tree that are not linked as they should be."""
    wrong = []
    for name, (soname, ours, call) in FILES.items():
        path = Path(stage, name)
        if not path.exists():
            wrong.append(f"{name}: is not there")
            continue
        dynamic = run(["readelf", "-dW", path], env={**os.environ, "LC_ALL": "C"})
        needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
        told = re.search(r"\(SONAME\).*\[(.*)\]", dynamic)
        if (told[1] if told else None) != soname:
            wrong.append(f"{name}: SONAME is {told[1] if told else 'missing'}, not {soname}")
        if {one for one in needed if not SYSTEM.match(one)} != ours:
            wrong.append(f"{name}: needs {', '.join(sorted(needed))}; of ours it should need {sorted(ours) or 'nothing'}")
        if soname and "NODELETE" not in dynamic:
            wrong.append(f"{name}: is not marked NODELETE")
        if ours and "$ORIGIN" not in dynamic:
            wrong.append(f"{name}: does not look beside itself ($ORIGIN) for what it needs")
        if call and call not in undefined(path):
            wrong.append(f"{name}: does not call {call} of libmsf.so; is there a copy inside?")
    return wrong


def undefined(path):
    return {line.split()[-1].split("@")[0] for line in run(["nm", "-D", "--undefined-only", path]).splitlines()}
