"""What XLA is told, and that it does it."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from mmjax.ops import compiler, platform

FLAG = "--xla_cpu_experimental_ynn_fusion_type"


@pytest.mark.parametrize(
    ("flags", "version", "told"),
    [
        ("", "0.10.2", f"{FLAG}=-individual_convolution"),
        ("--xla_cpu_max_isa=AVX2", "0.10.1", f"--xla_cpu_max_isa=AVX2 {FLAG}=-individual_convolution"),
        (f"{FLAG}=", "0.10.2", f"{FLAG}="),  # what the user says stays
        ("", "0.10.0", ""),  # computes them so by itself
        ("", "0.11.0", ""),  # whether it knows the flag nobody tried
    ],
)
def test_flags(flags, version, told, monkeypatch):
    monkeypatch.setattr(compiler.util, "find_spec", lambda name: None)
    environment = {"XLA_FLAGS": flags}
    assert compiler.convolutions_by_eigen(environment, version) == (told != flags)
    assert environment["XLA_FLAGS"] == told


def test_a_tpu_library_is_told_nothing(monkeypatch):
    monkeypatch.setattr(compiler.util, "find_spec", lambda name: object())
    environment = {}
    assert not compiler.convolutions_by_eigen(environment, "0.10.2")
    assert environment == {}


def test_this_process_was_told():
    program = jax.jit(
        lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    )
    with platform.any_platform():  # oneDNN, where it is installed, takes none of these
        made = program.lower(jnp.zeros((2, 32, 32, 32)), jnp.zeros((3, 3, 32, 32))).compile().as_text()
    assert "ynn" not in made
    assert " convolution(" in made
