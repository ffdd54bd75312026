"""The shipped weights of our small recogniser, and the command that makes them.

python train.py --config=configs/recognition.py --workdir=runs/recognition
python -m mmjax.pretrained.recogniser runs/recognition
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mmjax.errors import UserError
from mmjax.models.recognition import Recogniser
from mmjax.pretrained import store

SHIPPED = Path(__file__).with_name("recogniser.safetensors")
HEADS = ("object", "scene")


class Trained(NamedTuple):
    """A recogniser with its weights.

    Attributes:
      model: the network.
      variables: {"params": tree, "state": tree} of float32 NumPy arrays.
      names: {"object": class names, "scene": class names}, in the order of the logits.
      figures: what its run reached on the test split, beside the trivial baselines.
    """

    model: Recogniser
    variables: dict[str, Any]
    names: dict[str, tuple[str, ...]]
    figures: dict[str, float]


def load(path: Path = SHIPPED) -> Trained:
    """Loads the shipped recogniser, or another that `export` wrote. Raises UserError if it is not one."""
    variables, metadata = store.load(path)
    if "model" not in metadata:
        raise UserError(f"{path}: not a recogniser: export one with python -m mmjax.pretrained.recogniser WORKDIR")
    names = {head: tuple(names) for head, names in json.loads(metadata["names"]).items()}
    options: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(metadata["model"]).items()
    }
    model = Recogniser(objects=len(names["object"]), scenes=len(names["scene"]), **options)
    return Trained(model, variables, names, json.loads(metadata["figures"]))


def export(workdir: Path, path: Path = SHIPPED) -> Trained:
    """Writes the weights of a finished run of configs/recognition.py, in half precision, with its figures.

    Half the size for logits that differ in the third decimal; the figures are those of the run itself.

    Raises:
      UserError: not a finished run, or not of this system.
    """
    import mmjax  # its public face, as any user of a trained system: to load weights, no engine is loaded

    results = workdir / "results.json"
    if not results.is_file():
        raise UserError(f"{workdir} is no finished run of configs/recognition.py: it has no results.json")
    done = json.loads(results.read_text())
    trained = mmjax.restore(workdir)
    config, variables = trained.config, trained.variables
    if config.system != "recognition":
        raise UserError(f"{workdir} belongs to the system {config.system!r}; give a run of configs/recognition.py")
    tree = {"params": variables["params"]["net"], "state": variables["state"]["net"]}
    metadata = {
        "names": json.dumps({head: config.names[head] for head in HEADS}),
        "model": json.dumps(config.model.to_dict()),
        "figures": json.dumps(done["values"]),
        "data": json.dumps({**config.data.to_dict(), "split": done["split"], "examples": done["examples"]}),
        "trained": f"configs/recognition.py, {done['step']} steps of {config.batch_size}, seed {config.seed}",
    }
    store.save(path, jax.tree.map(lambda x: np.asarray(x).astype(np.float16), tree), metadata)
    return load(path)


def main(arguments: list[str]) -> int:
    """The command; returns the exit status."""
    if len(arguments) not in (1, 2):
        print(f"usage: python -m mmjax.pretrained.recogniser WORKDIR [FILE]\n\nFILE is {SHIPPED} if not given")
        return 2
    path = Path(arguments[1]) if len(arguments) == 2 else SHIPPED
    try:
        trained = export(Path(arguments[0]), path)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    count = sum(leaf.size for leaf in jax.tree.leaves(trained.variables["params"]))
    print(f"{path}: {count:,} parameters, {path.stat().st_size:,} bytes")
    for name, value in trained.figures.items():
        print(f"{name:<32}{value:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
