"""Memory does not grow with the number of questions, but for their ids."""

import pytest
import scripted


def peak(tmp_path, zygote, encoder, n):
    """The most memory of a run over n questions, in MiB."""
    dataset = scripted.write_dataset(tmp_path / f"places{n}", n)
    config = scripted.write_config(
        tmp_path / f"{n}.yaml",
        [dataset],
        sample={"n": 2},
        pair={"encoder": str(encoder)},
        label={"expert": scripted.EXPERT},
    )
    zygote.start("entities", str(config), "--out", str(tmp_path / f"run{n}"))
    status, mebibytes = zygote.result()
    assert status == 0, zygote.log()
    return mebibytes


@pytest.mark.parametrize(("few", "many", "ids"), [(1_000, 12_000, 40)])
def test_memory_is_flat(tmp_path, zygote, tiny_encoder, few, many, ids):
    # A set of ids takes some 150 bytes an entry; everything else is held a batch at a time.
    assert peak(tmp_path, zygote, tiny_encoder, many) <= peak(tmp_path, zygote, tiny_encoder, few) + ids
