#!/usr/bin/env bash
# OpenCV 5: the wheel whose detector of faces is still there has no longer the files that it is to load.
#
# Up to 4.14 every wheel has cv2.CascadeClassifier and, in cv2.data.haarcascades, the cascades of Viola and Jones that
# half of all face crops of data sets were made with. Of version 5, the main wheels have neither, and the contrib wheels
# have the class without the files: cv2.data.haarcascades still names a folder, and in it lies nothing but an
# __init__.py. The usual line, CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml"), raises
# nothing there: it gives a classifier that is empty, and only detectMultiScale says so, by an assertion. So a check for
# the class, or for cv2.data, takes OpenCV 5 for one that finds faces; `.empty()` is what tells.
#
# Who meets it: face crops of videos, as Speech2Face, Looking to Listen and lip reading begin with. Here:
# mmjax/data/files/face_boxes.py asks for the class and for `.empty()`, and the extra `faces` stays below 5.
#
# Seen on 2026-12-01 with Python 3.11 on Linux x86-64:
#   opencv-python-headless 4.14.0.94: class True, cascades 17, loaded True
#   opencv-python-headless 5.0.0.93: class False, cascades 0, loaded False
#   opencv-contrib-python-headless 5.0.0.93: class True, cascades 0, loaded False
#
# Exits 0 as long as it is there, 1 if the behaviour has changed. A minute, and 200 MB of downloads.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cd "$folder"

cat >told.py <<'EOF'
import os
import sys

import cv2
import cv2.data

there = hasattr(cv2, "CascadeClassifier")
files = [name for name in os.listdir(cv2.data.haarcascades) if name.endswith(".xml")]
loaded = False
if there:
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")  # raises nothing
    loaded = not cascade.empty()
print(f"{sys.argv[1]}: class {there}, cascades {len(files)}, loaded {loaded}")
wanted = {"4": (True, True, True), "5": (False, False, False), "contrib5": (True, False, False)}[sys.argv[2]]
sys.exit(0 if (there, bool(files), loaded) == wanted else 1)
EOF

changed=0
for one in "opencv-python-headless 4.14.0.94 4" "opencv-python-headless 5.0.0.93 5" \
  "opencv-contrib-python-headless 5.0.0.93 contrib5"; do
  read -r package version which <<<"$one"
  venv/bin/pip uninstall -q -y opencv-python-headless opencv-contrib-python-headless 2>/dev/null || true
  venv/bin/pip install -q --disable-pip-version-check numpy==2.4.6 "$package==$version" 2>/dev/null
  venv/bin/python told.py "$package $version" "$which" 2>/dev/null || changed=1
done
[ "$changed" = 0 ] && echo there || echo changed
exit "$changed"
