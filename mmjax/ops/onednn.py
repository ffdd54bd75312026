"""Convolutions on a CPU by oneDNN, the library that PyTorch computes them with, where it is installed (extra `onednn`).

Of networks for pictures XLA's CPU back end computes a forward pass at 0.6 to 0.9 of that library's speed, the gradient
of a kernel at 0.3 to 0.8 and that of the input of a strided convolution at 0.2 to 0.7 (ten shapes on two AMD cores, one
pass at a time; whole steps are in benchmarks/). `install` has it hand those that oneDNN has a fast form for to that
library, by XLA's foreign function interface: a program's jaxpr, its derivatives, `vmap` and what `jax.export` writes
stay what they are, since nothing changes before a convolution is lowered for a CPU. Numbers agree in float32.
What is lowered so belongs to its process: compilation caches find it again, an executable serialised by hand cannot be
loaded elsewhere.

The library is loaded by ctypes, and what XLA calls is compiled by Numba, so that no thread waits for Python's lock
while data are made, and nobody needs a compiler. Nothing here runs, nor is it imported, without both.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import os
import pathlib
import threading
import warnings
from importlib import metadata, util
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.interpreters import mlir

from mmjax.ops import platform
from mmjax.ops.onednn_plan import Convolution, plan

TARGET = "mmjax_onednn_convolution"
OFF = "MMJAX_ONEDNN"  # environment variable: "0", before mmjax is imported, leaves every convolution to XLA
_WHEEL, _LIBRARY = "onednn-cpu-gomp", "libdnnl.so.3"

_F32, _ANY, _FORWARD, _DIRECT = 3, 1, 64, 1  # of dnnl_types.h
# What a primitive's description is asked for.
_IMPLEMENTATION, _SOURCE, _WEIGHTS, _DIFF_WEIGHTS, _DIFF_RESULT, _SCRATCHPAD = 8, 129, 131, 132, 134, 136
_ARGUMENTS = {"forward": (1, 33, 17), "input": (129, 33, 145), "kernel": (1, 161, 145)}  # picture, kernel, result
_USER_SCRATCHPAD = 1

# Whether a kernel's gradient is made of pictures that are first copied into blocks of channels; None = where the
# processor, as far as oneDNN may use it, has no AVX-512, and the products are at least _MANY. There its form for
# channels last takes 1.03 to 1.7 times as long, copies included, and below that number 0.94 to 1.12 times
# (benchmarks/convolutions.py); with AVX-512 that was not measured. Of few channels a block is padding, and for a
# dilated kernel there is no form for blocks.
BLOCKS: bool | None = None
_FEW, _MANY, _AVX512 = 16, 2**30, 0x20
_installed = _failed = False  # what `used` says


def library() -> pathlib.Path | None:
    """The shared library of the wheel, wherever pip has put it; None without the wheel."""
    try:
        files = metadata.files(_WHEEL) or ()
    except metadata.PackageNotFoundError:
        return None
    found = (pathlib.Path(str(file.locate())).resolve() for file in files if file.name == _LIBRARY)
    return next((path for path in found if path.exists()), None)


def installed() -> bool:
    """Whether convolutions are computed by it: both packages are there, and the environment does not say otherwise."""
    return os.environ.get(OFF, "1") != "0" and library() is not None and util.find_spec("numba") is not None


def install() -> bool:
    """Has XLA:CPU's float32 convolutions computed by oneDNN from now on, where it has a form; whether it could.

    It is loaded with the first of them. Programs that are traced for any platform keep XLA's.
    """
    if not installed():
        return False
    try:
        before = _rules()[lax.conv_general_dilated_p].rule
    except (AttributeError, ImportError, KeyError):
        warnings.warn("this release of JAX does not let oneDNN in: convolutions stay XLA's", stacklevel=2)
        return False
    global _installed
    _installed = True
    if getattr(before, "onednn", False):
        return True
    rule = functools.partial(_lower, before)
    rule.onednn = True  # type: ignore[attr-defined]
    mlir.register_lowering(lax.conv_general_dilated_p, rule, platform="cpu")
    return True


def used() -> bool:
    """Whether a program that is traced now will have its convolutions from it, on a CPU: installed, and no failure."""
    return _installed and not _failed


def _rules() -> Any:
    """How primitives are lowered for a CPU; the one thing here for which JAX has no public name."""
    from jax._src.interpreters import mlir as private

    return private._platform_specific_lowerings["cpu"]


def _lower(before: Any, ctx: Any, lhs: Any, rhs: Any, **params: Any) -> Any:
    """Lowers a convolution: to a call of oneDNN where it has a form, as `before` does otherwise."""
    found = None
    if not platform.anywhere() and _alone(ctx) and _plain(ctx, params):
        shapes = [aval.shape for aval in (*ctx.avals_in, *ctx.avals_out)]
        names = ("window_strides", "padding", "lhs_dilation", "rhs_dilation", "dimension_numbers")
        found = plan(*shapes, **{name: params[name] for name in names})
    if found:
        found = dataclasses.replace(found, threads=_threads(ctx), blocks=_blocks(found))
    made = _primitive(found) if found else None
    if found is None or made is None:
        return before(ctx, lhs, rhs, **params)
    _, of_kernel, of_out = params["dimension_numbers"]
    shape, room = ctx.avals_out[0].shape, jax.ShapeDtypeStruct((made,), np.uint8)

    def call(x: jax.Array, kernel: jax.Array) -> jax.Array:
        run = jax.ffi.ffi_call(TARGET, (jax.ShapeDtypeStruct(shape, np.float32), room))
        run = functools.partial(run, key=np.int64(found.key))
        if found.turned == "result":
            return lax.rev(run(kernel, x)[0], of_out[2:])
        return run(x, lax.rev(kernel, of_kernel[2:]) if found.turned else kernel)[0]

    return mlir.lower_fun(call, multiple_results=False)(ctx, lhs, rhs)


def _alone(ctx: Any) -> bool:
    """Whether what is lowered runs here, on one device or in a copy per device: XLA cannot cut a call to pieces."""
    if ctx.module_context.lowering_parameters.for_export:
        return False
    axes = ctx.module_context.axis_context
    if isinstance(axes, mlir.SPMDAxisContext):
        return set(axes.manual_axes) == set(axes.mesh.shape)
    return getattr(axes, "num_devices", None) in (None, 1)


def _threads(ctx: Any) -> int:
    """Copies that run side by side share the cores; 0 = it has all of them."""
    axes = ctx.module_context.axis_context
    if not isinstance(axes, mlir.SPMDAxisContext):
        return 0
    known = isinstance(axes.mesh, jax.sharding.Mesh)  # an abstract one does not say which devices are here
    here = axes.mesh.local_mesh if known else axes.mesh
    return 0 if here.size == 1 else max(1, len(os.sched_getaffinity(0)) // here.size)


def _plain(ctx: Any, params: dict[str, Any]) -> bool:
    avals = (*ctx.avals_in, *ctx.avals_out)
    constant = all(isinstance(n, int) for aval in avals for n in aval.shape)
    groups = (params["feature_group_count"], params["batch_group_count"])
    return constant and groups == (1, 1) and all(aval.dtype == np.float32 for aval in avals)


def _blocks(conv: Convolution) -> bool:
    plain = conv.kind == "kernel" and all(d == 1 for d in conv.dilation)
    if not plain or min(conv.picture[1], conv.result[1]) < _FEW:
        return False
    if BLOCKS is not None:
        return BLOCKS
    if conv.products < _MANY:
        return False
    with _lock:
        loaded = _loaded()
    return loaded is not None and not int(loaded[0].dnnl_get_effective_cpu_isa()) & _AVX512


# --- oneDNN's side ---

_lock = threading.Lock()
_made: dict[int, tuple[Convolution, int | None]] = {}
_ROWS, _COLUMNS = 4096, 24
_table = np.zeros((_ROWS, _COLUMNS), np.int64)  # what the compiled function reads: a row per convolution, by its key


@functools.cache
def _loaded() -> tuple[ctypes.CDLL, ctypes.c_void_p] | None:
    """The library, its engine, and the target that XLA calls; None, with a warning, where one of them fails."""
    told = "OMP_WAIT_POLICY" in os.environ
    try:
        # Its threads would otherwise turn in circles behind every call, on the cores on which XLA goes on.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        dnnl = ctypes.CDLL(str(library()))
        engine = ctypes.c_void_p()
        _check(dnnl.dnnl_engine_create(ctypes.byref(engine), 1, ctypes.c_size_t(0)))
        for name, types in _SIGNATURES.items():
            getattr(dnnl, name).restype, getattr(dnnl, name).argtypes = types
        _most(dnnl)  # before any thread is told of another number
        from mmjax.ops import onednn_call

        jax.ffi.register_ffi_target(TARGET, onednn_call.target(dnnl, engine, _table), platform="cpu")
    except Exception as error:  # whatever a library that does not fit says: a run goes on without it
        global _failed
        _failed = True
        warnings.warn(f"oneDNN cannot be used, convolutions stay XLA's: {error}", stacklevel=2)
        return None
    finally:
        if not told:
            os.environ.pop("OMP_WAIT_POLICY", None)
    return dnnl, engine


_P, _N, _DIMS = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64 * 12
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "dnnl_primitive_desc_query_md": (_P, [_P, _N, _N]),
    "dnnl_primitive_desc_query": (_N, [_P, _N, _N, _P]),
    "dnnl_memory_desc_get_size": (ctypes.c_size_t, [_P]),
    "dnnl_memory_desc_equal": (_N, [_P, _P]),
}


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"oneDNN says {status}")


def _primitive(conv: Convolution) -> int | None:
    """Makes oneDNN's primitive and its row of the table, once; bytes of room that a call needs, None = no such form."""
    with _lock:
        key = conv.key
        if key not in _made:
            loaded = _loaded()
            room = None
            if loaded is not None and len(_made) < _ROWS // 2:
                try:
                    room = _make(conv, key, *loaded)
                except RuntimeError:  # it has none for these sizes
                    room = None
                finally:
                    loaded[0].omp_set_num_threads(_most(loaded[0]))
            _made[key] = (conv, room)
        known, room = _made[key]
        return room if known == conv else None


def _make(conv: Convolution, key: int, dnnl: ctypes.CDLL, engine: ctypes.c_void_p) -> int:
    threads = min(conv.threads or _most(dnnl), _most(dnnl))
    dnnl.omp_set_num_threads(threads)  # of this thread's calls: a primitive is made for as many as run it
    x = _layout(dnnl, conv.picture, conv.picture_strides)
    y = _layout(dnnl, conv.result, conv.result_strides)
    kernel = _layout(dnnl, conv.kernel, conv.kernel_strides)
    chosen = _chosen(conv, dnnl, engine, x, y)
    query = _DIFF_WEIGHTS if conv.kind == "kernel" else _WEIGHTS
    own = _P(dnnl.dnnl_primitive_desc_query_md(chosen, query, 0))
    pad = _P(dnnl.dnnl_primitive_desc_query_md(chosen, _SCRATCHPAD, 0))
    run = _P()
    _check(dnnl.dnnl_primitive_create(_ref(run), chosen))
    # What it wants in blocks of channels: the kernel, and what a kernel's gradient is made of.
    ends = (own, kernel) if conv.kind == "kernel" else (kernel, own)
    turn, turned = _turning(dnnl, engine, *ends)
    own_x, own_y = x, y
    if conv.blocks:
        own_x, own_y = (_P(dnnl.dnnl_primitive_desc_query_md(chosen, what, 0)) for what in (_SOURCE, _DIFF_RESULT))
    turn_x, turned_x = _turning(dnnl, engine, x, own_x)
    turn_y, turned_y = _turning(dnnl, engine, y, own_y)
    scratch = -(-dnnl.dnnl_memory_desc_get_size(pad) // 64) * 64
    place = key % _ROWS
    while _table[place, 0]:
        place = (place + 1) % _ROWS
    row = [x.value, y.value, kernel.value, own.value, pad.value, run.value, turn, turned, scratch]
    kinds = {"forward": 0, "input": 1, "kernel": 2}
    _table[place, 1 : 1 + len(row)] = row
    _table[place, 10] = kinds[conv.kind]
    _table[place, 11:14] = _ARGUMENTS[conv.kind]
    _table[place, 14] = threads
    _table[place, 15:20] = [own_x.value or 0, turn_x, turned_x, own_y.value or 0, turn_y]
    _table[place, 0] = key  # last: from here on it is found
    return turned + scratch + turned_x + turned_y + 64  # by so much it may begin off a multiple of 64


def _layout(dnnl: ctypes.CDLL, sizes: tuple[int, ...], strides: tuple[int, ...] = ()) -> ctypes.c_void_p:
    """A description of an array; without strides it is laid out as a primitive likes it best."""
    made, count = _P(), len(sizes)
    if strides:
        _check(dnnl.dnnl_memory_desc_create_with_strides(_ref(made), count, _DIMS(*sizes), _F32, _DIMS(*strides)))
    else:
        _check(dnnl.dnnl_memory_desc_create_with_tag(_ref(made), count, _DIMS(*sizes), _F32, _ANY))
    return made


def _chosen(conv: Convolution, dnnl: ctypes.CDLL, engine: ctypes.c_void_p, x: Any, y: Any) -> ctypes.c_void_p:
    """The description of oneDNN's primitive. Raises RuntimeError where it has none, or one slower than XLA's."""
    free = _layout(dnnl, conv.kernel)
    if conv.blocks:
        x, y = _layout(dnnl, conv.picture), _layout(dnnl, conv.result)
    attributes = _P()
    _check(dnnl.dnnl_primitive_attr_create(_ref(attributes)))
    _check(dnnl.dnnl_primitive_attr_set_scratchpad_mode(attributes, _USER_SCRATCHPAD))
    where = _DIMS(*conv.strides), _DIMS(*(d - 1 for d in conv.dilation)), _DIMS(*conv.low), _DIMS(*conv.high)
    forward, chosen = _P(), _P()
    create = dnnl.dnnl_convolution_forward_primitive_desc_create
    _check(create(_ref(forward), engine, _FORWARD, _DIRECT, x, free, None, y, *where, attributes))
    if conv.kind == "forward":
        chosen = forward
    elif conv.kind == "input":
        create = dnnl.dnnl_convolution_backward_data_primitive_desc_create
        _check(create(_ref(chosen), engine, _DIRECT, x, free, y, *where, forward, attributes))
    else:
        create = dnnl.dnnl_convolution_backward_weights_primitive_desc_create
        _check(create(_ref(chosen), engine, _DIRECT, x, free, None, y, *where, forward, attributes))
    name = ctypes.c_char_p()
    _check(dnnl.dnnl_primitive_desc_query(chosen, _IMPLEMENTATION, 0, _ref(name)))
    form = (name.value or b"").decode()
    if form.startswith("ref") or (len(conv.picture) == 3 and conv.kind == "input" and form.startswith("gemm")):
        raise RuntimeError(f"oneDNN has the form {form} alone, which is slower than XLA's")
    return chosen


def _turning(dnnl: ctypes.CDLL, engine: ctypes.c_void_p, source: Any, goal: Any) -> tuple[int, int]:
    """What brings one layout into another, and bytes of the larger of them; zeros where they agree."""
    if dnnl.dnnl_memory_desc_equal(source, goal):
        return 0, 0
    made, turn = _P(), _P()
    _check(dnnl.dnnl_reorder_primitive_desc_create(_ref(made), source, engine, goal, engine, None))
    _check(dnnl.dnnl_primitive_create(_ref(turn), made))
    sizes = (dnnl.dnnl_memory_desc_get_size(each) for each in (source, goal))
    return turn.value or 0, -(-max(sizes) // 64) * 64


@functools.cache
def _most(dnnl: ctypes.CDLL) -> int:
    """Threads that OpenMP really gives: the cores that the process may use, or OMP_NUM_THREADS, and within its limit.

    oneDNN waits for as many as a primitive was made for, so that none may be missing: neither to a limit nor, by
    omp_set_dynamic, to a busy machine.
    """
    return max(1, min(int(dnnl.omp_get_max_threads()), int(dnnl.omp_get_thread_limit())))


def _ref(pointer: Any) -> Any:
    return ctypes.byref(pointer)
