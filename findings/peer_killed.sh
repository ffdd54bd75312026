#!/usr/bin/env bash
# JAX: where one of several processes is killed, the others are ended past try/finally, atexit and buffered output.
#
# Seen 2026-11-29 with jax 0.10.2 and jaxlib 0.10.2 (and the pins below), CPython 3.11, Linux x86_64. Public packages
# alone, in a temporary folder; nothing of this repository is used. About a minute, nearly all asleep; outside CI.
# Exits 0 as long as JAX behaves as said here, and with 1 when a case ends in another way, for better or worse.
#
# Behaviour. jax.distributed.initialize starts a thread that listens for errors of the other processes. When it hears
# of one it ends its own process by abort(), status -6. No exception is raised in Python, whatever Python is doing: it
# may have asked nothing of JAX since it joined.
#   1  Process 1 of 2 is killed. Process 0 sleeps inside try/finally, and is ended after the heartbeat timeout (100 s
#      by default, 10 s here): its `finally` does not run, its atexit function does not, and what it had printed into a
#      pipe or file and not flushed is lost.
#   2  Process 0, where the coordinator lives, is killed. Process 1 is ended in the same way, at once: no timeout
#      passes, as its connection breaks.
#
# Who meets it: a job whose hosts do more than exchange arrays, when one of them is out of memory: a checkpoint being
# written, a lock file, an entry in a log, "the run failed" in a status file are left as they were. A watcher that
# reads a Python traceback from stderr finds a stack of C++ there.
#
# Workaround: leave what must happen with another process, which outlives this one: a child that waits on a pipe, whose
# end it sees when this process is gone; flush what is printed; write files so that half of one does no harm.
#
# Output:
#   1 process 1 is killed
#     process 0 ended with status -6, after 9 to 40 s: flushed only; finally False, atexit False
#   2 process 0 is killed
#     process 1 ended with status -6, after 0 to 8 s: flushed only; finally False, atexit False
#   As described.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed" >&2; exit 2; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check \
    jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 scipy==1.17.1 ml_dtypes==0.6.0 opt_einsum==3.4.0

cat > "$work/process.py" <<'PYTHON'
"""One of two processes: joins, and sleeps where it could clean up."""
import atexit
import pathlib
import signal
import sys
import time

import jax

signal.alarm(120)
port, process = sys.argv[1], int(sys.argv[2])
address = f"127.0.0.1:{port}"
jax.distributed.initialize(address, 2, process, coordinator_bind_address=address, heartbeat_timeout_seconds=10)
assert jax.process_count() == 2
atexit.register(lambda: pathlib.Path(f"{port}.{process}.atexit").touch())
print("flushed", flush=True)
print("buffered")
try:
    time.sleep(100)
finally:
    pathlib.Path(f"{port}.{process}.finally").touch()
PYTHON

cat > "$work/both.py" <<'PYTHON'
"""Runs both cases and compares how the process that is left ended with what the header says."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
CASES = (("1 process 1 is killed", 1, 9, 40), ("2 process 0 is killed", 0, 0, 8))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
# Nothing of the caller's that changes JAX or Python; and JAX advises against variables of proxies.
environment = {k: v for k, v in os.environ.items() if not re.match(r"(?i)JAX_|XLA_|PYTHON|.*_proxy$", k)}
environment["JAX_PLATFORMS"] = "cpu"
changed = False
for title, killed, least, most in CASES:
    print(title, flush=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    logs = [HERE / f"{port}.{process}.log" for process in (0, 1)]
    running = []
    try:
        for process, log in enumerate(logs):
            command = [sys.executable, "process.py", str(port), str(process)]
            with log.open("w") as out:
                running.append(
                    subprocess.Popen(command, cwd=HERE, env=environment, stdout=out, stderr=subprocess.DEVNULL)
                )
        end = time.monotonic() + 100
        while not all(log.read_text() for log in logs):
            if time.monotonic() > end or any(process.poll() is not None for process in running):
                sys.exit("The processes did not join.")
            time.sleep(0.1)
        time.sleep(1)
        running[killed].kill()
        began = time.monotonic()
        status = running[1 - killed].wait(100)
        seconds = time.monotonic() - began
    finally:
        for process in running:
            process.kill()
            process.wait()
    printed = logs[1 - killed].read_text().split()
    ran = [(HERE / f"{port}.{1 - killed}.{name}").exists() for name in ("finally", "atexit")]
    same = status == -signal.SIGABRT and least <= seconds <= most and printed == ["flushed"] and not any(ran)
    changed |= not same
    print(
        f"  process {1 - killed} ended with status {status}, after {least} to {most} s: {' '.join(printed)} only; "
        f"finally {ran[0]}, atexit {ran[1]}" + ("" if same else f"   <- CHANGED (after {seconds:.0f} s)"),
        flush=True,
    )
print("The behaviour has CHANGED." if changed else "As described.")
sys.exit(changed)
PYTHON

"$work/venv/bin/python" "$work/both.py"
