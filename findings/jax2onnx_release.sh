#!/usr/bin/env bash
# Which release of jax2onnx comes depends on what it is asked for with, by four minor releases; or it takes Orbax back.
#
# jax2onnx 0.13.0 to 0.17.1 want orbax-checkpoint, which they need for a side path only; 0.17.1 wants one older than
# 0.11.37, 0.13.0 any. So a project that asks for orbax-checkpoint of its own (here 0.12) and for jax2onnx gets 0.13.0,
# without a word, and one that adds jax2onnx later to an environment that works gets 0.17.1 and an orbax-checkpoint that
# is a minor release older than the one that writes its checkpoints. pip calls both a success.
#
# A user meets it with the extra `onnx` of mmjax, where 0.13.0 comes: both releases write equal answers for our networks,
# but what the notes of a later release promise is not there. `pip install --no-deps` brings the newer one.
#
# Seen on 2026-11-30 with pip 23.0.1, Python 3.11, Linux x86-64:
#   asked for together: jax2onnx 0.13.0
#   asked for later:    jax2onnx 0.17.1, orbax-checkpoint 0.11.36
#   by the release: True   takes back: True
#
# Exits 0 as long as both are there, 1 if the behaviour has changed. About a minute, and a download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/pip" "$@" --disable-pip-version-check 2>/dev/null; }
pip install -q orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 flax==0.12.8

cat >"$folder/told.py" <<'EOF'
import json
import sys

found = {one["metadata"]["name"].lower(): one["metadata"]["version"] for one in json.load(sys.stdin)["install"]}
print(", ".join(f"{name} {found[name]}" for name in ("jax2onnx", "orbax-checkpoint") if name in found))
EOF
told() { "$folder/venv/bin/python" "$folder/told.py"; }

together=$(pip install -q --dry-run --report - 'jax2onnx<=0.17.1' 'orbax-checkpoint>=0.12,<=0.12.8' | told)
later=$(pip install -q --dry-run --report - 'jax2onnx<=0.17.1' | told)
echo "asked for together: $together"
echo "asked for later:    $later"
release=$([ "$together" = "jax2onnx 0.13.0" ] && echo True || echo False)
back=$([ "$later" = "jax2onnx 0.17.1, orbax-checkpoint 0.11.36" ] && echo True || echo False)
echo "by the release: $release   takes back: $back"
[ "$release $back" = "True True" ]
