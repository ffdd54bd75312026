#!/usr/bin/env bash
# PyTorch on CPUs with AVX2: channels_last slows the gradient of a convolution's kernel, the half that training adds.
#
# channels_last is what is recommended for picture networks on CPUs, and forward passes do gain by it. oneDNN, which
# computes both, copies a picture [batch, channels, height, width] into blocks of channels first, and takes a picture
# whose channels lie last as it lies. For forward passes its AVX2 code is faster then; for the gradient of the kernel it
# is slower than from blocks, the copies included, so that of a training step neither layout has the best of all three
# passes. No message tells; a benchmark of inference says that channels_last is faster.
#
# Who meets it: anybody who trains or fine-tunes a convolutional network on a processor without AVX-512 (most desktop
# processors, many rented ones). mmjax, whose pictures have their channels last, has the extra `onednn` copy them into
# blocks for that one pass (mmjax/ops/onednn.py, BLOCKS).
#
# Below: convolutions of the sizes of ResNet-18 at 224 pixels, float32, billions of operations a second of each pass in
# each layout, the best of ROUNDS in turns; oneDNN is held to AVX2 by ONEDNN_MAX_CPU_ISA, so that other processors show it as well.
#
# Seen on 2026-12-02 with torch 2.14.1 (oneDNN of its own), Python 3.11, Linux x86-64 (AMD EPYC, 2 cores, AVX2):
#   32 x 64 x 56^2, 64 kernels of 3^2: channels last forward 195, input 135, kernel 92; contiguous forward 177,
#     input 145, kernel 112
#   32 x 128 x 28^2, 128 kernels of 3^2: channels last forward 192, input 175, kernel 120; contiguous forward 179,
#     input 166, kernel 155
#   32 x 256 x 14^2, 256 kernels of 3^2: channels last forward 198, input 112, kernel 140; contiguous forward 172,
#     input 164, kernel 154
#   32 x 512 x 7^2, 512 kernels of 3^2: channels last forward 157, input 119, kernel 109; contiguous forward 132,
#     input 123, kernel 112
#   contiguous over channels last: forward 0.89, kernel 1.16
#
# Exits 0 as long as, over the four, the gradient of the kernel is at least 1.1 times as fast from contiguous pictures,
# and the forward pass less than 1.05 times; 1 if not. A minute, and a large download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check torch==2.14.1 numpy==2.4.6

cat >"$folder/layouts.py" <<'PYTHON'
import os
import statistics
import sys
import time

import torch

ROUNDS = 7
LAYOUTS = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}
SIZES = [(32, 64, 56, 64, 3), (32, 128, 28, 128, 3), (32, 256, 14, 256, 3), (32, 512, 7, 512, 3)]
torch.set_num_threads(os.cpu_count() or 1)
torch.manual_seed(0)


def passes(batch, inside, side, outside, size, layout):
    x = torch.randn(batch, inside, side, side).contiguous(memory_format=layout)
    kernel = torch.randn(outside, inside, size, size).contiguous(memory_format=layout)
    slope = torch.randn_like(torch.conv2d(x, kernel)).contiguous(memory_format=layout)

    def backward(input_too, kernel_too):
        back = torch.ops.aten.convolution_backward
        asked = [input_too, kernel_too, False]
        return back(slope, x, kernel, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, asked)

    work = 2e-9 * slope.numel() * inside * size * size
    forms = [lambda: torch.conv2d(x, kernel), lambda: backward(True, False), lambda: backward(False, True)]
    return work, dict(zip(("forward", "input", "kernel"), forms, strict=True))


gains = {"forward": [], "kernel": []}
for batch, inside, side, outside, size in SIZES:
    made = {name: passes(batch, inside, side, outside, size, layout) for name, layout in LAYOUTS.items()}
    best = {(name, what): float("inf") for name in made for what in made[name][1]}
    for turn in range(ROUNDS + 1):
        for name, (_, forms) in made.items():
            for what, form in forms.items():
                start = time.perf_counter()
                form()
                if turn:  # the first one prepares
                    best[name, what] = min(best[name, what], time.perf_counter() - start)
    rates = {at: made[at[0]][0] / seconds for at, seconds in best.items()}
    for what, found in gains.items():
        found.append(rates["contiguous", what] / rates["channels last", what])
    both = "; ".join(
        name + " " + ", ".join(f"{what} {rates[name, what]:.0f}" for what in ("forward", "input", "kernel"))
        for name in LAYOUTS
    )
    print(f"{batch} x {inside} x {side}^2, {outside} kernels of {size}^2: {both}")
means = {what: statistics.geometric_mean(found) for what, found in gains.items()}
print("contiguous over channels last: " + ", ".join(f"{what} {mean:.2f}" for what, mean in means.items()))
sys.exit(not (means["kernel"] >= 1.1 and means["forward"] < 1.05))
PYTHON
ONEDNN_MAX_CPU_ISA=AVX2 "$folder/venv/bin/python" "$folder/layouts.py"
