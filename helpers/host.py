"""What this kernel and machine can be asked: found out by asking, never by a version number."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from helpers import supplies
from helpers.interface import procfs
from helpers.interface.native import MACHINE, SuiteError, ffi, lib
from helpers.interface.uapi import FIRST_CATEGORIES, Category, PagemapBit
from helpers.kernel import FEATURES, Kernel, Sizes, has_features, huge_zero_frame, open_userfaultfd
from helpers.model import Facts
from helpers.operations import (
    Advice,
    Advise,
    Backing,
    KernelWrite,
    Map,
    ReadPagemap,
    Span,
    Tracking,
    Write,
    Writer,
)

THP = Path("/sys/kernel/mm/transparent_hugepage")
KSM = Path("/sys/kernel/mm/ksm")
#: Documentation/fault-injection/fault-injection.rst: which call of a thread is to fail, and what may.
FAIL_NTH = Path("/proc/self/fail-nth")
FAILSLAB = Path("/sys/kernel/debug/failslab")
#: Where a PMD entry maps less: what a PUD entry maps on most machines.
GIGANTIC = 1 << 30
_ONE = Span(0, 1)
#: File systems that keep their pages elsewhere, or not in the page cache in the usual way (statfs(2) magic).
_NOT_REAL = {"tmpfs", "ramfs", "overlay", "9p", "proc", "sysfs", "devtmpfs", "squashfs", "fuse", "virtiofs"}


class CannotTest(Exception):
    """Nothing can be asked of this kernel by this process; the message says why, and the way out."""


@contextmanager
def _cannot_even_ask() -> Iterator[None]:
    """What goes wrong with system calls that aren't under test is a reason for not testing."""
    try:
        yield
    except (OSError, SuiteError, MemoryError) as error:
        raise CannotTest(f"this process can't find out what there is: {type(error).__name__}: {error}") from None


def page_size() -> int:
    """Bytes of a page."""
    return os.sysconf("SC_PAGE_SIZE")


def huge_page_size() -> int:
    """Bytes that one PMD entry maps: of a transparent huge page, else of the default hugetlb page."""
    try:
        return int((THP / "hpage_pmd_size").read_text())
    except OSError:
        return procfs.meminfo().get("Hugepagesize", 512 * page_size())


def selected(knob: Path) -> str | None:
    """The value in brackets of a file such as ``always [madvise] never``; None where there is no file."""
    try:
        return knob.read_text().split("[")[1].split("]")[0]
    except (OSError, IndexError):
        return None


def file_system_of(directory: Path) -> str:
    """The type of the file system that a directory lies on, by /proc/self/mountinfo."""
    best, found = "", ""
    resolved = str(directory.resolve())
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        mount_point = left.split(" ")[4]
        inside = resolved == mount_point or resolved.startswith(mount_point.rstrip("/") + "/")
        if inside and len(mount_point) >= len(best):
            best, found = mount_point, right.split(" ")[0]
    return found


def _writable(directories: list[Path], is_wanted: Callable[[str], bool]) -> Path | None:
    for directory in directories:
        if os.access(directory, os.W_OK) and is_wanted(file_system_of(directory)) and supplies.has_room(directory):
            return directory
    return None


def find_sizes(scratch: Path | None = None) -> Sizes:
    """Page sizes, and directories for files; ``scratch`` is looked at first."""
    given = [scratch] if scratch else []
    return Sizes(
        page_size(),
        huge_page_size(),
        disk=_writable([*given, Path("/var/tmp"), Path("/tmp"), Path.cwd()], lambda fs: fs not in _NOT_REAL),
        tmpfs=_writable([Path("/dev/shm"), Path("/run"), Path("/tmp")], lambda fs: fs == "tmpfs"),
    )


def scan_nothing(mask: int) -> int:
    """The result of a scan of an empty range that names some categories: 0, or -errno. Raises CannotTest."""
    try:
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        ways_out: dict[int | None, str] = {
            errno.ENOENT: "mount the proc of this PID namespace at /proc, on a kernel with CONFIG_PROC_PAGE_MONITOR",
            errno.EACCES: "let the security module, or whoever mounted it, allow that",
        }
        raise CannotTest(
            f"/proc/self/pagemap can't be opened ({error.strerror})"
            + f": {ways_out[error.errno]}" * (error.errno in ways_out)
        ) from None
    try:
        arg = ffi.new("struct pm_scan_arg *", {"size": ffi.sizeof("struct pm_scan_arg"), "category_mask": mask})
        return int(lib.native_ioctl(pagemap, MACHINE["PAGEMAP_SCAN"], arg))
    finally:
        os.close(pagemap)


def require_survival() -> None:
    """Raises CannotTest when whoever asks is killed, as by a seccomp filter that doesn't refuse: so a child asks."""
    questions: dict[str, Callable[[], int]] = {
        "PAGEMAP_SCAN": lambda: scan_nothing(0),
        "userfaultfd": lambda: open_userfaultfd(FEATURES[Tracking.ASYNC]),
    }
    with _cannot_even_ask():
        reading, writing = os.pipe()
        child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            for name, ask in questions.items():
                os.write(writing, f"{name}\n".encode())
                with suppress(OSError):
                    ask()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        *_, last = ["nothing", *told.read().split()]
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        raise CannotTest(
            f"{last}: who asks is killed ({signal.Signals(-status).name}), as by a seccomp filter: start the container "
            "with a profile that allows it"
        )


def known_categories() -> Category:
    """The categories that the kernel accepts. Raises CannotTest when it has no PAGEMAP_SCAN."""
    if (refused := scan_nothing(int(FIRST_CATEGORIES))) < 0:
        raise CannotTest(
            f"this kernel has no PAGEMAP_SCAN ({errno.errorcode[-refused]}): it came with Linux 6.7 and needs "
            "CONFIG_PROC_PAGE_MONITOR; boot such a kernel, or run the suite against one in a virtual machine"
        )
    known = FIRST_CATEGORIES
    for category in Category:
        if scan_nothing(int(FIRST_CATEGORIES | category)) == 0:
            known |= category
    return known


def require_userfaultfd() -> None:
    """Raises CannotTest when there is no asynchronous write protection to be had."""
    fd = open_userfaultfd(FEATURES[Tracking.ASYNC])
    if fd >= 0:
        os.close(fd)
        return
    name = errno.errorcode[-fd]
    ways_out = {
        errno.ENOSYS: "the kernel is built without CONFIG_USERFAULTFD, or a seccomp filter hides it: build it "
        "in, or start the container with a profile that allows userfaultfd",
        errno.EPERM: "it is forbidden here: start the container with a seccomp profile that allows "
        "userfaultfd, run as root, or set vm.unprivileged_userfaultfd=1",
        errno.EINVAL: "the kernel lacks UFFD_FEATURE_WP_ASYNC: it needs Linux 6.7 and an architecture with "
        "CONFIG_HAVE_ARCH_USERFAULTFD_WP and CONFIG_PTE_MARKER_UFFD_WP",
    }
    raise CannotTest(f"userfaultfd: {name}: {ways_out.get(-fd, os.strerror(-fd))}")


def _has_soft_dirty(sizes: Sizes) -> bool:
    kernel = Kernel(sizes)
    try:
        kernel.map(Map(_ONE))
        kernel.write(Write(_ONE))
        return PagemapBit.SOFT_DIRTY in kernel.read_pagemap(ReadPagemap(_ONE))[0]
    finally:
        kernel.close()


def _has_guard_regions(sizes: Sizes, backing: Backing = Backing.ANON) -> bool:
    kernel = Kernel(sizes)
    try:
        kernel.map(Map(_ONE, backing, shared=backing.has_file, file="file" * backing.has_file))
        return kernel.advise(Advise(_ONE, Advice.GUARD_INSTALL)) is None
    finally:
        kernel.close()


def _has_writer(sizes: Sizes, writer: Writer) -> bool:
    """Whether the kernel can be had to write to memory so."""
    kernel = Kernel(sizes)
    try:
        kernel.map(Map(_ONE))
        kernel.kernel_write(KernelWrite(_ONE, writer))
        return True
    except (OSError, SuiteError):
        return False
    finally:
        kernel.close()


def _cannot_pin(sizes: Sizes) -> int | None:
    """The errno with which io_uring is refused, None where it is to be had."""
    kernel = Kernel(sizes)
    try:
        kernel.map(Map(_ONE))
        ring = lib.native_pin(kernel.address(0), sizes.page)
        if ring < 0:
            return int(-ring)
        lib.native_unpin(ring)
        return None
    finally:
        kernel.close()


def find_facts(sizes: Sizes) -> Facts:
    """What the model has to know of this kernel. Raises CannotTest when there is nothing to be asked."""
    known = known_categories()
    require_userfaultfd()
    return Facts(
        sizes.page,
        sizes.pages_per_huge_page,
        known,
        written_needs_registration=Category.ACCESSED in known,
        soft_dirty=_has_soft_dirty(sizes),
    )


def hugetlb_pool(sizes: Sizes) -> Path:
    """The directory of the pool of hugetlb pages that are as large as a PMD entry maps."""
    return Path(f"/sys/kernel/mm/hugepages/hugepages-{sizes.huge_page // 1024}kB")


def _fails_memory(sizes: Sizes) -> bool:
    """Whether the kernel lets frames fail on demand: MADV_HWPOISON of nothing is no error."""
    kernel = Kernel(sizes)
    try:
        kernel.map(Map(_ONE))
        return bool(lib.native_madvise(kernel.address(0), 0, MACHINE["MADV_HWPOISON"], 1000) == 0)
    finally:
        kernel.close()


def _is_running_ksm() -> bool:
    try:
        return (KSM / "run").read_text().strip() == "1"
    except OSError:
        return False


def hugetlb_pages(sizes: Sizes) -> int:
    """How many pages of the pool nobody has, nor has a claim to."""
    pool = hugetlb_pool(sizes)
    try:
        return int((pool / "free_hugepages").read_text()) - int((pool / "resv_hugepages").read_text())
    except OSError:
        return 0


def free_swap() -> int:
    """Bytes of swap that are free."""
    return procfs.meminfo().get("SwapFree", 0)


#: What one process needs at most at a time.
HUGETLB_PAGES_NEEDED = 10
SWAP_NEEDED = 8 << 20


def missing(sizes: Sizes, facts: Facts, workers: int = 1) -> dict[str, str]:
    """What can't be asked here by so many processes at a time: each need that isn't met, and how to have it met."""
    found = {}
    setup = "run as root without --no-machine-setup, or" if os.geteuid() else "let root set it up here, or"
    if not THP.exists():
        found["thp"] = "the kernel is built without CONFIG_TRANSPARENT_HUGEPAGE: boot one that has it"
        found["huge zero page"] = found["thp"]
    elif selected(THP / "enabled") in (None, "never"):
        found["thp"] = f"transparent huge pages are off: {setup} write madvise to {THP}/enabled"
        found["huge zero page"] = found["thp"]
    elif reason := supplies.refuses_huge_pages(sizes):
        found["thp"] = found["huge zero page"] = f"no huge pages: {reason}"
    elif (THP / "use_zero_page").read_text().strip() != "1":
        found["huge zero page"] = f"no huge zero page: {setup} write 1 to {THP}/use_zero_page"
    elif huge_zero_frame() <= 0:
        found["huge zero page"] = "what is the huge zero page is told by frame numbers: run as root"
    if free_swap() < workers * SWAP_NEEDED:
        found["swap"] = f"no swap: {setup} add {workers * SWAP_NEEDED >> 20} MiB of it"
    elif reason := supplies.refuses_swap(sizes):
        found["swap"] = f"no swap: {reason}"
    pages = workers * HUGETLB_PAGES_NEEDED
    if hugetlb_pages(sizes) < pages:
        found["hugetlb"] = f"fewer than {pages} free hugetlb pages: {setup} raise {hugetlb_pool(sizes)}/nr_hugepages"
    elif reason := supplies.refuses_hugetlb(sizes, pages):
        found["hugetlb"] = f"no hugetlb pages: {reason}"
    if not hugetlb_pages(Sizes(sizes.page, GIGANTIC)):
        found["hugetlb 1 GiB"] = "no hugetlb page of 1 GiB: boot with hugepagesz=1G hugepages=1"
    if not _is_running_ksm() or os.geteuid() != 0:
        found["ksm"] = "KSM isn't running, or root isn't asking: in a virtual machine, give --dangerous as root"
    if not _fails_memory(sizes) or os.geteuid() != 0:
        found["memory failure"] = "only root may let memory fail, where the kernel has CONFIG_MEMORY_FAILURE"
    room = f"{supplies.ROOM >> 20} MiB"
    if sizes.disk is None:
        found["disk"] = f"no directory on a real file system with {room} to write: name one with --scratch=DIR"
    if sizes.tmpfs is None:
        found["tmpfs"] = f"no directory on tmpfs with {room} to write: mount one at /dev/shm"
    if not _has_guard_regions(sizes):
        found["guard regions"] = "the kernel has no MADV_GUARD_INSTALL: it came with Linux 6.13"
    if not _has_guard_regions(sizes, Backing.MEMFD):
        found["guard regions in files"] = "no MADV_GUARD_INSTALL for memory of files: it came with Linux 6.15"
    if not _has_writer(sizes, Writer.MEM):
        found["/proc/self/mem"] = (
            "memory can't be written to by /proc/self/mem: run where a container doesn't forbid it"
        )
    if not _has_writer(sizes, Writer.VM_WRITEV):
        found["process_vm_writev"] = (
            "no process_vm_writev(2): boot a kernel with CONFIG_CROSS_MEMORY_ATTACH, where no seccomp filter forbids it"
        )
    if "disk" in found or not _has_writer(sizes, Writer.DIRECT):
        found["direct I/O"] = "no O_DIRECT on the file system for mapped files: name another with --scratch=DIR"
    if (refused := _cannot_pin(sizes)) is not None:
        found["io_uring"] = (
            f"no io_uring ({errno.errorcode.get(refused, refused)}): boot a kernel with CONFIG_IO_URING, set "
            "kernel.io_uring_disabled=0, start the container with a seccomp profile that allows it"
        )
    if not FAIL_NTH.exists():
        found["fault injection"] = "the kernel is built without CONFIG_FAULT_INJECTION and CONFIG_FAILSLAB: boot one"
    elif not os.access(FAILSLAB / "ignore-gfp-wait", os.W_OK):
        found["fault injection"] = f"what may fail is set in {FAILSLAB}: run as root where debugfs is mounted"
    if os.geteuid() != 0:
        found["root"] = "only root may: run as root"
    elif reason := supplies.refuses_another_user():
        found["root"] = f"{reason}: run as root outside of a user namespace"
    if not has_features("RWP", "RWP_ASYNC"):
        found["rwp"] = "the kernel has no UFFD_FEATURE_RWP: it came with Linux 7.3, and needs CONFIG_USERFAULTFD_RWP"
    if not has_features("MINOR_SHMEM", "MINOR_HUGETLBFS"):
        found["minor faults"] = "the kernel has no minor faults of userfaultfd: only those of some processors have"
    if not has_features("MOVE"):
        found["UFFDIO_MOVE"] = "the kernel has no UFFDIO_MOVE: it came with Linux 6.8"
    if not has_features("POISON"):
        found["UFFDIO_POISON"] = "the kernel has no UFFDIO_POISON: it came with Linux 6.6"
    if not has_features("WP_ASYNC", "EVENT_FORK"):
        found["fork events"] = (
            "UFFD_FEATURE_EVENT_FORK is for who may trace any process: run as root, or with CAP_SYS_PTRACE"
        )
    if not facts.soft_dirty:
        found["soft-dirty"] = "the kernel is built without CONFIG_MEM_SOFT_DIRTY: boot one that has it"
    elif Category.SOFT_DIRTY not in facts.known:
        found["soft-dirty"] = "PAGEMAP_SCAN doesn't know SOFT_DIRTY here: scan on a kernel that accepts the bit"
    return found


@dataclass(frozen=True)
class Host:
    """The kernel under test, as far as tests have to know it."""

    sizes: Sizes
    facts: Facts
    missing: dict[str, str]


def require_kernel() -> None:
    """Raises CannotTest when nothing can be asked here."""
    with _cannot_even_ask():
        find_facts(find_sizes())


def find_host(scratch: Path | None = None, workers: int = 1) -> Host:
    """All of the above, for so many processes at a time. Raises CannotTest when nothing can be asked here."""
    with _cannot_even_ask():
        sizes = find_sizes(scratch)
        facts = find_facts(sizes)
        return Host(sizes, facts, missing(sizes, facts, workers))
