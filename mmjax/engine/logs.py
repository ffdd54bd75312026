"""What a run writes down: metrics.jsonl, TensorBoard events, status.json and the progress bar."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter
from tqdm import tqdm

from mmjax import workdir as files


class Logs:
    """The records of one run; on processes other than the first it writes nothing.

    Args:
      folder: the workdir, where the records go; lines are appended, so a resumed run continues them.
      start: the step that the run starts from; TensorBoard hides older events beyond it.
      steps: the length of the run.
      batch_size: examples in a step.
      quiet: True on processes other than the first.
    """

    def __init__(self, folder: Path, start: int, steps: int, batch_size: int, quiet: bool = False):
        self.workdir, self.quiet, self.batch_size = folder, quiet, batch_size
        self.steps, self.start = steps, start
        self.last = (time.perf_counter(), start)
        if quiet:
            return
        path = folder / files.METRICS
        torn = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
        self.file = path.open("a", buffering=1)
        if torn:  # a killed run's last line must not swallow our first
            self.file.write("\n")
        self.board = SummaryWriter(str(folder / files.TENSORBOARD), purge_step=start + 1)
        self.interactive = sys.stderr.isatty()  # into a file, a line an interval reads better than a bar
        self.bar = tqdm(total=steps, initial=start, unit="step", dynamic_ncols=True, disable=not self.interactive)

    def say(self, line: str) -> None:
        """Prints a line above the progress bar."""
        if not self.quiet:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()

    def train(self, step: int, values: Mapping[str, float]) -> None:
        """Records training figures, with the speed since the last call, and moves the bar."""
        now, (then, before) = time.perf_counter(), self.last
        self.last = (now, step)
        speed = (step - before) / max(now - then, 1e-9)
        extra = {"steps_per_second": speed, "examples_per_second": speed * self.batch_size} if speed else {}
        self.write(step, "train", {**values, **extra})
        if self.quiet:
            return
        losses = {k.removeprefix("loss/"): f"{v:.4g}" for k, v in values.items() if k.startswith("loss/")}
        self.bar.set_postfix({**losses, "ex/s": f"{speed * self.batch_size:.0f}"}, refresh=False)
        self.bar.update(step - self.bar.n)
        if not self.interactive:
            left = _clock((self.steps - step) / speed) if speed else "?"
            shown = "  ".join(f"loss/{k} {v}" for k, v in losses.items())
            self.say(
                f"step {step}/{self.steps}  {shown}  {speed:.2f} steps/s  {speed * self.batch_size:.0f} examples/s  "
                f"{left} left"
            )

    def begin(self, step: int) -> None:
        """Starts the clock after the first call, which compiles: a speed with that in it would mislead."""
        self.last = (time.perf_counter(), step)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Keeps evaluation and saving out of the training speed."""
        began = time.perf_counter()
        yield
        then, step = self.last
        self.last = (then + time.perf_counter() - began, step)

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Appends one line to metrics.jsonl and the same scalars to TensorBoard."""
        if self.quiet:
            return
        plain = {name: float(value) for name, value in values.items()}
        # Strict JSON has no NaN or infinity; a reader should not stumble over the line that says why a run stopped.
        safe = {name: value if np.isfinite(value) else str(value) for name, value in plain.items()}
        with files.writing(self.workdir / files.METRICS):
            self.file.write(json.dumps({"step": step, "kind": kind, "time": time.time(), "values": safe}) + "\n")
        for name, value in plain.items():
            if np.isfinite(value):  # of what is none it draws nothing, and warns at each
                self.board.add_scalar(f"{kind}/{name}", value, step)

    def gallery(self, step: int, predictions: Mapping[str, np.ndarray], sample_rate: int, most: int = 8) -> None:
        """Sends pictures, sounds and their spectrograms to TensorBoard."""
        if self.quiet:
            return
        from mmjax.report.views.sound import spectrogram_figure

        for name, values in predictions.items():
            kind = name.split("/")[0]
            for i, value in enumerate(values[:most]):
                if kind == "image":
                    self.board.add_image(f"{name}/{i}", value, step, dataformats="HWC")
                elif kind == "audio":
                    # TensorBoard wants [-1, 1].
                    wave = value / 32768.0 if value.dtype == np.int16 else value
                    self.board.add_audio(f"{name}/{i}", wave, step, sample_rate)
                    self.board.add_figure(f"{name}/{i}/spectrogram", spectrogram_figure(value, sample_rate), step)

    def status(self, state: str, step: int, command: str) -> None:
        """Writes status.json: where the run stands and how to go on."""
        if not self.quiet:
            content = {"state": state, "step": step, "steps": self.steps, "command": command}
            files.write_json(self.workdir / files.STATUS, content)

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *failure: object) -> None:
        if not self.quiet:
            self.bar.close()
            self.board.close()
            self.file.close()


def recorded(workdir: Path, step: int, kind: str) -> bool:
    """Whether metrics.jsonl has a line of a kind and step."""
    path = workdir / files.METRICS
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    start = f'{{"step": {step}, "kind": "{kind}", '
    return any(line.startswith(start) and line.endswith("}}") for line in lines)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
