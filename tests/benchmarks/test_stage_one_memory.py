"""Memory of stage one over 100,000 questions against 1,000.

pytest tests/benchmarks/test_stage_one_memory.py -s
"""

import pytest
import warm_runs

FEW, MANY = 1_000, 100_000


@pytest.mark.timeout(3600)
def test_memory_is_flat_to_100_000_questions(tmp_path):
    encoder = warm_runs.build_encoder(tmp_path)
    with warm_runs.Zygote(tmp_path / "log", "sentence_transformers", "spacy") as zygote:
        few, many = (warm_runs.peak_memory(zygote, encoder, tmp_path, n) for n in (FEW, MANY))
    print(f"\npeak memory: {few} MiB with {FEW} questions, {many} MiB with {MANY}")
    assert many <= few + 40 + 150 * MANY / 2**20
