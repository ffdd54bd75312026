#!/usr/bin/env bash
# oneDNN's wheel, the library of deep-learning kernels FOR processors: installed by pip it finds no processor.
#
# `pip install onednn` (2026.1.0) brings 2 GB, for it is built for SYCL: the library, Intel's compiler run time, and an
# OpenCL driver that drives the processor. In a virtual environment none of it meets: the library does not load, since it
# names no place where the others lie; once LD_LIBRARY_PATH does, creating an engine for a CPU fails with status 2
# ("invalid arguments"), while the library says that it detected the processor and its instructions. The driver is there
# and registered, in the environment's own etc/OpenCL/vendors, where no OpenCL loader looks.
#
# Who meets it: whoever wants oneDNN by itself, from Python or for a native extension, without PyTorch around it: JAX
# users whose convolutions XLA's CPU back end computes slowly, and builders of extensions.
#
# What helps: OCL_ICD_FILENAMES=VENV/lib/libintelocl.so (or OCL_ICD_VENDORS=VENV/etc/OpenCL/vendors), beside
# LD_LIBRARY_PATH; or the last wheel that is built for processors alone, onednn-cpu-gomp 2023.2.0: 37 MB, one file,
# no dependencies, and an engine at once. mmjax's extra `onednn` is that one.
#
# Seen on 2026-12-01 with onednn 2026.1.0, intel-opencl-rt and dpcpp-cpp-rt 2026.2.0, onednn-cpu-gomp 2023.2.0,
# Python 3.11, Linux x86-64:
#   onednn, as installed                      does not load: libtbb.so.12
#   onednn, with LD_LIBRARY_PATH              status 2
#   onednn, with that and OCL_ICD_FILENAMES   status 0
#   onednn-cpu-gomp, as installed             status 0
#
# Exits 0 as long as all four are so; 1 if not. Half a minute to five, for 700 MB of downloads and 2 GB of disk.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for name in sycl gomp; do python3 -m venv "$folder/$name"; done
"$folder/sycl/bin/pip" install -q --disable-pip-version-check \
    onednn==2026.1.0 dpcpp-cpp-rt==2026.2.0 intel-opencl-rt==2026.2.0 intel-sycl-rt==2026.2.0 tbb==2023.2.0
"$folder/gomp/bin/pip" install -q --disable-pip-version-check onednn-cpu-gomp==2023.2.0

cat >"$folder/engine.py" <<'PYTHON'
import ctypes
import sys

CPU = 1  # dnnl_engine_kind_t
try:
    library = ctypes.CDLL(sys.argv[1])
except OSError as error:
    print("does not load:", str(error).split(":")[0])
else:
    engine = ctypes.c_void_p()
    print("status", library.dnnl_engine_create(ctypes.byref(engine), CPU, ctypes.c_size_t(0)))
PYTHON

export ONEDNN_VERBOSE=0
unset LD_LIBRARY_PATH OCL_ICD_FILENAMES OCL_ICD_VENDORS
sycl="$folder/sycl/lib" gomp="$folder/gomp/lib" failed=0
look() { # what is tried, what is expected, the command
    local what=$1 wanted=$2 seen
    shift 2
    seen=$("$@" | tail -1)
    printf '%-44s%s\n' "$what" "$seen"
    [ "$seen" = "$wanted" ] || failed=1
}
run=(python3 "$folder/engine.py")
look "onednn, as installed" "does not load: libtbb.so.12" "${run[@]}" "$sycl/libdnnl.so.3"
look "onednn, with LD_LIBRARY_PATH" "status 2" env LD_LIBRARY_PATH="$sycl" "${run[@]}" "$sycl/libdnnl.so.3"
look "onednn, with that and OCL_ICD_FILENAMES" "status 0" \
    env LD_LIBRARY_PATH="$sycl" OCL_ICD_FILENAMES="$sycl/libintelocl.so" "${run[@]}" "$sycl/libdnnl.so.3"
look "onednn-cpu-gomp, as installed" "status 0" "${run[@]}" "$gomp/libdnnl.so.3"
exit "$failed"
