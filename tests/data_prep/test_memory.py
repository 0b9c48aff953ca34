"""Memory does not grow with the number of questions, but for their ids."""

import warm_runs

FEW, MANY = 1_000, 8_000


def test_memory_is_flat(tmp_path, zygote, tiny_encoder):
    few, many = (warm_runs.peak_memory(zygote, tiny_encoder, tmp_path, n) for n in (FEW, MANY))
    # A set of ids takes some 150 bytes an entry, all else is held a batch at a time; 30 MiB for an
    # allocator's moods. To hold the questions' records would take more than a KiB each.
    assert many <= few + 30 + 150 * MANY / 2**20, (few, many)
