#!/usr/bin/env bash
# Orbax restores what was saved, of whatever shape, where the target names no sharding; and a CheckpointManager that has
# only been opened says that a whole checkpoint has no metadata.
#
# The target of a restore says what is wanted: {"x": ShapeDtypeStruct((2,), float32)}. With a sharding Orbax refuses a
# saved scalar or [3] ("not compatible with the stored shape"). Without one (shapes of jax.eval_shape, NumPy arrays) the
# same call returns the scalar or the [3] in place of the [2], and says nothing; a scalar then broadcasts in whatever
# follows: a network whose scale became a vector goes on with one number.
#
# Who wants to compare shapes first asks CheckpointManager.item_metadata(step): it is None until this very manager has
# saved or restored something, since only that tells it how items are stored. A reader who takes None for "nothing
# saved" or "damaged" is wrong; PyTreeCheckpointer().metadata(step_folder / "default") has the tree at once.
#
# A user meets it on resuming after a change of the network. mmjax/engine/checkpoint.py compares the shapes of the tree
# beforehand, by the second way (an error amid Orbax's reads leaves the other reads behind, which complain later).
#
# Seen on 2026-11-29 with orbax-checkpoint 0.12.8, jax 0.10.2, numpy 2.4.6, Python 3.11, Linux x86-64:
#   orbax-checkpoint 0.12.8, jax 0.10.2, numpy 2.4.6
#   saved scalar, wanted [2] with no sharding: shape ()
#   saved scalar, wanted [2] with a sharding : ValueError
#   saved three , wanted [2] with no sharding: shape (3,)
#   saved three , wanted [2] with a sharding : ValueError
#   metadata of a manager just opened: None; after a restore: (4,); read directly: (4,)
#   other shapes unsaid: True   no metadata: True
#
# Exits 0 as long as both are there, 1 if the behaviour has changed. About a minute, and a download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6

cat >"$folder/shapes.py" <<'EOF'
import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

folder = Path(sys.argv[1])
ONE = jax.sharding.SingleDeviceSharding(jax.devices()[0])
print(f"orbax-checkpoint {ocp.__version__}, jax {jax.__version__}, numpy {np.__version__}")


def restored(name, shape, sharding):
    """What comes back for a target of `shape`, as text."""
    target = {"x": jax.ShapeDtypeStruct(shape, np.float32, sharding=sharding)}
    with ocp.StandardCheckpointer() as reader:
        try:
            return f"shape {np.shape(reader.restore(folder / name, target)['x'])}"
        except ValueError:
            return "ValueError"


with ocp.StandardCheckpointer() as writer:
    writer.save(folder / "scalar", {"x": np.float32(3)})
    writer.save(folder / "three", {"x": np.arange(3, dtype=np.float32)})
found = {}
for name in ("scalar", "three"):
    for how, sharding in (("no sharding", None), ("a sharding", ONE)):
        found[name, how] = restored(name, (2,), sharding)
        print(f"saved {name:6}, wanted [2] with {how:11}: {found[name, how]}")

kept = {"x": np.arange(4, dtype=np.float32)}
with ocp.CheckpointManager(folder / "run") as manager:
    manager.save(1, args=ocp.args.StandardSave(kept))
    manager.wait_until_finished()
with ocp.CheckpointManager(folder / "run") as manager:
    opened = manager.item_metadata(1)
    manager.restore(1, args=ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, kept)))
    read = manager.item_metadata(1)
with ocp.PyTreeCheckpointer() as reader:
    direct = reader.metadata(folder / "run" / "1" / "default").item_metadata.tree["x"].shape
print(f"metadata of a manager just opened: {opened}; after a restore: {read.tree['x'].shape}; read directly: {direct}")
silent = [found[name, "no sharding"] for name in ("scalar", "three")] == ["shape ()", "shape (3,)"]
silent &= {found[name, "a sharding"] for name in ("scalar", "three")} == {"ValueError"}
print(f"other shapes unsaid: {silent}   no metadata: {opened is None}")
sys.exit(0 if silent and opened is None else 1)
EOF
"$folder/venv/bin/python" "$folder/shapes.py" "$folder/saved" 2>&1 | grep -v WARNING
exit "${PIPESTATUS[0]}"
