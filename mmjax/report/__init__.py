"""Reads a workdir and writes one self-contained HTML page; never imports jax."""
