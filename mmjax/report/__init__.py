"""Reads a workdir and writes one self-contained HTML page; never imports jax."""

from __future__ import annotations

from pathlib import Path


def write(workdir: Path) -> Path:
    """`page.write`: the report of a workdir, as one HTML page; returns its path."""
    from mmjax.report import page  # only now: matplotlib takes a third of a second, and a run begins without it

    return page.write(workdir)
