"""Greedy search, beam search and sampling over any network that makes one token at a time.

    greedy(step, carry, start, end, max_length)
    beam(step, carry, start, end, max_length, size=5, semantics="shrinking", n_best=1)
    sample(step, carry, start, end, max_length, key=key, n=3, temperature=0.8, top_p=0.9)

All three drive one function, the one that teacher forcing scans over:

    step(carry, token) -> (carry, logits)  or  (carry, logits, emitted)

`carry` is any tree of arrays, batch axis first ([b ...]); scalars in it, such as a position, are shared by the whole
batch. `token` is int32 [b], `logits` [b v], and `emitted`, if there is one, any tree of arrays [b ...] (attention
maps, say). Hypotheses are a `jax.vmap` over `step`, so `step` is written for a batch of examples and never hears of
beams; what it closes over (weights, an image's attention keys [b p d]) exists once, however wide the beam, while
`carry` exists once a hypothesis and follows it. So put into `carry` what changes and close over the rest.

All three return `Decoded`: tokens, scores, lengths, whether `end` was reached, and what the step emitted along each
sequence. Shapes are fixed by the arguments, loops are `lax.while_loop`s that stop when nothing can change any more,
nothing goes through the host and nothing fails when no sequence ends: wrap the call in `jax.jit`.
"""

from mmjax.decode.beam_search import beam
from mmjax.decode.common import Decoded, Step
from mmjax.decode.sampling import greedy, sample

__all__ = ["Decoded", "Step", "beam", "greedy", "sample"]
