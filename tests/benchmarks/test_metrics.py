"""ECE, AUROC and Brier score with 1,000 bootstrap resamples on 80,000 answers,
against the libraries' same work.

The libraries have no bootstrap, so theirs is the obvious one: draw indices, take, call. They are
timed on a few resamples, paired with ours in one run, and scaled up, which favours nobody:
their time is linear in the resamples.
"""

import time
import warnings

import numpy as np
import pytest

from eval import metrics

N, RESAMPLES, SHARE = 80_000, 1000, 10
NAMES = ("ece", "auroc", "brier")


def _torchmetrics(c, y):
    import torch
    from torchmetrics.functional.classification import binary_auroc, binary_calibration_error
    from torchmetrics.functional.regression import mean_squared_error

    p, t = torch.from_numpy(c), torch.from_numpy(y)
    whole = t.long()
    return lambda i: (
        binary_calibration_error(p[i], whole[i], n_bins=10, norm="l1", validate_args=False),
        binary_auroc(p[i], whole[i], validate_args=False),
        mean_squared_error(p[i], t[i]),
    )


def _netcal(c, y):
    from netcal.metrics import ECE
    from sklearn.metrics import brier_score_loss, roc_auc_score

    whole = y.astype(int)  # netcal has neither AUROC nor Brier score: scikit-learn's
    return lambda i: (
        ECE(10).measure(c[i], whole[i]),
        roc_auc_score(whole[i], c[i]),
        brier_score_loss(whole[i], c[i]),
    )


def _relplot(c, y):
    import relplot
    from sklearn.metrics import brier_score_loss, roc_auc_score

    return lambda i: (
        relplot.metrics.binnedECE(c[i], y[i]),
        roc_auc_score(y[i], c[i]),
        brier_score_loss(y[i], c[i]),
    )


LIBRARIES = {"torchmetrics": _torchmetrics, "netcal": _netcal, "relplot": _relplot}


@pytest.mark.parametrize("kind", ["any value", "two decimals"])
def test_bootstrap_is_at_least_as_fast_as_the_fastest_library(kind):
    rng = np.random.default_rng(0)
    c = rng.random(N)
    c = c.round(2) if kind == "two decimals" else c
    y = (rng.random(N) < c).astype(float)
    start = time.perf_counter()
    found = metrics.estimate_all(c.tolist(), y, metrics=NAMES, n_resamples=RESAMPLES)
    ours = time.perf_counter() - start
    seconds = {}
    for name, make in LIBRARIES.items():
        work = make(c, y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            work(rng.integers(0, N, N))  # imports and first calls are not counted
            start = time.perf_counter()
            for _ in range(RESAMPLES // SHARE):
                work(rng.integers(0, N, N))
        seconds[name] = (time.perf_counter() - start) * SHARE
    fastest = min(seconds, key=lambda name: seconds[name])
    shown = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    print(
        f"\n{kind}: ours {ours:.2f} s; {shown}; "
        f"{seconds[fastest] / ours:.1f} x faster than {fastest}"
    )
    assert ours <= seconds[fastest] and found["ece"].low < found["ece"].high
