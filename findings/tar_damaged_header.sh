#!/usr/bin/env bash
# Python's tarfile, webdataset: a shard that is damaged in a header, or cut off there, ends there without an error.
#
# A tar is a header and a file, a header and a file, and at the end two blocks of zeros. TarFile.next takes each of
# these for the end: a header whose checksum is wrong, a part of one, no block at all, and zeros with more behind them.
# Only a file that is cut off is an error. So of a download that broke off it depends on the byte whether anything is
# told; one changed letter hides all that comes behind it; and of tars that were joined by cat there is the first.
# webdataset reads by tarfile and passes on what it says: training goes on with the fewer samples.
#   - GNU tar names a header that is wrong and reads on behind it, but of a part of a header it says nothing, either.
#     (It passes over joined tars, too, which its manual says, with -i against it.)
#   - tarfile.open(..., ignore_zeros=True) reads on behind wrong headers and zeros, and tells of neither.
# Known of wrong checksums: bpo-27590 and CPython's issue 120740, which is open. A shard whose writer was never closed
# ends so, too (webdataset's issue 32).
#
# Who meets it: who trains from shards that were downloaded, copied or joined. What helps: count the samples; or, after
# the last member, look at what stands at tar.offset: two blocks of zeros, and nothing but zeros behind them. Here:
# mmjax/data/files/packing.py, wrong_end.
#
# Seen on 2026-11-29 with Python 3.11, webdataset 1.0.2, GNU tar 1.34, Linux x86-64:
#   Python 3.11.7, webdataset 1.0.2; samples of 10
#                                      getnames  extractfile   webdataset ignore_zeros   GNU tar
#   whole                                    10           10           10           10   10, status 0
#   cut amid a file                   ReadError    ReadError    ReadError    ReadError   4, status 2
#   cut amid a header                         4            4            4            4   4, status 0
#   cut between two                           4            4            4            4   4, status 0
#   one letter of a header changed            4            4            4            9   9, status 2
#   two joined by cat                         4            4            4           10   4, status 0
#
# Exits 0 as long as it is so, and 1 if not. A few seconds, and a download.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    webdataset==1.0.2 numpy==2.4.6 braceexpand==0.1.7 pyyaml==6.0.4

cat >"$folder/ends.py" <<'PYTHON'
import io
import subprocess
import sys
import tarfile
import warnings

import webdataset

SAMPLES, KEPT = 10, 4
warnings.simplefilter("error")  # so that one would be told
warnings.simplefilter("ignore", ResourceWarning)


def shard(first, last):
    """The bytes of a shard of samples x.txt and x.jpg, 1,000 bytes each."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(first, last):
            for suffix in ("txt", "jpg"):
                info = tarfile.TarInfo(f"{number:06}.{suffix}")
                info.size = 1000
                tar.addfile(info, io.BytesIO(b"a" * 1000))
    return buffer.getvalue()


def told(read):
    """How many samples there are, or the error."""
    try:
        return str(read())
    except Exception as error:
        return f"{type(error).__name__}"


def listed():
    with tarfile.open("0.tar") as tar:
        return len(tar.getnames()) // 2


def with_zeros():
    with tarfile.open("0.tar", ignore_zeros=True) as tar:
        return len(tar.getnames()) // 2


def copied():
    with tarfile.open("0.tar") as tar:
        return len([tar.extractfile(member).read() for member in tar]) // 2


def streamed():
    return sum(1 for _ in webdataset.WebDataset("0.tar", shardshuffle=False))


def of_gnu():
    done = subprocess.run(["tar", "-tf", "0.tar"], capture_output=True, text=True)
    return f"{len(done.stdout.split()) // 2}, status {done.returncode}"


whole, members = shard(0, SAMPLES), (512 + 1024) * 2
at = KEPT * members  # where the header of a sample begins
assert whole[at : at + 10] == b"000004.txt"
spoilt = bytearray(whole)
spoilt[at] = ord("x")
cases = {
    "whole": whole,
    "cut amid a file": whole[: at + 900],
    "cut amid a header": whole[: at + 100],
    "cut between two": whole[:at],
    "one letter of a header changed": bytes(spoilt),
    "two joined by cat": shard(0, KEPT) + shard(KEPT, SAMPLES),
}
print(f"Python {sys.version.split()[0]}, webdataset {webdataset.__version__}; samples of {SAMPLES}")
print(f"{'':30}{'getnames':>13}{'extractfile':>13}{'webdataset':>13}{'ignore_zeros':>13}   GNU tar")
found = {}
for name, content in cases.items():
    with open("0.tar", "wb") as file:
        file.write(content)
    found[name] = [told(read) for read in (listed, copied, streamed, with_zeros, of_gnu)]
    print(f"{name:30}{''.join(f'{one:>13}' for one in found[name][:4])}   {found[name][4]}")
as_described = found.pop("whole")[:4] == ["10"] * 4 and found.pop("cut amid a file")[:3] == ["ReadError"] * 3
as_described &= all(one[:3] == [str(KEPT)] * 3 for one in found.values())
as_described &= found["one letter of a header changed"][3] == "9" and found["two joined by cat"][3] == "10"
sys.exit(0 if as_described else "the behaviour has changed")
PYTHON
cd "$folder"
venv/bin/python ends.py
