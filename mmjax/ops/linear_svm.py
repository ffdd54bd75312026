"""The linear support vector machine, one class against the rest, jitted.

What liblinear calls L2-regularised L2-loss (`-s 1` and `-s 2`: its dual and its primal) and scikit-learn `LinearSVC()`.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from mmjax.errors import UserError

_HALVINGS = 12  # of a step: at 2^-12 float32 tells the objective before from the one after no more


class LinearSVM(NamedTuple):
    """The separating planes: weights [d c] and bias [c]."""

    weights: Float[Array, "d c"]
    bias: Float[Array, " c"]

    def scores(self, features: Float[Array, "*n d"]) -> Float[Array, "*n c"]:
        """The signed distance of each sample to each plane, in units of its margin; the class is the argmax."""
        flat = features.astype(jnp.float32).reshape(-1, features.shape[-1])
        found = jnp.matmul(flat, self.weights, precision=lax.Precision.HIGHEST) + self.bias[None]
        return found.reshape(*features.shape[:-1], -1)


class _Problem(NamedTuple):
    """The data of one fit; planes are [d + 1, c], the last row the bias, which is regularised as liblinear's is."""

    x: Array
    sign: Array  # [n c], +1 where the sample is of the class, -1 where not
    keep: Array  # [n 1], 0 for samples that do not count
    cost: Array

    def margins(self, planes):
        """[n c]."""
        return jnp.matmul(self.x, planes[:-1], precision=lax.Precision.HIGHEST) + planes[-1:]

    def back(self, r, square=False):
        """The transpose of `margins`; of the squared features if `square`."""
        x = jnp.square(self.x) if square else self.x
        own = jnp.matmul(x.T, r, precision=lax.Precision.HIGHEST)
        return jnp.concatenate([own, jnp.sum(r, 0, keepdims=True)])

    def slack(self, margins):
        """How far each sample is on the wrong side of its margin, [n c]."""
        return jnp.maximum(1 - self.sign * margins, 0.0) * self.keep


@functools.partial(jax.jit, static_argnames=("classes", "steps"))
def fit(
    features: Float[Array, "n d"],
    label: Int[Array, " n"],
    classes: int,
    cost: float | Float[Array, ""] = 1.0,
    *,
    where: Bool[Array, " n"] | None = None,
    tolerance: float = 1e-6,
    steps: int = 100,
) -> LinearSVM:
    """Minimises |w|^2 / 2 + cost sum_i max(0, 1 - y_i w . x_i)^2 for each class, x with a 1 appended.

    The objective is strictly convex, so that its minimum is liblinear's whatever the way there. Ours is the truncated
    Newton method of Keerthi and DeCoste 2005 ("A modified finite Newton method for fast solution of large scale linear
    SVMs"): conjugate gradients on the generalised Hessian, preconditioned by its diagonal, and a line search; all
    classes in lockstep, so that every pass over the data is one matrix product.

    Args:
      features: [n d], any float dtype; computed in float32.
      label: [n], 0..classes-1.
      classes: c, at least 2.
      cost: C of the loss, above 0; the larger, the less regularised.
      where: [n], False for samples that do not count (padding); all count where None.
      tolerance: the norm of each class's gradient, as a share of that at w = 0, below which the fit ends.
      steps: Newton steps at most.

    Returns:
      The planes, float32.

    Raises:
      UserError: fewer than two classes.
    """
    if classes < 2:
        raise UserError(f"a classifier needs at least 2 classes, not {classes}")
    x = features.astype(jnp.float32)
    keep = jnp.ones(len(x)) if where is None else where.astype(jnp.float32)
    x = jnp.where(keep[:, None] > 0, x, 0.0)  # whatever stands in the padding
    sign = 2 * jax.nn.one_hot(label, classes) - 1
    problem = _Problem(x, sign, keep[:, None], jnp.float32(cost))
    planes = jnp.zeros((x.shape[1] + 1, classes))
    goal = tolerance * jnp.linalg.norm(_gradient(problem, planes), axis=0)

    def unfinished(carry):
        _, gradient, moved, step = carry
        return (step < steps) & moved & jnp.any(jnp.linalg.norm(gradient, axis=0) > goal)

    def newton(carry):
        planes, gradient, _, step = carry
        slack = problem.slack(problem.margins(planes))
        way = _direction(problem, (slack > 0).astype(jnp.float32), gradient, goal)
        length = _line_search(problem, planes, way, gradient)
        planes = planes + length[None] * way
        return planes, _gradient(problem, planes), jnp.any(length > 0), step + 1

    start = (planes, _gradient(problem, planes), jnp.bool_(True), jnp.int32(0))
    planes, *_ = lax.while_loop(unfinished, newton, start)
    return LinearSVM(planes[:-1], planes[-1])


def _gradient(problem, planes):
    slack = problem.slack(problem.margins(planes))
    return planes - 2 * problem.cost * problem.back(problem.sign * slack)


def _direction(problem, active, gradient, goal, most=200):
    """H^-1 (-gradient) by conjugate gradients, H = I + 2 cost X' diag(active) X; coarse far from the minimum."""
    scale = 1 + 2 * problem.cost * problem.back(active, square=True)
    norm = jnp.linalg.norm(gradient, axis=0)
    enough = jnp.maximum(jnp.minimum(0.1, jnp.sqrt(norm / jnp.max(norm))) * norm, 0.1 * goal)

    def unfinished(carry):
        _, rest, _, _, step = carry
        return (step < most) & jnp.any(jnp.linalg.norm(rest, axis=0) > enough)

    def turn(carry):
        way, rest, along, energy, step = carry
        bent = along + 2 * problem.cost * problem.back(active * problem.margins(along))
        bend = jnp.sum(along * bent, 0)
        size = jnp.where(bend > 0, energy / jnp.where(bend > 0, bend, 1.0), 0.0)
        way, rest = way + size[None] * along, rest - size[None] * bent
        eased = rest / scale
        fresh = jnp.sum(rest * eased, 0)
        turned = jnp.where(energy > 0, fresh / jnp.where(energy > 0, energy, 1.0), 0.0)
        return way, rest, eased + turned[None] * along, fresh, step + 1

    rest = -gradient
    eased = rest / scale
    start = (jnp.zeros_like(rest), rest, eased, jnp.sum(rest * eased, 0), jnp.int32(0))
    return lax.while_loop(unfinished, turn, start)[0]


def _line_search(problem, planes, way, gradient):
    """The first of 1, 1/2, 1/4, ... along `way` that lowers each class's objective enough (Armijo); 0 if none does."""
    margins, change = problem.margins(planes), problem.margins(way)
    slope = jnp.sum(way * gradient, 0)
    # |w + t d|^2 - |w|^2, and slack^2 - slack^2, so that nothing large is subtracted at the end.
    along, square = jnp.sum(planes * way, 0), jnp.sum(way * way, 0)
    before = problem.slack(margins)

    def gain(t):
        after = problem.slack(margins + t[None] * change)
        loss = jnp.sum((after - before) * (after + before), 0)
        return t * along + 0.5 * t * t * square + problem.cost * loss

    def unfinished(carry):
        _, accepted, step = carry
        return (step < _HALVINGS) & ~jnp.all(accepted)

    def halve(carry):
        t, accepted, step = carry
        t = jnp.where(accepted, t, 0.5 * t)
        return t, gain(t) <= 1e-4 * t * slope, step + 1

    t = jnp.ones_like(slope)
    t, accepted, _ = lax.while_loop(unfinished, halve, (t, gain(t) <= 1e-4 * t * slope, jnp.int32(0)))
    return jnp.where(accepted, t, 0.0)
