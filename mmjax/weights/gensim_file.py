"""Word vectors as gensim saves them (KeyedVectors.save, Word2Vec.save): pickles as data, and arrays beside them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mmjax.errors import UserError
from mmjax.text import subwords
from mmjax.weights import numpy_file, pickles

_WORDS = ("index_to_key", "index2word", "index2entity")  # since gensim 4, and before
_VECTORS = ("vectors", "syn0")
_ADVICE = "write the vectors with save_word2vec_format"


def read(path: Path, raw: bytes) -> tuple[list[str], Float[np.ndarray, "v d"]]:
    """(words, float32 [v d]) of a pickle's content.

    Large arrays lie beside the file, as gensim put them: FILE.vectors.npy, of a whole model FILE.wv.vectors.npy. Of
    FastText the vectors are put together from the words' and the n-grams', as gensim does when it loads one.

    Raises:
      UserError: no word vectors, an array beside it that is missing, or a file that wants something called.
    """
    try:
        tree = pickles.Machine(io.BytesIO(raw), path, numpy_file.KNOWN, _ADVICE).load()
        state, prefix = _keyed(tree, str(path))
        if state is None:
            raise ValueError("it has no list of words, which gensim's KeyedVectors have")
        words = next(state[name] for name in _WORDS if name in state)
        if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
            raise ValueError("its words are no list of strings")
        vectors = _vectors(state, words, prefix)
        if vectors.ndim != 2 or len(vectors) != len(words):
            raise ValueError(f"{len(words)} words do not go with vectors of shape {vectors.shape}")
        return words, np.array(vectors, np.float32)
    except UserError:
        raise
    # A damaged or hostile pickle can fail in any way that a stack machine can: all of them are one mistake here.
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not gensim's word vectors ({type(error).__name__}: {said})") from None


def _keyed(tree: Any, prefix: str) -> tuple[Mapping[str, Any] | None, str]:
    """The state of KeyedVectors, alone or in a model, and what the names of its arrays begin with."""
    state = tree.state if isinstance(tree, pickles.Record) else None
    if not isinstance(state, Mapping):
        return None, prefix
    if any(name in state for name in _WORDS):
        return state, prefix
    return _keyed(state.get("wv"), f"{prefix}.wv")


def _vectors(state: Mapping[str, Any], words: list[str], prefix: str) -> np.ndarray:
    if "vectors_ngrams" not in (*state, *_beside(state)):
        return _array(state, next((name for name in _VECTORS if name in (*state, *_beside(state))), "vectors"), prefix)
    if not state.get("compatible_hash", True):
        raise ValueError("its n-grams have the hashes of gensim before 3.7.2: save it anew")
    own, table = _array(state, "vectors_vocab", prefix), _array(state, "vectors_ngrams", prefix)
    return subwords.means(words, own, table, int(state["min_n"]), int(state["max_n"]))


def _beside(state: Mapping[str, Any]) -> list[str]:
    names = state.get("__numpys")
    return names if isinstance(names, list) else []


def _array(state: Mapping[str, Any], name: str, prefix: str) -> np.ndarray:
    inside = state.get(name)
    if isinstance(inside, numpy_file.Array):
        return inside.view()
    for suffix in (".npy", ".npz"):
        file = Path(f"{prefix}.{name}{suffix}")
        if file.is_file():
            found = np.load(file, allow_pickle=False)
            return found if suffix == ".npy" else found["val"]
    raise UserError(f"{prefix}.{name}.npy: no such file; gensim puts large arrays beside the file, and both are needed")
