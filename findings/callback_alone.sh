#!/bin/sh
# A jitted program over several devices that returns a callback's answer and nothing else: the array says that it is
# the same on every device, and is zeros on all but the first.
#
# jax.pure_callback on an array that is spread over devices is called once, on the first device, with all rows, and its
# answer goes to all the devices: where the program computes with it, where something else is returned beside it, and
# where out_shardings are said. Returned alone, it stays where it was made. The array is "fully replicated", and printing
# it or np.asarray shows the first device's copy, which is right, so that whoever tries a callback alone (a recogniser of
# speech, a metric of SciPy) sees it work. Adding 1 to the array is a TypeError about a sharding that nobody named;
# jax.device_put on another device, or on all, hands on the zeros without a word. Over two processes the second one sees
# nothing but zeros.
#
# Seen with jax 0.10.2, four CPU devices of one process, Python 3.11, Linux x86-64:
#   alone: the devices hold [10, 20, 30, 40] [0, 0, 0, 0] [0, 0, 0, 0] [0, 0, 0, 0]; put on the last one: [0, 0, 0, 0];
#          and 1: Cannot convert GSPMDSharding {maximal device=0} into SdyArray.
#   something beside, or out_shardings: [10, 20, 30, 40] on each; [10, 20, 30, 40]; [11, 21, 31, 41]
#
# Exits 0 as long as that is so; 1 if not. Half a minute, and a download.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q jax==0.10.2 jaxlib==0.10.2 numpy==2.3.5
cat > "$folder/look.py" <<'EOF'
import jax
import numpy as np

mesh = jax.sharding.Mesh(np.array(jax.devices()), "x")
rows, everywhere = (jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*to)) for to in (("x",), ()))
given = jax.device_put(np.arange(1, 5, dtype=np.float32), rows)
RIGHT, ZEROS = [10, 20, 30, 40], [0, 0, 0, 0]


def tenfold(x):
    return jax.pure_callback(lambda a: np.asarray(a) * 10, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


def whole(array):
    return np.asarray(array).astype(int).tolist()


def and_one(answer):
    try:
        return whole(answer + 1)
    except TypeError as error:
        return str(error)


alone = {
    "alone": jax.jit(tenfold),
    "something beside": lambda x: jax.jit(lambda x: (tenfold(x), x))(x)[0],
    "out_shardings": jax.jit(tenfold, out_shardings=everywhere),
}
for name, way in alone.items():
    answer = way(given)
    held = [whole(shard.data) for shard in answer.addressable_shards]
    last, more = whole(jax.device_put(answer, jax.devices()[-1])), and_one(answer)
    print(f"{name}: the devices hold", *held, "; put on the last one:", last, "; and 1:", more)
    assert answer.is_fully_replicated
    assert whole(answer) == RIGHT
    assert held == ([RIGHT, ZEROS, ZEROS, ZEROS] if name == "alone" else [RIGHT] * 4)
    assert last == (ZEROS if name == "alone" else RIGHT)
    assert ("Cannot convert" in more) if name == "alone" else (more == [11, 21, 31, 41])
EOF
JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=4 "$folder/venv/bin/python" "$folder/look.py"
