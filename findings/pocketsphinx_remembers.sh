#!/bin/sh
# What pocketsphinx hears in a sound depends on the sounds that it heard before, even where each is handed over whole,
# and in digital silence it hears a word.
#
# With full_utt=True a recording is complete, and cepstral mean normalisation is set to "batch", over the recording, by
# default; one would expect the same words of the same samples from the same decoder, whatever came before. Yet a part
# of the answers changes with the order of the recordings. decoder.reinit_feat() before each of them, which costs
# nothing to speak of, makes the answers independent of the order. So word errors of a test split, with one decoder,
# depend on how the split is sorted.
#
# Samples that are all 0 are a word, of one second and of ten; samples of noise of one step of 16 bits are none. A
# synthesiser that says nothing is then not scored as silence.
#
# Seen with pocketsphinx 5.1.1, its own US English models, Python 3.11, Linux x86-64. The sounds are made here: pulses
# through four resonances, as vowels are, with hisses between them.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pocketsphinx==5.1.1 numpy==2.3.5 scipy==1.16.3
"$folder/venv/bin/python" - <<'EOF'
import numpy as np
import scipy.signal
from pocketsphinx import Decoder

RATE = 16_000
rng = np.random.default_rng(0)


def word():
    """Half a second to a second of vowels and hisses that follow each other."""
    pieces = []
    for _ in range(rng.integers(4, 9)):
        n = int(RATE * rng.uniform(0.06, 0.16))
        if rng.random() < 0.7:
            source = np.zeros(n)
            source[:: int(RATE / rng.uniform(90, 200))] = 1.0
            for middle, wide in zip(rng.uniform([250, 900, 2100, 3100], [800, 2000, 3000, 3900]), (60, 90, 120, 150)):
                radius = np.exp(-np.pi * wide / RATE)
                poles = [1, -2 * radius * np.cos(2 * np.pi * middle / RATE), radius**2]
                source = scipy.signal.lfilter([sum(poles)], poles, source)
        else:
            source = 0.1 * scipy.signal.lfilter([1, -0.9], [1], rng.normal(size=n))
        pieces.append(source * np.hanning(n) / max(np.abs(source).max(), 1e-9))
    return np.round(6000 * np.concatenate([np.zeros(2000), *pieces, np.zeros(2000)]))


def heard(decoder, samples, anew=False):
    if anew:
        decoder.reinit_feat()
    decoder.start_utt()
    decoder.process_raw(samples.astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    best = decoder.hyp()
    return best.hypstr if best else ""


decoder = Decoder(samprate=RATE, loglevel="FATAL")
assert decoder.config["cmn"] == "batch", decoder.config["cmn"]
sounds = [word() for _ in range(24)]
for anew in (False, True):
    there = [heard(decoder, x, anew) for x in sounds]
    back = [heard(decoder, x, anew) for x in sounds[::-1]][::-1]
    differ = sum(a != b for a, b in zip(there, back))
    print(f"{differ} of {len(sounds)} differ with the order, {'reinit_feat before each' if anew else 'nothing between'}")
    assert (differ == 0) if anew else (differ >= 2), differ
silence = [heard(decoder, np.zeros(int(RATE * s)), True) for s in (1, 10)]
noise = [heard(decoder, np.round(rng.normal(size=RATE)), True) for _ in range(3)]
print("digital silence:", silence, "least noise:", noise)
assert all(silence) and not any(noise)
EOF
