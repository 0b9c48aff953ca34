"""Of the tests of stage one: a scripted model and expert by dotted path, tiny encoders, runs that can be killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """A random BERT in the hub's layout: `make(name, config options)` returns its directory."""

    def make(name, **options):
        import torch
        from transformers import AutoModelForSequenceClassification, BertConfig, BertModel, BertTokenizerFast

        torch.manual_seed(0)
        directory = tmp_path_factory.mktemp("bert") / name
        directory.mkdir()
        letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
        config = BertConfig(
            vocab_size=len(pieces),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=128,
            **options,
        )
        model = AutoModelForSequenceClassification.from_config(config) if options else BertModel(config)
        model.save_pretrained(directory)
        BertTokenizerFast({piece: i for i, piece in enumerate(pieces)}, model_max_length=128).save_pretrained(directory)
        return directory

    return make


@pytest.fixture(scope="session")
def tiny_encoder(tiny_bert):
    """A random sentence encoder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    bert = tiny_bert("encoder")
    encoder = SentenceTransformer(modules=[Transformer(str(bert)), Pooling(32)])
    encoder.save(str(bert.parent / "sentences"))
    return bert.parent / "sentences"


class Zygote:
    """Starts runs of `python -m data_prep` in children of one warm process (see zygote.py)."""

    def __init__(self, log):
        self._log = log
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "RUN_LOG": str(log), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(HERE / "zygote.py")]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout.readline().startswith("ready")

    def start(self, *arguments):
        """Start a run; returns its pid."""
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def result(self):
        """Exit status of the run that was started last (negative: the signal), and its peak memory in MiB."""
        status, mebibytes = self._process.stdout.readline().split()
        return int(status), int(mebibytes)

    def log(self):
        """The end of what the runs have printed."""
        return self._log.read_text()[-3000:]

    def close(self):
        """End the warm process."""
        self._process.stdin.close()
        self._process.wait()


@pytest.fixture(scope="session")
def zygote(tmp_path_factory):
    process = Zygote(tmp_path_factory.mktemp("zygote") / "log")
    yield process
    process.close()
