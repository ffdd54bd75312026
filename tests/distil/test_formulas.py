"""What is learned from a teacher, by hand."""

import jax
import numpy as np
from jax import numpy as jnp

from mmjax.distil import formulas


def test_logits_at_a_temperature_by_hand():
    # T = 2: softmax(log 9 / 2, 0) = (3/4, 1/4) beside (1/2, 1/2), four times the divergence.
    teacher, student = jnp.log(jnp.array([[9.0, 1.0], [1.0, 1.0]])), jnp.zeros((2, 2))
    want = 4 * (0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5))
    np.testing.assert_allclose(formulas.at_temperature(teacher, student, 2.0), [want, 0], rtol=1e-5, atol=1e-7)
    sure = jnp.log(jax.nn.softmax(teacher))  # log-probabilities are logits, too
    np.testing.assert_allclose(formulas.at_temperature(sure, student, 2.0), [want, 0], rtol=1e-5, atol=1e-6)


def test_the_gradient_of_hot_logits_is_the_difference_of_logits(rng):
    """At a high temperature T^2 KL is half the mean squared difference of centred logits (Hinton et al. 2.1)."""
    teacher, student = rng.normal(size=(2, 1, 5)).astype(np.float32)
    found = jax.jit(jax.grad(lambda z: formulas.at_temperature(jnp.asarray(teacher), z, 100.0).sum()))(student)
    apart = (student - student.mean()) - (teacher - teacher.mean())
    np.testing.assert_allclose(found, apart / 5, atol=0.02)


def test_similarities_by_hand_whatever_the_dimensions():
    teacher = {"image": jnp.array([[2.0, 0, 0], [0, 3, 0]]), "caption": jnp.array([[1.0, 0, 0], [0, 0, 1]])}
    student = {"image": jnp.array([[1.0, 0], [1, 0]]), "caption": jnp.array([[5.0, 0], [0, 1]])}
    # cosines caption x image: teacher [[1 0] [0 0]], student [[1 1] [0 0]]
    np.testing.assert_allclose(formulas.of_similarities(teacher, student)["caption_image"], 1 / 4, rtol=1e-6)
    alone = formulas.of_similarities({"image": teacher["image"]}, {"image": student["image"]})
    assert {name: float(x) for name, x in alone.items()} == {"image": 0.5}  # [[1 0] [0 1]] beside [[1 1] [1 1]]


def test_maps_by_hand():
    assert formulas.of_maps(jnp.ones((2, 2, 2)), jnp.ones((2, 2, 2)).at[0, 0, 0].set(5)) == 16 / 8
