"""What XLA calls for a convolution by oneDNN: compiled by Numba, since it runs on XLA's threads, without Python.

It reads XLA's call frame (xla/ffi/api/c_api.h, of API 0.x, whose layout is stable) by offsets of eight bytes.
"""

# mypy: ignore-errors
from __future__ import annotations

import ctypes
from typing import Any

import jax
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# Words of eight bytes in a call frame: extension, API; arguments', results' and attributes' arrays.
_EXTENSION, _API, _ARGS, _RETS, _ATTRS = 1, 2, 9, 14, 20
_DATA = 3  # of a buffer
_ERROR_CREATE = 6  # of the API
_INTERNAL = 13  # of the errors


@intrinsic
def _load(typing, address, word):
    """The 64 bits `word` words behind an address."""

    def build(context, builder, signature, args):
        at = builder.add(args[0], builder.mul(args[1], ir.Constant(ir.IntType(64), 8)))
        return builder.load(builder.inttoptr(at, ir.IntType(64).as_pointer()))

    return types.int64(types.int64, types.int64), build


@intrinsic
def _store(typing, address, word, value):
    """Writes 64 bits `word` words behind an address."""

    def build(context, builder, signature, args):
        at = builder.add(args[0], builder.mul(args[1], ir.Constant(ir.IntType(64), 8)))
        builder.store(args[2], builder.inttoptr(at, ir.IntType(64).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), build


@intrinsic
def _words(typing):
    """Address of 16 words on the stack; no array of Numba's, which may be freed while only its address is in use."""

    def build(context, builder, signature, args):
        at = cgutils.alloca_once(builder, ir.IntType(64), size=16)
        return builder.ptrtoint(at, ir.IntType(64))

    return types.int64(), build


@intrinsic
def _address(typing, pointer):
    def build(context, builder, signature, args):
        return builder.ptrtoint(args[0], ir.IntType(64))

    return types.int64(types.voidptr), build


@intrinsic
def _pointer(typing, address):
    def build(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), build


def target(dnnl: ctypes.CDLL, engine: ctypes.c_void_p, table: np.ndarray) -> Any:
    """The function as a capsule for `jax.ffi.register_ffi_target`; what it refers to lives as long as the process."""
    word, number = ctypes.c_int64, ctypes.c_int

    def function(name: str, *args: Any) -> Any:
        return ctypes.CFUNCTYPE(number, *args)(ctypes.cast(getattr(dnnl, name), ctypes.c_void_p).value)

    stream_create = function("dnnl_stream_create", word, word, number)
    stream_wait = function("dnnl_stream_wait", word)
    stream_destroy = function("dnnl_stream_destroy", word)
    memory_create = function("dnnl_memory_create", word, word, word, word)
    memory_destroy = function("dnnl_memory_destroy", word)
    set_threads, set_dynamic = function("omp_set_num_threads", number), function("omp_set_dynamic", number)
    execute = function("dnnl_primitive_execute", word, word, number, word)
    own, rows, start, across = int(engine.value or 0), table.shape[0], table.ctypes.data, table.shape[1]

    @numba.njit(nogil=True)
    def reorder(turn, stream, args, source, goal):
        _store(args, 0, 1)
        _store(args, 1, source)
        _store(args, 2, 17)
        _store(args, 3, goal)
        return execute(turn, stream, 2, args)

    @numba.njit(nogil=True)
    def run(row, made, hold, args, left, right, out, room):
        """Status of one convolution; `row` is its row's address in the table."""
        kind, turn, turned, scratch = _load(row, 10), _load(row, 7), _load(row, 8), _load(row, 9)
        turn_x, turned_x, turn_y = _load(row, 16), _load(row, 17), _load(row, 19)
        x, k, y = left, right, out
        if kind == 1:  # the gradient of the input: what comes in is the result's
            x, k, y = out, right, left
        elif kind == 2:
            x, k, y = left, out, right
        set_dynamic(0)  # of this thread's calls, as the number: oneDNN waits for all for whom a primitive was made
        set_threads(_load(row, 14))
        room = (room + 63) // 64 * 64
        failed = stream_create(made, own, 1)
        stream = _load(made, 0)
        behind = room + turned + scratch
        descriptions = (
            _load(row, 1), _load(row, 3), _load(row, 2), _load(row, 4), _load(row, 5), _load(row, 15), _load(row, 18),
        )  # fmt: skip
        places = (x, k, y, room, room + turned, behind, behind + turned_x)
        needed = (1, 1, 1, turn, scratch, turn_x, turn_y)
        for i in range(7):
            _store(hold, i, 0)
            if needed[i] != 0:
                failed |= memory_create(made, descriptions[i], own, places[i])
                _store(hold, i, _load(made, 0))
        kernel = _load(hold, 3) if turn != 0 else _load(hold, 1)
        picture = _load(hold, 5) if turn_x != 0 else _load(hold, 0)
        result = _load(hold, 6) if turn_y != 0 else _load(hold, 2)
        if failed == 0 and turn != 0 and kind != 2:
            failed |= reorder(turn, stream, args, _load(hold, 1), kernel)
        if failed == 0 and turn_x != 0:
            failed |= reorder(turn_x, stream, args, _load(hold, 0), picture)
        if failed == 0 and turn_y != 0:
            failed |= reorder(turn_y, stream, args, _load(hold, 2), result)
        if failed == 0:
            _store(args, 0, _load(row, 11))
            _store(args, 1, picture)
            _store(args, 2, _load(row, 12))
            _store(args, 3, kernel)
            _store(args, 4, _load(row, 13))
            _store(args, 5, result)
            _store(args, 6, 80)
            _store(args, 7, _load(hold, 4))
            failed |= execute(_load(row, 6), stream, 4 if scratch != 0 else 3, args)
        if failed == 0 and turn != 0 and kind == 2:
            failed |= reorder(turn, stream, args, kernel, _load(hold, 1))
        failed |= stream_wait(stream)
        for i in range(7):
            if _load(hold, i) != 0:
                memory_destroy(_load(hold, i))
        stream_destroy(stream)
        return failed

    message = np.frombuffer(b"oneDNN could not compute a convolution: MMJAX_ONEDNN=0 leaves it to XLA\0", np.uint8)
    text = message.ctypes.data

    @numba.cfunc(types.voidptr(types.voidptr), nopython=True)
    def call(pointer):
        frame = _address(pointer)
        extension = _load(frame, _EXTENSION)
        if extension != 0:  # asked which API it was written for: that of the caller, of which it uses what is oldest
            metadata = _load(extension, 3)
            _store(metadata, 3, _load(_load(frame, _API), 4))
            return _pointer(0)
        key = _load(_load(_load(_load(frame, _ATTRS), 0), 1), 0)
        place = key % rows
        for _ in range(rows):
            found = _load(start, place * across)
            if found == key or found == 0:
                break
            place = (place + 1) % rows
        status = 1
        if _load(start, place * across) == key:
            args, rets = _load(frame, _ARGS), _load(frame, _RETS)
            left, right = _load(_load(args, 0), _DATA), _load(_load(args, 1), _DATA)
            out, room = _load(_load(rets, 0), _DATA), _load(_load(rets, 1), _DATA)
            status = run(start + place * across * 8, _words(), _words(), _words(), left, right, out, room)
        if status == 0:
            return _pointer(0)
        return _failure(_load(_load(frame, _API), _ERROR_CREATE), text)

    _KEPT.append((call, message, table, engine, dnnl))
    return jax.ffi.pycapsule(ctypes.cast(call.address, ctypes.c_void_p))


_KEPT: list[Any] = []  # nothing that XLA may still call is ever freed


@intrinsic
def _failure(typing, create, text):
    """XLA's error of a message: what `create`, its function for that, returns."""

    def build(context, builder, signature, args):
        word = ir.IntType(64)
        struct = builder.alloca(word, 4)
        for i, value in enumerate((ir.Constant(word, 32), ir.Constant(word, 0), args[1], ir.Constant(word, _INTERNAL))):
            builder.store(value, builder.gep(struct, [ir.Constant(ir.IntType(32), i)]))
        kind = ir.FunctionType(ir.IntType(8).as_pointer(), [word.as_pointer()])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), [struct])

    return types.voidptr(types.int64, types.int64), build
