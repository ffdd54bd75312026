"""A writer of fastText's .bin, by the format and not by the reader."""

import struct


def write(path, words, matrix, shortest, longest, *, labels=(), version=12, model=2, quantised=False):
    """Words and labels with a matrix of rows for words and n-grams; model 1 cbow, 2 skip-gram, 3 a classifier."""
    dim, buckets = matrix.shape[1], len(matrix) - len(words)
    # dim, window, epochs, least count, negatives, word n-grams, loss, model, buckets, n-grams, updates, sampling
    options = (dim, 5, 1, 1, 5, 1, 2, model, buckets, shortest, longest, 100, 1e-4)
    entries = [(word, 0) for word in words] + [(label, 1) for label in labels]
    content = struct.pack("<2i", 793712314, version) + struct.pack("<12id", *options)
    content += struct.pack("<3i2q", len(entries), len(words), len(labels), 100, -1)
    for entry, kind in entries:
        content += entry.encode() + b"\0" + struct.pack("<qb", 1, kind)
    content += struct.pack("<?2q", quantised, *matrix.shape) + matrix.astype("<f4").tobytes()
    outputs = len(labels) if model == 3 else len(words)
    content += struct.pack("<?2q", False, outputs, dim) + bytes(4 * outputs * dim)
    path.write_bytes(content)
    return path
