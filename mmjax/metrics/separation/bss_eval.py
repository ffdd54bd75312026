"""SDR, SIR and SAR (BSS eval 3) in float32 on the device: batched, jitted, and equal to the published figures.

The figures come from least squares whose normal equations are far too ill-conditioned for float32: a sound's spectrum
spans 60 to 100 dB, and its energies twice as many digits as float32 has. What a filter of L taps makes of a reference
is therefore written in another basis of the very same space: the first p taps through the orthonormal polynomials of
the reference's own autocorrelation (the rows of the inverse of its Cholesky factor), and each later tap through the
last of these, shifted. That basis is nearly white, so float32 solves it, and everything that is then compared is a
residual, whose small energy is computed from small numbers and not as a difference of large ones, and to the second
order in the error of the filters.

Each reference's own equations are factored. Those of all references are solved by conjugate gradients in the bases that
these factors make orthonormal: where sources differ, these are nearly orthonormal together, and few turns are enough.
Where they are not, the joint equations are factored, too. Sounds are cut into segments, since only as many lags are
wanted as a filter has taps.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from mmjax.errors import OptionError, UserError
from mmjax.metrics.separation import segments
from mmjax.metrics.separation.bss_eval_host import FILTER, UNDEFINED
from mmjax.ops import cholesky, platform

WHITENED = 32  # p: orders of prediction, enough for the slope of a spectrum
RIDGE = 1e-6  # of a source's energy, in its prediction: about what float32 knows of it
LEAST = 1e-6  # of a basis vector's energy: what is left of it beside those before it, or it is left out
TOLERANCE = 1e-6  # of what is left of the joint equations' right side
ROUNDING = 1e-12  # of an energy: less is not known in float32
TURNS = 30  # of conjugate gradients: about as long as a factor takes
PASSES = 3  # of the factor's solution: of what is left it explains some more

_EXACT = lax.Precision.HIGHEST


def bss_eval(
    reference: Float[Array, "*b n time"], estimate: Float[Array, "*b m time"], taps: int = FILTER
) -> dict[str, Float[Array, "*b m n"]]:
    """Ratios in dB of every estimate to every reference; see `bss_eval_host.bss_eval`, whose figures these are.

    Below 30 dB they are within 1e-5 dB of the host's for coloured noise and for pulses through resonances with noise of
    16 bits under them, within 1e-3 dB for noise whose spectrum falls by 80 dB, and within 4e-3 dB for sources of which
    all but 1 % of the amplitude is the same. Above 30 dB they are less exact, and no figure is above 120 dB. References
    that only noise 90 dB below them tells apart (clean tones, noise through a steep low pass) may be a decibel off:
    take the host's figures there.

    Args:
      reference: the true sources, any float dtype.
      estimate: of the same length.
      taps: of the filters, a multiple of 64.

    Returns:
      "sdr", "sir", "sar" [... m n] float32. -inf for a silent estimate, `UNDEFINED` for a silent reference.

    Raises:
      UserError: shapes that do not agree; see `check`.
    """
    lead, time = reference.shape[:-2], reference.shape[-1]
    if reference.ndim < 2 or estimate.shape[:-2] != lead or estimate.shape[-1] != time:
        raise UserError(f"references {reference.shape} and estimates {estimate.shape}: both must be [... n time]")
    check(taps)
    flat = [x.astype(jnp.float32).reshape(-1, *x.shape[-2:]) for x in (reference, estimate)]
    found = _each(lambda s, x: _ratios(s, x, taps))(*flat)
    return {name: value.reshape(*lead, *value.shape[1:]) for name, value in found.items()}


def check(taps: int) -> None:
    """Raises OptionError for a length of filters that is not computed on the device."""
    if taps % cholesky.BLOCK or taps <= WHITENED:
        raise OptionError("taps", f"is {taps}: on the device a multiple of {cholesky.BLOCK}; the host takes any number")


def _ratios(reference, estimate, taps):
    """As above, of one example."""
    (n, time), m = reference.shape, estimate.shape[0]
    audible, heard = (jnp.any(x != 0, -1) for x in (reference, estimate))
    # The level of a sound changes no figure.
    reference, estimate = _unit(reference), _unit(estimate)
    cut = segments.Segments(time, taps, taps + WHITENED)
    basis = _Basis(cut, reference, audible)
    sounds = cut.hops(estimate)

    # Each reference alone: what its own basis leaves of an estimate.
    products = basis.products(cut.heads(sounds))  # m n taps
    targets = cut.after(basis.filtered(basis.unwhiten(basis.whiten(products[:, None])[:, 0])))  # m n count step
    rests = sounds[:, None] - targets
    # All of them: what they explain of that.
    others, rights = _explained(basis, rests.reshape(m * n, *rests.shape[2:]))
    others = others.reshape(rests.shape)
    artifacts = rests - others
    # |P rest|^2, P the projection onto the reference's filters.
    missed = jnp.einsum("mjjt->mj", jnp.square(rights.reshape(m, n, n, taps)))

    signal = _projected(targets, rests) + missed
    noise = _energy(rests)
    explained = _projected(targets + others, artifacts)  # of all, by each first: the most is nearest
    found = {
        "sdr": _decibels(signal, jnp.where(missed < noise / 2, noise - missed, noise)),
        "sir": _decibels(signal, _projected(others, artifacts) - missed) if n > 1 else jnp.full_like(signal, jnp.inf),
        "sar": jnp.broadcast_to(_decibels(jnp.max(explained, 1), jnp.min(_energy(artifacts), 1))[:, None], (m, n)),
    }
    found = {name: jnp.where(heard[:, None], value, -jnp.inf) for name, value in found.items()}
    return {name: jnp.where(audible[None], value, UNDEFINED) for name, value in found.items()}


def _explained(basis, sounds):
    """What filters of all sources make of sounds [m count step], and their whitened products [m n taps].

    By a factor where conjugate gradients do not get there; what is left is then explained again.
    """

    def made(weights, rest):
        return _shrunk(basis.cut.after(jnp.sum(basis.filtered(weights), 1)), rest)

    rights = basis.whiten(basis.products(basis.cut.heads(sounds))[:, None])[:, 0]
    parts, done = _conjugate_gradients(basis.joint, rights)
    found = made(basis.unwhiten(parts), sounds)

    def factored():
        inverse = cholesky.inverted(basis.whole(), LEAST)[1]

        def again(_, found):
            left = sounds - found
            products = basis.products(basis.cut.heads(left)).reshape(left.shape[0], -1)
            weights = cholesky.product(cholesky.product(products, inverse.T), inverse)
            return found + made(weights.reshape(rights.shape), left)

        return lax.fori_loop(0, PASSES, again, found)

    return lax.cond(done, lambda: found, factored), rights


class _Basis:
    """What filters of `taps` make of sources, in a basis that is nearly white.

    Of source s with the orthonormal polynomials u_0 .. u_p of its autocorrelation, the basis is u_0 * s .. u_(p-1) * s,
    then y = u_p * s with 0, 1, .. samples of delay.
    """

    def __init__(self, cut, sources, audible):
        n, p = sources.shape[0], WHITENED
        self.cut, self.rest = cut, cut.taps - p
        hops = cut.hops(sources)
        self.windows, heads = cut.windows(hops), cut.heads(hops)
        raw = cut.lags(self.windows, heads)
        lags = jnp.stack([raw[j, j, : p + 1] for j in range(n)])
        lags = lags.at[:, 0].multiply(1 + RIDGE).at[:, 0].add(jnp.where(lags[:, 0] > 0, 0, 1))
        apart = np.abs(np.subtract.outer(np.arange(p + 1), np.arange(p + 1)))
        _, polynomials = jax.vmap(lambda matrix: cholesky.inverted(matrix, 0.0))(lags[:, apart])  # n order tap
        self.first, self.last = polynomials[:, :p, :p], polynomials[:, p]
        white = self.windows * jnp.fft.rfft(self.last, cut.size)[:, None]
        white_heads = cut.heads(cut.after(white))
        both = cut.lags(jnp.concatenate([self.windows, white]), jnp.concatenate([heads, white_heads]))
        self.blocks = {(i, j): self._block(both, i, j) for i in range(n) for j in range(i, n)}
        self.own = jnp.stack([jnp.where(audible[j], self.blocks[j, j], np.eye(cut.taps)) for j in range(n)])
        self.inverse = _each(lambda gram: cholesky.inverted(gram, LEAST)[1])(self.own)  # n taps taps

    def _block(self, lags, i, j):
        """Products of the basis vectors of i and j, [taps taps]."""
        p, rest, n = WHITENED, self.rest, self.first.shape[0]

        def toeplitz(a, b, rows, columns):  # <a late by the row, b late by the column>
            return _toeplitz(lags[b, a][:columns], lags[a, b][:rows])

        early = cholesky.product(cholesky.product(self.first[i], toeplitz(i, j, p, p)), self.first[j].T)
        upper = cholesky.product(self.first[i], toeplitz(i, n + j, p, rest))
        lower = cholesky.product(toeplitz(n + i, j, rest, p), self.first[j].T)
        return jnp.block([[early, upper], [lower, toeplitz(n + i, n + j, rest, rest)]])

    def products(self, heads):
        """<basis vector, signal> [m n taps] of signals' heads [m count f]."""
        raw = jnp.swapaxes(self.cut.lags(self.windows, heads), 0, 1)
        first = jnp.einsum("nop,mnp->mno", self.first, raw[..., :WHITENED], precision=_EXACT)
        moved = jnp.stack([raw[..., q : q + self.rest] for q in range(WHITENED + 1)])
        return jnp.concatenate([first, jnp.einsum("nq,qmnt->mnt", self.last, moved, precision=_EXACT)], -1)

    def filtered(self, weights):
        """The spectra [m n count f] of sums over basis vectors with weights [m n taps]."""
        still = [(0, 0), (0, 0)]
        first = jnp.einsum("nop,mno->mnp", self.first, weights[..., :WHITENED], precision=_EXACT)
        late = weights[..., WHITENED:]
        moved = jnp.stack([jnp.pad(late, [*still, (q, WHITENED - q)]) for q in range(WHITENED + 1)])
        taps = jnp.einsum("nq,qmnt->mnt", self.last, moved, precision=_EXACT) + jnp.pad(first, [*still, (0, self.rest)])
        return self.windows[None] * jnp.fft.rfft(taps, self.cut.size)[:, :, None]

    def whiten(self, products):
        """[m j n taps]: each source's part in an orthonormal basis of its own."""
        return jnp.einsum("nab,mjnb->mjna", self.inverse, products, precision=_EXACT)

    def unwhiten(self, parts):
        """[m n taps]: weights of the basis vectors, of weights of that orthonormal one."""
        return jnp.einsum("nab,mna->mnb", self.inverse, parts, precision=_EXACT)

    def joint(self, parts):
        """The normal equations of all sources' orthonormal bases, times [m n taps]."""
        n = parts.shape[1]
        weights, found = self.unwhiten(parts), [jnp.zeros_like(parts[:, 0])] * n
        for (i, j), block in self.blocks.items():
            if i < j:
                found[i] += cholesky.product(weights[:, j], block.T)
                found[j] += cholesky.product(weights[:, i], block)
        return parts + (self.whiten(jnp.stack(found, 1)[:, None])[:, 0] if n > 1 else 0)

    def whole(self):
        """The matrix of all sources' normal equations, [n taps, n taps]; only its lower half is right."""
        n = self.own.shape[0]
        rows = [[self.own[i] if i == j else self.blocks[min(i, j), max(i, j)].T for j in range(n)] for i in range(n)]
        return jnp.block(rows)


def _each(function):
    """`vmap`, or on a CPU one after another, whose cache then holds what one example works on."""
    return (lambda *x: lax.map(lambda x: function(*x), x)) if platform.cpu() else jax.vmap(function)


def _conjugate_gradients(matrix, right):
    """x of matrix(x) = right for several [m ..], and whether all of them are solved after TURNS."""
    axes = tuple(range(1, right.ndim))

    def dot(a, b):
        return jnp.sum(a * b, axes, keepdims=True)

    def going(state):
        turn, *_, able = state
        return (turn < TURNS) & jnp.any(able)

    def step(state):
        turn, x, rest, way, energy, able = state
        made = matrix(way)
        curve = dot(way, made)
        length = jnp.where(able, energy / jnp.where(able, curve, 1), 0)
        x, rest = x + length * way, rest - length * made
        left = dot(rest, rest)
        way = rest + way * jnp.where(able, left / jnp.where(able, energy, 1), 0)
        return turn + 1, x, rest, way, left, ~(left <= goal)

    energy = dot(right, right)
    goal = jnp.maximum(TOLERANCE**2 * energy, ROUNDING)
    start = (jnp.int32(0), jnp.zeros_like(right), right, right, energy, energy > goal)
    _, x, *_, able = lax.while_loop(going, step, start)
    return x, ~jnp.any(able)


def _projected(part, rest):
    """The energy of a projection, to the second order in the error of `part`: a rest that were right is orthogonal."""
    return jnp.sum(part * (part + 2 * rest), (-2, -1))


def _shrunk(part, rest):
    """`part` at the level that leaves least of `rest`: its own, unless rounding is all that there is of it."""
    level = jnp.sum(part * rest, (-2, -1)) / jnp.maximum(_energy(part), np.finfo(np.float32).tiny)
    level = level[..., None, None]
    return jnp.where(jnp.isfinite(level), level * part, 0)


def _energy(hops):
    return jnp.sum(jnp.square(hops), (-2, -1))


def _toeplitz(right, down):
    """[rows columns]: `right` [columns] is the first row, `down` [rows] the first column; without a gather."""
    rows, columns = down.shape[0], right.shape[0]
    circle = jnp.concatenate([right, jnp.zeros_like(right[:1]), jnp.flip(down[1:])])
    wide = circle.shape[0] - 1
    return jnp.tile(circle, rows)[: rows * wide].reshape(rows, wide)[:, :columns]


def _unit(x):
    """Energy 1; silence stays silent."""
    x = x / jnp.maximum(jnp.max(jnp.abs(x), -1, keepdims=True), np.finfo(np.float32).tiny)
    return x * lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(x), -1, keepdims=True), 1e-30))


def _decibels(signal, noise):
    """At most 120 dB: where float32 sees no noise, the difference of two roundings is left of it."""
    return 10 * (jnp.log10(signal) - jnp.log10(jnp.maximum(noise, ROUNDING * signal)))
