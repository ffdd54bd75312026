"""Which form of an operation a program takes."""

import jax
from jax import numpy as jnp

from mmjax.ops import platform


def test_what_is_traced_for_any_platform_has_no_form_of_a_cpu():
    def double(x):
        x = x + 1 if platform.cpu() else x
        return platform.dependent(x, cpu=lambda x: 2 * x, default=lambda x: x + x)

    def traced():
        return str(jax.make_jaxpr(lambda x: double(x))(jnp.ones(3)))  # a function of its own, whose trace nobody keeps

    assert platform.cpu()
    here = traced()
    assert "platform_index" in here
    with platform.any_platform():
        assert not platform.cpu()
        assert "platform_index" not in traced()
        assert "mul" not in traced()
    assert traced() == here
    assert jax.jit(double)(jnp.ones(3)).tolist() == [4, 4, 4]
