"""The published evaluation, picture by picture and pixel by pixel, in NumPy's float64."""

import numpy as np


def truth_of(boxes, votes=False):
    """Boxes ymin, xmin, ymax, xmax on 224 x 224."""
    total = np.zeros((224, 224))
    for box in boxes:
        top, left, bottom, right = (int(224 * min(max(x, 0), 1)) for x in box)
        total[top:bottom, left:right] += 1
    return np.minimum(total / 2, 1) if votes else (total > 0).astype(float)


def ciou_of(marked, truth):
    hit, beside, whole = 0.0, 0.0, 0.0
    for m, g in zip(marked.ravel(), truth.ravel()):
        whole += g
        hit += g if m else 0
        beside += 1 if m and g == 0 else 0
    return hit / (whole + beside)


def scores_of(pixels, truth):
    """cIoU at the median and adaptive of a map of the truth's size."""
    rising = np.sort(pixels.ravel())
    n, area = rising.size, int(np.sum(truth != 0))
    return ciou_of(pixels >= rising[n // 2], truth), ciou_of(pixels > rising[n - area], truth)


def auc_of(cious):
    shares = [np.mean(np.array(cious) >= 0.05 * i) for i in range(21)]
    return np.trapezoid(shares, dx=0.05)


def precision_recall(sounding, cious, confident, threshold):
    right = wrong = missed = 0
    for sounds, ciou, sure in zip(sounding, cious, confident):
        if sure >= threshold and sounds and ciou >= 0.5:
            right += 1
        elif sure >= threshold:
            wrong += 1
        elif sounds:
            missed += 1
    return 1 if right + wrong == 0 else right / (right + wrong), 1 if right + missed == 0 else right / (right + missed)


def detection_of(sounding, cious, confident):
    """AP over at most about 200 thresholds and the largest F1 over about ten."""
    n, rising = len(cious), np.sort(confident)
    steps = [precision_recall(sounding, cious, confident, t) for t in rising[:-1][:: -max(1, n // 200)]]
    best = [max(p for p, _ in steps[i:]) for i in range(len(steps))]
    ap = sum(best[i] * (steps[i + 1][1] - steps[i][1]) for i in range(len(steps) - 1))
    pairs = [precision_recall(sounding, cious, confident, t) for t in rising[:: max(1, n // 10)]]
    return ap, max(2 * p * r / (p + r) if p + r else 0 for p, r in pairs)
