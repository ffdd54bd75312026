#!/usr/bin/env bash
# JAX on CPUs: processes that reach their first exchange more than 30 s apart fail, although all of them had joined.
#
# Seen 2026-11-29 with jax 0.10.2 and jaxlib 0.10.2 (and the pins below), CPython 3.11, Linux x86_64. Public packages
# alone, in a temporary folder; nothing of this repository is used. About five minutes, nearly all asleep; outside CI.
# Exits 0 as long as JAX behaves as said here, and with 1 when a case ends in another way, for better or worse.
#
# Behaviour. jax.distributed.initialize joins the processes with the coordinator only. Gloo, JAX's collectives on CPUs,
# connects a group of devices when a process runs the first collective of that very group, and then waits 30 s for the
# others to do the same; initialize has no argument for that (initialization_timeout is about joining). Once a group is
# connected, its collectives wait longer than these 30 s, except psum_scatter.
#   1  One process is 40 s late at the first collective. The other fails after 30 s. The late one gets no error: it
#      waits in silence for the one that has given up (here 20 s, then it is ended).
#   2  A tiny exchange right after initialize, then 40 s late at the next collective of the same group: right sums.
#   3  Two devices a process, and the exchange of 2, multihost_utils.sync_global_devices: it connects pairs,
#      one device of each process, and no group of all four. A sum over all four, 40 s late, fails as in 1.
#   4  As 3, but the tiny exchange is itself a sum over all four: right sums.
#   5  As 2, but what comes 40 s late is psum_scatter: it fails after 30 s in a connected group as well, in both
#      processes (reported: https://github.com/jax-ml/jax/issues/40831).
#
# Who meets it: a job on several CPU hosts, or a test with two local processes, in which one reads data, restores or
# compiles for 30 s longer than another before the first step (the first host alone writes a cache; a busy machine).
# The message tells of a key and not of an exchange: cpu:gloo/0,2048/1 is the group of devices 0 and 2048, in which
# device 1 (counted from 0) is late, of the second process here.
#
# Workaround: right after jax.distributed.initialize, where all have just met, run a tiny collective over each group of
# devices that the program will use: multihost_utils.sync_global_devices("joined") if every process has one device; if
# it has more, a jitted psum of one number a device over the program's own mesh, and over each axis that it sums over
# alone.
#
# Output (ports and the last digits of durations vary; the second line of a case is the late process):
#   1 no first exchange, then psum
#     failed after 30 s: JaxRuntimeError: UNKNOWN: Gloo context initialization failed: DEADLINE_EXCEEDED: GetKeyValue()
#         timed out with key: cpu:gloo/0,2048/1 and duration: 29.99999995s
#         [type.googleapis.com/tensorflow.CoordinationServiceError='']
#     no result and no error within 20 s
#   2 sync_global_devices, then psum
#     right after 40 s: sums of ones
#     right after 0 s: sums of ones
#   3 two devices each: sync_global_devices, then psum over all
#     failed after 30 s: JaxRuntimeError: UNKNOWN: Gloo context initialization failed: DEADLINE_EXCEEDED: GetKeyValue()
#         timed out with key: cpu:gloo/0,1,2048,2049/2 and duration: 29.99999994s
#         [type.googleapis.com/tensorflow.CoordinationServiceError='']
#     no result and no error within 20 s
#   4 two devices each: psum over all, then psum over all
#     right after 40 s: sums of ones
#     right after 0 s: sums of ones
#   5 psum, then psum_scatter
#     failed after 30 s: JaxRuntimeError: UNKNOWN: Gloo ReduceScatter failed:
#         [external/gloo/gloo/transport/tcp/buffer.cc:72] Read timeout [127.0.0.1]:30424
#     failed after 0 s: JaxRuntimeError: UNKNOWN: Gloo ReduceScatter failed:
#         [external/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:21923
#   As described.
#
# The coordinator listens on 127.0.0.1 at a free port. Gloo listens at the address that the machine's name resolves to
# (no option of JAX's changes it); both processes are on this machine.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed" >&2; exit 2; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1 ml_dtypes==0.6.0 opt_einsum==3.4.0

cat > "$work/process.py" <<'PYTHON'
"""One of two processes: joins, perhaps exchanges something tiny, perhaps sleeps, and then runs one collective."""
import signal
import sys
import time

import jax
import numpy as np
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import PartitionSpec

signal.alarm(180)  # whatever happens: neither Gloo's wait nor the barrier at the end outlives this
port, process, first, devices, then = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
address = f"127.0.0.1:{port}"
jax.config.update("jax_num_cpu_devices", devices)
jax.distributed.initialize(address, 2, process, coordinator_bind_address=address)
assert jax.process_count() == 2 and jax.device_count() == 2 * devices

mesh = jax.make_mesh((2 * devices,), ("all",))
split = PartitionSpec("all")
ones = np.ones((2 * devices, 2 * devices), np.float32)
x = jax.make_array_from_callback(ones.shape, jax.NamedSharding(mesh, split), lambda part: ones[part])


def compiled(collective):
    """Compiled already, so that both arrive when they mean to; nothing is exchanged."""
    mapped = jax.shard_map(collective, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
    return jax.jit(mapped).lower(x).compile()


run = compiled({
    "psum": lambda x: lax.psum(x, "all"),
    "psum_scatter": lambda x: lax.psum_scatter(x, "all", scatter_dimension=1, tiled=True),
}[then])
if first == "sync":
    multihost_utils.sync_global_devices("joined")
elif first == "sum":
    jax.block_until_ready(compiled(lambda x: lax.psum(x[:, :1], "all"))(x))
print("ready", flush=True)
if process == 1:
    time.sleep(40)
print("arrived", flush=True)
start = time.monotonic()
try:
    sums = [np.asarray(shard.data) for shard in run(x).addressable_shards]
except Exception as error:
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    print(f"result failed {time.monotonic() - start:.0f} {what}", flush=True)
else:
    right = all((part == 2 * devices).all() for part in sums)
    print(f"result {'right' if right else 'wrong'} {time.monotonic() - start:.0f} sums of ones", flush=True)
PYTHON

cat > "$work/both.py" <<'PYTHON'
"""Runs the cases one after another and compares what each process said with what the header says."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
CONNECT = r"failed (29|3\d) JaxRuntimeError: .*Gloo context initialization failed: .*GetKeyValue\(\) timed out"
READ = r"failed (29|3\d) JaxRuntimeError: .*Gloo ReduceScatter failed: .*Read timeout"
CLOSED = r"failed \d JaxRuntimeError: .*Gloo ReduceScatter failed: .*Connection closed by peer"
SILENT = "no result and no error within 20 s"
WAITED = r"right (3[5-9]|4\d) "
AT_ONCE = r"right \d "
CASES = (  # title; first exchange, devices a process, late collective; the process in time, the late one
    ("1 no first exchange, then psum", ("none", 1, "psum"), (CONNECT, SILENT)),
    ("2 sync_global_devices, then psum", ("sync", 1, "psum"), (WAITED, AT_ONCE)),
    ("3 two devices each: sync_global_devices, then psum over all", ("sync", 2, "psum"), (CONNECT, SILENT)),
    ("4 two devices each: psum over all, then psum over all", ("sum", 2, "psum"), (WAITED, AT_ONCE)),
    ("5 psum, then psum_scatter", ("sum", 1, "psum_scatter"), (READ, CLOSED)),
)


def said(log, word):
    """What follows the word at the start of a line of the log, or None."""
    found = re.search(rf"^{word}\b ?(.*)$", log.read_text(errors="replace"), re.MULTILINE)
    return found and found[1]


def results(number, arguments):
    """What both processes say at the end; SILENT of one that has none 20 s after the late one's arrival."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Nothing of the caller's that changes JAX; and JAX advises against variables of proxies.
    environment = {k: v for k, v in os.environ.items() if not re.match(r"(?i)JAX_|XLA_|.*_proxy$", k)}
    environment["JAX_PLATFORMS"] = "cpu"
    logs = [HERE / f"{number}.{process}.log" for process in (0, 1)]
    running = []
    try:
        for process, log in enumerate(logs):
            command = [sys.executable, "process.py", str(port), str(process), *map(str, arguments)]
            with log.open("w") as out:
                running.append(subprocess.Popen(command, cwd=HERE, env=environment, stdout=out, stderr=out))
        end = time.monotonic() + 170
        arrived = False
        while time.monotonic() < end and None in [said(log, "result") for log in logs]:
            if not arrived and said(logs[1], "arrived") is not None:
                arrived, end = True, time.monotonic() + 20
            time.sleep(0.5)
        for process, log in zip(running, logs):
            if said(log, "ready") is None or said(log, "result") is None and process.poll() is not None:
                sys.exit(f"A process did not come so far:\n{log.read_text(errors='replace')}")
        if said(logs[1], "arrived") is None:
            sys.exit("The late process never arrived.")
        return [said(log, "result") or SILENT for log in logs]
    finally:
        for process in running:  # JAX catches SIGTERM
            process.kill()
            process.wait()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
changed = False
for number, (title, arguments, expected) in enumerate(CASES, 1):
    print(title, flush=True)
    for result, pattern in zip(results(number, arguments), expected):
        same = bool(re.match(pattern, result))
        changed |= not same
        result = re.sub(r"^(\w+) (\d+) ", r"\1 after \2 s: ", result)
        print("  " + result + ("" if same else f"   <- CHANGED, expected {pattern}"), flush=True)
print("The behaviour has CHANGED." if changed else "As described.")
sys.exit(changed)
PYTHON

"$work/venv/bin/python" "$work/both.py"
