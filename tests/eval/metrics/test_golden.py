"""200 random and adversarial sets: equal to scikit-learn, torchmetrics,
netcal and relplot where definitions agree.
"""

import numpy as np
import pytest

from eval import metrics

TOLERANCE = 1e-9


def _sets():
    """50 seeds x 4 kinds: confidences of any value, on the 0.1 grid, at 0 and 1 only,
    and one of them repeated.
    """
    for seed in range(50):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 400))
        any_value = rng.random(n)
        for kind, c in (
            ("any", any_value),
            ("grid", rng.integers(0, 11, n) / 10),
            ("ends", rng.integers(0, 2, n).astype(float)),
            ("constant", np.full(n, any_value[0])),
        ):
            yield kind, c, (rng.random(n) < c ** rng.uniform(0.3, 3)).astype(float)


SETS = list(_sets())


def test_there_are_200_sets():
    assert len(SETS) == 200 and {kind for kind, *_ in SETS} == {"any", "grid", "ends", "constant"}


def test_auroc_and_auprc_are_those_of_scikit_learn():
    from sklearn.metrics import average_precision_score, roc_auc_score

    for _, c, y in SETS:
        if 0 < y.sum() < y.size:
            assert metrics.auroc(c, y) == pytest.approx(roc_auc_score(y, c), abs=TOLERANCE)
            assert metrics.auprc(c, y) == pytest.approx(
                average_precision_score(y, c), abs=TOLERANCE
            )


def test_brier_score_and_nll_are_those_of_scikit_learn():
    from sklearn.metrics import brier_score_loss, log_loss

    clip = np.finfo(np.float64).eps  # scikit-learn's
    for _, c, y in SETS:
        assert metrics.brier_score(c, y) == pytest.approx(
            brier_score_loss(y, c, labels=[0, 1]), abs=TOLERANCE
        )
        expected = log_loss(y, np.stack([1 - c, c], axis=1), labels=[0, 1])
        assert metrics.negative_log_likelihood(c, y, clip) == pytest.approx(expected, abs=TOLERANCE)


def test_ece_and_mce_are_those_of_torchmetrics_off_the_bin_borders():
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    for kind, c, y in SETS:
        if (
            kind != "grid"
        ):  # linspace puts 0.3, 0.6 and 0.7 beside the border; see the README's table
            p, t = torch.tensor(c, dtype=torch.float64), torch.tensor(y, dtype=torch.int64)
            ece = binary_calibration_error(p, t, n_bins=10, norm="l1", validate_args=False).item()
            mce = binary_calibration_error(p, t, n_bins=10, norm="max", validate_args=False).item()
            # torchmetrics gives 1.0 a bin of its own,
            # which changes nothing unless [0.9, 1) is filled as well
            assert metrics.expected_calibration_error(c, y) == pytest.approx(ece, abs=TOLERANCE)
            assert metrics.maximum_calibration_error(c, y) == pytest.approx(mce, abs=TOLERANCE)


def test_ece_is_that_of_netcal_off_the_bin_borders():
    from netcal.metrics import ECE

    for kind, c, y in SETS:
        if kind == "any":
            assert metrics.expected_calibration_error(c, y) == pytest.approx(
                ECE(10).measure(c, y.astype(int)), abs=TOLERANCE
            )


def test_adaptive_ece_is_that_of_netcal_without_ties_and_remainder():
    from netcal.metrics import ECE

    compared = 0
    for kind, c, y in SETS:
        n = c.size - c.size % 10
        if kind == "any" and n:
            theirs = ECE(10, equal_intervals=False).measure(c[:n], y[:n].astype(int))
            assert metrics.adaptive_calibration_error(c[:n], y[:n]) == pytest.approx(
                theirs, abs=TOLERANCE
            )
            compared += 1
    assert compared > 40


def test_smooth_ece_is_that_of_relplot():
    import relplot

    for _, c, y in SETS:
        assert metrics.smooth_ece(c, y) == pytest.approx(relplot.smECE(c, y), abs=TOLERANCE)


def test_brier_parts_add_up_with_and_without_bins():
    for kind, c, y in SETS:
        for n_bins in (None, 10):
            d = metrics.brier_decomposition(c, y, n_bins)
            within = d.within_variance - d.within_covariance
            assert d.brier == pytest.approx(metrics.brier_score(c, y), abs=1e-12)
            assert d.brier == pytest.approx(
                d.reliability - d.resolution + d.uncertainty + within, abs=1e-12
            )
            if n_bins is None or kind == "constant":
                assert within == pytest.approx(0, abs=1e-12)


def _risks_in_loops(c, y):
    """AURC in loops over answers, those of equal confidence replaced by their mean error."""
    errors = [1 - np.mean(y[c == value]) for value in sorted(c, reverse=True)]
    return np.mean([np.mean(errors[: i + 1]) for i in range(len(errors))])


def test_aurc_and_prr_in_loops():
    for _, c, y in SETS[::4] + SETS[1::4]:
        if c.size <= 120:
            expected, best = _risks_in_loops(c, y), _risks_in_loops(y, y)
            assert metrics.aurc(c, y) == pytest.approx(expected, abs=TOLERANCE)
            if 0 < y.sum() < y.size:
                random = 1 - y.mean()
                assert metrics.prediction_rejection_ratio(c, y) == pytest.approx(
                    (random - expected) / (random - best), abs=TOLERANCE
                )
