"""Where a library's value is not ours, and which one is right:
the table in eval/README.md, line by line.

Two answers in neighbouring bins, one right, one wrong, tell the bin of the second:
apart, ECE is the mean gap.
"""

import math
import warnings

import numpy as np
import pytest

from eval import metrics


def torchmetrics_ece(c, y):
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    p = torch.tensor(c, dtype=torch.float64)
    return binary_calibration_error(p, torch.tensor(y), n_bins=10, norm="l1").item()


def netcal_ece(c, y):
    from netcal.metrics import ECE

    return ECE(10).measure(np.array(c), np.array(y))


def relplot_ece(c, y):
    import relplot

    return relplot.metrics.binnedECE(np.array(c), np.array(y))


@pytest.mark.parametrize(
    ("low", "border", "wrong"),
    [
        # 0.3 opens bin [0.3, 0.4). linspace's edge and 3 * 0.1 are 0.30000000000000004,
        # 0.3 / 0.1 is 2.9999999999999996
        (0.25, 0.3, [torchmetrics_ece, netcal_ece, relplot_ece]),
        (0.55, 0.6, [netcal_ece, relplot_ece]),
        (0.65, 0.7, [netcal_ece, relplot_ece]),
    ],
)
def test_a_confidence_on_a_bin_border_opens_the_bin(low, border, wrong):
    c, y = [low, border], [1, 0]
    apart, together = ((1 - low) + border) / 2, abs(1 - low - border) / 2
    assert metrics.expected_calibration_error(c, y) == pytest.approx(apart)
    for library in wrong:
        assert library(c, y) == pytest.approx(together)


def test_certainty_falls_into_the_last_bin():
    # [0.9, 1] holds both: |1 - 1.95| / 2. torchmetrics and relplot give 1.0 an eleventh bin:
    # (0.05 + 1) / 2
    c, y = [0.95, 1.0], [1, 0]
    assert metrics.expected_calibration_error(c, y) == pytest.approx(0.475) == netcal_ece(c, y)
    assert torchmetrics_ece(c, y) == pytest.approx(0.525) == relplot_ece(c, y)


def test_equal_mass_bins_stand_ties():
    # ten bins of one answer, each with the mean verdict of its run:
    # (6 * |1/6 - 0.2| + 4 * |3/4 - 0.8|) / 10
    from netcal.metrics import ECE

    c, y = np.array([0.2] * 6 + [0.8] * 4), np.array([0, 0, 0, 1, 0, 0, 1, 1, 1, 0])
    assert metrics.adaptive_calibration_error(c, y) == pytest.approx(0.04)
    with pytest.raises(ValueError, match="edge difference"):
        ECE(10, equal_intervals=False).measure(c, y)


def test_one_class_and_no_answers_are_undefined_and_not_zero():
    import relplot
    import torch
    from sklearn.metrics import average_precision_score
    from torchmetrics.functional.classification import binary_auroc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert binary_auroc(torch.tensor([0.1, 0.9]), torch.tensor([1, 1])).item() == 0.0
        assert average_precision_score([0, 0], [0.1, 0.9]) == 0.0
    assert math.isnan(metrics.auroc([0.1, 0.9], [1, 1])) and math.isnan(
        metrics.auprc([0.1, 0.9], [0, 0])
    )
    assert relplot.smECE(np.array([]), np.array([])) == 0.0
    assert math.isnan(metrics.smooth_ece([], []))


def test_graded_verdicts_have_an_auroc():
    from sklearn.metrics import roc_auc_score

    with pytest.raises(ValueError, match="continuous"):
        roc_auc_score([0.5, 1], [0.1, 0.9])
    # positives 0.1 (1/2) and 0.9 (1), negative 0.1 (1/2): (1/2 * 1/2 * 1/2 + 1 * 1/2) / (3/2 * 1/2)
    assert metrics.auroc([0.1, 0.9], [0.5, 1]) == pytest.approx(0.625 / 0.75)


def test_float32_confidences_keep_their_bins():
    # float32(0.7) = 0.699999988 is below the float64 edge 0.7, which would put it a bin too low
    c, y = np.array([0.65, 0.7], dtype=np.float32), [1, 0]
    apart = metrics.expected_calibration_error([0.65, 0.7], y)
    assert metrics.expected_calibration_error(c, y) == pytest.approx(apart, abs=1e-6)
    assert metrics.expected_calibration_error(c.astype(np.float64), y) < apart - 0.1
