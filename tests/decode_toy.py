"""A network small enough to work out by hand: its state is a vector, and what it says depends on all words so far."""

import jax
import jax.numpy as jnp
import numpy as np


def network(seed, vocabulary, d=6, scale=1.5):
    """(step, log_probs): a recurrent step over carry {"h": [b d], "t": scalar, "n": int [b]}, and its NumPy twin.

    The step emits what it looked at, {"before": h, "word": token}. `log_probs(h0)(prefix)` is the distribution after
    a prefix, start token not counted.
    """
    rng = np.random.default_rng(seed)
    words = rng.normal(0, 1, (vocabulary + 1, d)).astype(np.float32)  # the last row: the start token
    turn = rng.normal(0, 0.7, (d, d)).astype(np.float32)
    speak = rng.normal(0, scale, (d, vocabulary)).astype(np.float32)

    def step(carry, token):
        h = jnp.tanh(carry["h"] @ turn + jnp.asarray(words)[token])
        emitted = {"before": carry["h"], "word": token}
        return {"h": h, "t": carry["t"] + 1, "n": carry["n"] + token}, h @ speak, emitted

    def log_probs(h0):
        def after(prefix):
            h = h0
            for token in (vocabulary, *prefix):
                h = np.tanh(h @ turn + words[token])
            logits = h @ speak
            return logits - np.log(np.sum(np.exp(logits - logits.max()))) - logits.max()

        return after

    return step, log_probs


def carry(seed, b, d=6):
    h = np.random.default_rng(seed).normal(0, 1, (b, d)).astype(np.float32)
    return {"h": jnp.asarray(h), "t": jnp.int32(0), "n": jnp.zeros(b, jnp.int32)}


def chain(carry, token):
    """A first-order chain: logits are the row of the last token, of each example's own table, in the carry [b v v]."""
    return carry, jnp.take_along_axis(carry, token[:, None, None], 1)[:, 0]


def tables(*shares):
    """The carry of `chain`: logarithms of tables of probabilities, one for each example."""
    with np.errstate(divide="ignore"):
        return jnp.asarray(np.log(np.array(shares)), jnp.float32)


def rows(tree, i):
    """Example i alone, as a batch of one; scalars stay."""
    return jax.tree.map(lambda x: x[i : i + 1] if x.ndim else x, tree)
