#!/usr/bin/env bash
# ONNX Runtime's dynamic quantisation leaves a linear layer that is written as Gemm in float32, without a word.
#
# quantize_dynamic has an integer form of MatMul and none of Gemm. jax2onnx writes x @ w as a Gemm with beta = 0, so that
# the "int8" file of a network of linear layers is as large as the float one and answers the same to the last bit: which
# reads like a success. The same network with MatMul in the place of Gemm has a quarter of the size. Weights that are
# put together while the network runs, such as a Concat of two arrays, stay in float32 as well.
#
# A user meets it with `mmjax export --int8` of captioning, whose step is an LSTM: before, its file of 2.33 MB became one
# of 2.31 MB; mmjax/export/onnx_file.py rewrites both before it quantises, and it is 0.62 MB.
#
# Seen on 2026-11-30 with onnxruntime 1.32.0, onnx 1.23.2, Python 3.11, Linux x86-64:
#   Gemm:   262,352 bytes of 262,295, Gemm
#   MatMul: 66,129 bytes of 262,248, MatMulInteger
#
# Exits 0 as long as it is there, 1 if the behaviour has changed. Half a minute, and a download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 2>/dev/null
cd "$folder"

cat >told.py <<'EOF'
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

left = {}
for kind in ("Gemm", "MatMul"):
    weights = numpy_helper.from_array(np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32), "w")
    nothing = numpy_helper.from_array(np.float32(0), "c")
    inputs, options = (["x", "w", "c"], {"alpha": 1.0, "beta": 0.0}) if kind == "Gemm" else (["x", "w"], {})
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 256]) for name in "xy"]
    node = helper.make_node(kind, inputs, ["y"], **options)
    constants = [weights, nothing] if kind == "Gemm" else [weights]
    graph = helper.make_graph([node], "linear", ends[:1], ends[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), "float.onnx")
    quantize_dynamic("float.onnx", "int8.onnx", weight_type=QuantType.QInt8)
    kinds = {one.op_type for one in onnx.load("int8.onnx").graph.node} & {"Gemm", "MatMul", "MatMulInteger"}
    before, after = (os.path.getsize(name) for name in ("float.onnx", "int8.onnx"))
    left[kind] = after / before
    print(f"{kind + ':':7} {after:,} bytes of {before:,}, {', '.join(kinds)}")
sys.exit(not (left["Gemm"] > 0.9 and left["MatMul"] < 0.3))
EOF
"$folder/venv/bin/python" told.py 2>/dev/null
