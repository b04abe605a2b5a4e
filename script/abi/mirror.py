"""The Rust mirror (lib/sys/src/ffi), read as text and written as C.

It knows exactly the Rust the mirror is written in and refuses what it does not know, so nothing is passed over.
"""

import re
from pathlib import Path

# Rust -> the name the headers have for it.
NAMES = {
    "c_char": "s8", "c_short": "s16", "c_int": "s32", "c_uint": "u32", "c_void": "void", "u8": "u8", "u16": "u16", "u32": "u32",
    "u64": "u64", "i16": "s16", "i32": "s32", "i64": "s64", "usize": "size_t", "process_state": "u8",
}
# Types of the C library have one name in both languages; its structs take a word more in C.
NAMES |= {name: name for name in ("size_t", "ssize_t", "pid_t", "uid_t", "gid_t", "pthread_t", "mode_t", "off_t", "time_t",
                                  "socklen_t", "sem_t", "cpu_set_t")}
NAMES |= {name: f"struct {name}" for name in ("timespec", "timeval", "sockaddr", "sockaddr_storage", "in_addr", "iovec",
                                              "msghdr", "stat", "rusage", "rlimit", "epoll_event")}
# Numbers in Rust, enums in C: compared by size, the language has no closer relation between them.
ENUMS = {"process_state"}


class Unknown(Exception):
    """A line of the mirror this reader does not understand."""


class Mirror:
    """The files of one library's mirror."""

    def __init__(self, path):
        self.path = Path(path)
        text = "".join(file.read_text() for file in sorted(self.path.glob("*.rs")))
        text = re.sub(r"//[^\n]*", "", text)
        self.constants = {}      # name -> (rust type, value)
        self.types = {}          # name -> rust type
        self.structs = {}        # name -> (packed, [(field, rust type)]); no fields: opaque
        self.functions = {}      # name -> (argument types, variadic, result type)
        self.variables = {}      # name -> rust type
        extern = re.compile(r'unsafe extern "C" \{\n(.*?)^\}', re.S | re.M)
        blocks = extern.findall(text)
        if not blocks:
            raise Unknown(f"{self.path}: no `unsafe extern \"C\"` block")
        for block in blocks:
            self.read_block(block)
        self.read_items(extern.sub("", text))

    def read_block(self, text):
        for statement in filter(None, (part.strip() for part in split(text, ";"))):
            if match := re.fullmatch(r"pub static mut (\w+): (.+)", statement, re.S):
                self.variables[match[1]] = squeezed(match[2])
            elif match := re.fullmatch(r"pub fn (\w+)\((.*)\)(?: -> (.+))?", statement, re.S):
                arguments = [part.strip() for part in split(match[2], ",") if part.strip()]
                variadic = arguments[-1:] == ["..."]
                arguments = [squeezed(part.split(":", 1)[1]) for part in arguments if part != "..."]
                self.functions[match[1]] = (arguments, variadic, squeezed(match[3] or "()"))
            else:
                raise Unknown(f"{self.path}: in the extern block: {statement}")

    def read_items(self, text):
        text = re.sub(r"^#!?\[(?:allow|derive)\(.*\)\]$|^(?:pub )?use .*;$|^mod \w+;$", "", text, flags=re.M)
        while text.strip():
            text = text.strip()
            if match := re.match(r"pub const (\w+): ([^=]+) = (.+?);", text):
                self.constants[match[1]] = (squeezed(match[2]), match[3])
            elif match := re.match(r"pub type (\w+) = ([^;]+);", text):
                self.types[match[1]] = squeezed(match[2])
            elif match := re.match(r"#\[repr\(C(, packed)?\)\]\s*pub struct (\w+) \{(.*?)\n\}", text, re.S):
                self.structs[match[2]] = (bool(match[1]), self.fields(match[2], match[3]))
            else:
                raise Unknown(f"{self.path}: {text.splitlines()[0]}")
            text = text[match.end():]

    def fields(self, struct, body):
        fields = []
        for part in filter(None, (part.strip() for part in split(body, ","))):
            if re.match(r"_\w+:", part):
                continue
            match = re.fullmatch(r"pub (?:r#)?(\w+):\s+(.+)", part, re.S)
            if not match:
                raise Unknown(f"{self.path}: struct {struct}: {part}")
            fields.append((match[1], squeezed(match[2])))
        return fields

    def names(self):
        return set(self.functions), set(self.variables)

    def as_c(self, known):
        """Lines of C that compile only if the headers agree; `known` maps each struct and type of all mirrors to its C name."""
        c = Writer(self, known)
        yield from c.typedefs()
        yield from c.structs()
        yield from c.constants()
        for name, (arguments, variadic, result) in self.functions.items():
            listed = ", ".join([c.declared(kind, "") for kind in arguments] + ["..."] * variadic) or "void"
            yield f"extern {c.declared(result, f'(*const is_{name})({listed})')};"
            yield f"{c.declared(result, f'(*const is_{name})({listed})')} = {name};"
        for name, kind in self.variables.items():
            yield f"extern {c.declared(kind, f'*const is_{name}')};"
            yield f"{c.declared(kind, f'*const is_{name}')} = &{name};"


class Writer:
    """Rust types as C declarations."""

    def __init__(self, mirror, known):
        self.mirror = mirror
        self.known = known

    def typedefs(self):
        for name, kind in self.mirror.types.items():
            if name not in ENUMS:
                yield (f"_Static_assert(__builtin_types_compatible_p({name}, {self.declared(kind, '')}), "
                       f"\"type {name}\");")

    def structs(self):
        for name, (packed, fields) in self.mirror.structs.items():
            if not fields:
                continue
            yield f"struct mirror_{name} {{"
            yield from (f"    {self.declared(kind, field)};" for field, kind in fields)
            yield "} __attribute__((__packed__));" if packed else "};"
            yield f"_Static_assert(sizeof(struct {name}) == sizeof(struct mirror_{name}), \"size of struct {name}\");"
            for field, kind in fields:
                yield (f"_Static_assert(offsetof(struct {name}, {field}) == offsetof(struct mirror_{name}, {field}), "
                       f"\"place of {name}.{field}\");")
                same = (f"sizeof(((struct {name} *)0)->{field}) == sizeof({NAMES[kind]})" if kind in ENUMS else
                        f"__builtin_types_compatible_p(__typeof__(((struct {name} *)0)->{field}), "
                        f"__typeof__(((struct mirror_{name} *)0)->{field}))")
                yield f"_Static_assert({same}, \"type of {name}.{field}\");"

    def constants(self):
        for name, (kind, value) in self.mirror.constants.items():
            if kind == "&CStr":
                continue        # texts are compared as text, by names()
            number = value.replace("_", "")
            # In 64 bits -1 and 0xffffffff differ, so the sign has to agree too.
            yield f"_Static_assert((s64)({name}) == (s64)({number}), \"value of {name}\");"

    def declared(self, kind, name, const=False):
        """`kind name` in C; the name may be empty or a declarator."""
        word = "const " if const else ""
        if match := re.fullmatch(r"\*(mut|const) (.+)", kind):
            return self.declared(match[2], f"*{word}{name}", match[1] == "const")
        if match := re.fullmatch(r"\[(.+); (\w+)\]", kind):
            return self.declared(match[1], f"{name}[{match[2]}]", const)
        if match := re.fullmatch(r'Option<unsafe extern "C" fn\((.*?)\)(?: -> (.+))?>', kind):
            arguments = [part.split(":", 1)[-1].strip() for part in split(match[1], ",") if part.strip()]
            listed = ", ".join(self.declared(argument, "") for argument in arguments) or "void"
            return self.declared(match[2] or "()", f"(*{word}{name})({listed})")
        return f"{word}{self.base(kind)} {name}".rstrip()

    def base(self, kind):
        if kind == "()":
            return "void"
        if kind in NAMES:
            return NAMES[kind]
        if kind in self.known:
            return self.known[kind]
        raise Unknown(f"{self.mirror.path}: no C name for the Rust type `{kind}`")


def split(text, at):
    """Splits at `at` outside of all brackets."""
    parts, depth, start = [], 0, 0
    text = text.replace("->", "\0\0")       # its > closes nothing
    for index, letter in enumerate(text):
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == at and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [part.replace("\0\0", "->") for part in parts + [text[start:]]]


def squeezed(text):
    """As if it stood in one line: the formatter breaks the long ones, and leaves a comma behind the last."""
    text = " ".join(text.split())
    return re.sub(r"(?<=[(<]) | (?=[)>])", "", re.sub(r", ?(?= ?[)>])", "", text))
