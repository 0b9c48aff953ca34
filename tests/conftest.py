"""Environment of every test: nothing is fetched from a hub, nothing is reported to anybody, verl runs on the CPU."""

import os

os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    TOKENIZERS_PARALLELISM="false",
    RAY_USAGE_STATS_ENABLED="0",
    VERL_PLATFORM="cpu",
)
