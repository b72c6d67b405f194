"""A small source tree that answers as a kernel's does: kconfig and kbuild in the few lines that virtme-ng asks for.

Its Kconfig knows the symbols of all fragments, its compiler is the machine's own, and its image is made by
``make-image``, a script which a test may replace.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from vm.kernels import fragments

RELEASE = "6.99.0-rc1-virtme"
_MAKEFILE = """\
O ?= .
ifdef CROSS_COMPILE
CC := $(CROSS_COMPILE)gcc
endif
objects := $(addprefix $(O)/,$(patsubst %.c,%.o,$(wildcard mm/*.c)))

%config: outside
	@sh scripts/$@ $(O)/.config

# In kbuild's own words, as is the trap below.
outside:
	@if [ -f .config -o -d include/config ]; then echo >&2 '*** The source tree is not clean'; false; fi

bzImage: outside $(O)/arch/x86/boot/bzImage
Image: outside $(O)/arch/arm64/boot/Image

$(O)/%.o: %.c
	@echo '  CC      $*.o'
	@mkdir -p $(@D)
	@$(CC) -c -o $@ $<

$(O)/arch/x86/boot/bzImage $(O)/arch/arm64/boot/Image: $(objects) make-image
	@echo '  BUILD   $(@F)'
	@mkdir -p $(@D) $(O)/include/config
	@printf 'deps_config := \\\\\\n\\tKconfig\\n' >$(O)/include/config/auto.conf.cmd
	@trap 'rm -f $@; exit 1' HUP INT TERM PIPE; O=$(O) sh ./make-image $@

.PHONY: outside bzImage Image
"""
_DEFCONFIG = """\
echo '  DEFCONFIG'
cat arch/x86/configs/x86_64_defconfig >"$1"
"""
_OLDDEFCONFIG = """\
# The last line for each symbol holds, and a symbol that Kconfig doesn't know is dropped.
awk 'NR == FNR { if ($1 == "config") known["CONFIG_" $2] = 1; next }
	/^CONFIG_/ { split($0, part, "="); lines[part[1]] = $0 }
	/^# CONFIG_.* is not set/ { lines[$2] = $0 }
	END { for (symbol in lines) if (symbol in known) print lines[symbol] }' Kconfig "$1" >"$1.new"
mv "$1.new" "$1"
"""
_MAKE_IMAGE = """\
cp boot-header "$1"
"""


def boot_header(release: str = RELEASE) -> bytes:
    """The beginning of an x86 image: the magic, and a pointer to the release."""
    return b"\0" * 0x202 + b"HdrS" + b"\0" * 8 + (0x100).to_bytes(2, "little") + b"\0" * 0xF0 + release.encode() + b"\0"


class FakeTree:
    """The tree, as a kernel developer has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        bases = [fragment for machine in ("x86_64", "arm64") for fragment in fragments.base(machine)]
        texts = [fragment.text for fragment in (*bases, *map(fragments.fragment, fragments.names()))]
        known = sorted({symbol for text in texts for symbol in fragments.symbols(text)})
        self.write("Kconfig", "".join(f"config {symbol.removeprefix('CONFIG_')}\n" for symbol in known))
        self.write("Makefile", _MAKEFILE)
        self.write("arch/x86/configs/x86_64_defconfig", "CONFIG_SWAP=y\n")
        self.write("scripts/x86_64_defconfig", _DEFCONFIG)
        self.write("arch/arm64/configs/defconfig", "CONFIG_SWAP=y\n")
        self.write("scripts/defconfig", _DEFCONFIG.replace("x86/configs/x86_64_", "arm64/configs/"))
        self.write("scripts/olddefconfig", _OLDDEFCONFIG)
        self.write("make-image", _MAKE_IMAGE)
        self.write("mm/memory.c", "int memory;\n")
        self.write("mm/swap.c", "int swap;\n")
        (path / "boot-header").write_bytes(boot_header())

    def write(self, name: str, text: str) -> Path:
        """A file of the tree, made or replaced."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def forget(self, symbol: str) -> None:
        """Makes a symbol one that this kernel hasn't."""
        kconfig = (self.path / "Kconfig").read_text()
        self.write("Kconfig", kconfig.replace(f"config {symbol}\n", ""))

    def git(self, *arguments: str) -> str:
        """Runs git in the tree, as somebody who has told it who they are."""
        who = ["-c", "user.name=A Developer", "-c", "user.email=developer@example.org", "-c", "init.defaultBranch=main"]
        command = ["git", *who, "-C", str(self.path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def commit(self, subject: str) -> str:
        """Commits everything; the commit's name."""
        if not (self.path / ".git").exists():
            self.git("init", "-q")
            self.write(".gitignore", "*.o\n.config\ninclude/config\n")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject)
        return self.git("rev-parse", "HEAD").strip()

    def state(self) -> dict[str, tuple[int, bytes]]:
        """Everything in the tree but git's own files: times and contents."""
        files = [path for path in self.path.rglob("*") if path.is_file() and ".git" not in path.parts]
        return {str(path.relative_to(self.path)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
