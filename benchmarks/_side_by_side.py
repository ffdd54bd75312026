"""What the benchmarks share: sides in turn, the device in words, and when figures are written.

Import it before a peer: one that runs beside an XLA that is held to AVX2 is held to it, too. But of XLA only the code
that it generates is held to it, and its matrix products are not (findings/xla_max_isa_products.sh), so that a ratio
under XLA_FLAGS=--xla_cpu_max_isa=AVX2 flatters mmjax: the name of the device says so.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

# Under XLA_FLAGS=--xla_cpu_max_isa=AVX2 peers do without AVX-512 as well: they read these when they are imported.
WITHOUT_AVX512 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}
IDLE = 0.5  # load above which a ratio is not to be quoted
SETTLED = 2_000  # pages of memory that a round of steps may touch for the first time
PAUSE = 0.05  # seconds between steps, for the other library's idle threads to stop spinning


def settle(sides: Mapping[str, Callable[[], Any]], limit: float) -> None:
    """Rounds of steps, untimed, until one takes no new memory; at most ten, and no more after `limit` seconds.

    What is given back lies in pieces between what others hold, and so the first few rounds still ask the system for
    more. On a virtual machine that has not used it before such a step takes twice as long: of 1.6 s it was 3.3.
    """
    end = time.perf_counter() + limit
    for _ in range(10):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for step in sides.values():
            step()
        if resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < SETTLED or time.perf_counter() > end:
            break


def alternate(sides: Mapping[str, Callable[[], Any]], rounds: int, limit: float) -> dict[str, list[float]]:
    """Seconds of each step, all sides in turn: `rounds` times, or, after three, until `limit` seconds have passed.

    Before the clock starts they are left to `settle` for as long.
    """
    settle(sides, limit)
    times: dict[str, list[float]] = {name: [] for name in sides}
    end = time.perf_counter() + limit
    for number in range(rounds):
        if number >= 3 and time.perf_counter() > end:
            break
        for name, step in sides.items():
            time.sleep(PAUSE)
            began = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - began)
    return times


def parser(about: str, sizes: Mapping[str, int | float]) -> argparse.ArgumentParser:
    """The flags of every benchmark of a step: `about` is its docstring, and each of `sizes` may be changed."""
    made = argparse.ArgumentParser(description=about.splitlines()[0])
    made.add_argument("--quick", action="store_true", help="fewer steps: ends within two minutes on an idle laptop")
    made.add_argument("--busy", action="store_true", help="write the result whatever the load")
    for name, size in sizes.items():
        made.add_argument(f"--{name.replace('_', '-')}", type=type(size), default=size)
    return made


def peer_without_avx512(torch: Any) -> None:
    """What torch.compile makes is held to AVX2 where PyTorch itself is: it does not read the variable."""
    if torch.backends.cpu.get_cpu_capability() == "AVX2":
        torch._inductor.config.cpp.simdlen = 256


def load() -> float:
    """Cores that other processes keep busy in this half of a second; the load average where there is no /proc/stat.

    The load average remembers a minute, and with it what this benchmark's own start did.
    """
    path = pathlib.Path("/proc/stat")
    if not path.exists():
        return os.getloadavg()[0]

    def spent() -> float:
        user, nice, system, _, _, *others = map(int, path.read_text().split("\n", 1)[0].split()[1:])
        return (user + nice + system + sum(others[:3])) / os.sysconf("SC_CLK_TCK")

    before, began = spent(), time.perf_counter()
    time.sleep(0.5)
    return (spent() - before) / (time.perf_counter() - began)


def device_name(note: str = "") -> str:
    """What the arrays are on, in words; of an x86 processor with the instructions that XLA may use there.

    Args:
      note: takes the instructions' place where they are masked, so that the system still names what none may use.
    """
    if jax.default_backend() != "cpu":
        return jax.devices()[0].device_kind
    path = pathlib.Path("/proc/cpuinfo")
    cpuinfo = path.read_text() if path.exists() else ""
    name = _entry(cpuinfo, "model name") or platform.processor() or platform.machine()
    words = note or instructions(_entry(cpuinfo, "flags").split(), os.environ.get("XLA_FLAGS", ""))
    return ", ".join([name, f"{os.cpu_count()} cores", *([words] if words else [])])


def _entry(cpuinfo: str, name: str) -> str:
    """The first processor's value of /proc/cpuinfo, "" where there is none."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def instructions(flags: Sequence[str], xla_flags: str) -> str:
    """The widest vector instructions in use: "AVX-512", "AVX2 only" or "no AVX2", and what limits XLA.

    Args:
      flags: of the processor, as /proc/cpuinfo names them; "" comes back for another kind than x86.
      xla_flags: XLA_FLAGS.
    """
    if "sse2" not in flags:
        return ""
    has = "AVX-512" if "avx512f" in flags else "AVX2 only" if "avx2" in flags else "no AVX2"
    limit = limited(xla_flags)
    if has == "AVX-512" and limit:
        return f"AVX-512 in XLA's matrix products, its other code held to {limit}, peers to AVX2"
    return has


def limited(xla_flags: str) -> str:
    """What --xla_cpu_max_isa in XLA_FLAGS, whose last value holds, allows below AVX-512; "" if it does not limit."""
    given = [word.partition("=")[2] for word in xla_flags.split() if word.startswith("--xla_cpu_max_isa=")]
    limit = given[-1].upper() if given else ""
    return "" if limit.startswith(("AVX512", "AMX")) else limit


def unwritten(options: Any, own: bool) -> list[str]:
    """Why the figures of this run do not belong into the results; empty if they do.

    Args:
      options: `quick`, `load`, the load average at the start, and perhaps `busy`: written all the same.
      own: whether the settings are the default ones.
    """
    busy = options.load > IDLE and not getattr(options, "busy", False)
    reasons = {
        "--quick takes too few steps, do not quote the ratio": options.quick,
        f"load {options.load:.1f} at the start: other work may run beside this, do not quote the ratio": busy,
        "these are not the default settings": not own,
    }
    return [reason for reason, holds in reasons.items() if holds]


def keep_of_device(figures: Mapping[str, Any], path: pathlib.Path, reasons: Sequence[str], note: str = "") -> None:
    """`keep` in a file that has the figures of several devices, each under its name."""
    others = json.loads(path.read_text()) if path.exists() else {}
    others = {} if "versions" in others else others  # a file from before, of one device whose name is not known
    keep({**others, device_name(note): figures}, path, reasons)


def keep(figures: Mapping[str, Any], path: pathlib.Path, reasons: Sequence[str]) -> None:
    """Writes the figures down, or prints why not."""
    for reason in reasons:
        print(f"nothing was written: {reason}")
    if not reasons:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n")


if limited(os.environ.get("XLA_FLAGS", "")):
    os.environ.update(WITHOUT_AVX512)
