"""Writes a small SoundFont 2.01 file: each program is one looped period of a waveform of its own."""

import struct

import numpy as np

PERIOD = 100  # samples at 44,100 Hz: 441 Hz at the root key
ROOT = 69
RELEASE, SAMPLE_MODES, INSTRUMENT, SAMPLE_ID, ROOT_KEY = 38, 54, 41, 53, 58  # generators of section 8.1.2


def _chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _list(kind, *chunks):
    return _chunk(b"LIST", kind + b"".join(chunks))


def write(path, waves, release=-12_000):
    """waves: {program: [PERIOD] in -1..1}; release: of each note, log2 of the seconds times 1200."""
    data, headers, presets, instruments = [], b"", b"", b""
    preset_bags, instrument_bags, preset_gens, instrument_gens = b"", b"", b"", b""
    start = 0
    for number, (program, wave) in enumerate(waves.items()):
        samples = np.round(np.tile(wave, 20) * 32_767).astype("<i2")
        data += [samples.tobytes(), b"\0" * 92]  # at least 46 zeros after each
        name = f"wave {program}".encode()
        loop = start + PERIOD, start + 19 * PERIOD
        headers += struct.pack("<20s5IBbHH", name, start, start + len(samples), *loop, 44_100, ROOT, 0, 0, 1)
        presets += struct.pack("<20sHHHIII", name, program, 0, number, 0, 0, 0)
        instruments += struct.pack("<20sH", name, number)
        preset_bags += struct.pack("<HH", number, 0)
        instrument_bags += struct.pack("<HH", 4 * number, 0)
        preset_gens += struct.pack("<HH", INSTRUMENT, number)
        for generator in ((RELEASE, release), (SAMPLE_MODES, 1), (ROOT_KEY, ROOT), (SAMPLE_ID, number)):
            instrument_gens += struct.pack("<Hh", *generator)
        start += len(samples) + 46
    count = len(waves)
    presets += struct.pack("<20sHHHIII", b"EOP", 0, 0, count, 0, 0, 0)
    instruments += struct.pack("<20sH", b"EOI", count)
    preset_bags += struct.pack("<HH", count, 0)
    instrument_bags += struct.pack("<HH", 4 * count, 0)
    headers += struct.pack("<20s5IBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0)
    none, modulator = b"\0" * 4, b"\0" * 10
    info = _list(b"INFO", _chunk(b"ifil", struct.pack("<HH", 2, 1)), _chunk(b"INAM", b"test\0\0"))
    tables = {
        **{b"phdr": presets, b"pbag": preset_bags, b"pmod": modulator, b"pgen": preset_gens + none},
        **{b"inst": instruments, b"ibag": instrument_bags, b"imod": modulator, b"igen": instrument_gens + none},
        b"shdr": headers,
    }
    body = b"sfbk" + info + _list(b"sdta", _chunk(b"smpl", b"".join(data)))
    body += _list(b"pdta", *(_chunk(name, table) for name, table in tables.items()))
    path.write_bytes(_chunk(b"RIFF", body))
    return path
