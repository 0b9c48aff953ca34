"""Runs of stage one as processes that start at once and can be killed,
and a tiny sentence encoder for them.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import scripted

from data_prep.pipeline.step_table import STEPS

HERE = Path(__file__).parent


class Zygote:
    """Starts runs of `python -m data_prep` in children of a warm process,
    which imports `modules` (zygote.py).
    """

    def __init__(self, log, *modules):
        self._log = log
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "RUN_LOG": str(log),
            "OMP_NUM_THREADS": "1",
            "WARM": " ".join(modules),
        }
        command = [sys.executable, str(HERE / "zygote.py")]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout.readline().startswith("ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()

    def start(self, *arguments):
        """Start a run; returns its pid."""
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def result(self):
        """Exit status of the run that was started last (negative: the signal),
        and its peak memory in MiB.
        """
        status, mebibytes = self._process.stdout.readline().split()
        return int(status), int(mebibytes)

    def log(self):
        """The end of what the last run has printed."""
        return self._log.read_text()[-3000:]


def killed_runs(zygote, folder, arguments, kills, pause, after=lambda run: None):
    """Start a run again and again, kill it each time after `pause()` seconds,
    and let it end after so many kills.

    A run that ends before its kill comes is followed by another, in a directory of its own, so the
    number of kills does not depend on how fast the machine is just then.

    Args:
        arguments: of the command, by the run's directory.
        after: called with that directory after each start has ended.

    Returns:
        The directories of the runs, all of them whole,
        and the number of steps that were done at each kill.
    """
    runs, done_at = [], []
    while len(done_at) < kills:
        run = folder / f"killed{len(runs)}"
        runs.append(run)
        assert len(runs) <= kills, (
            "most runs ended before they were killed: the pauses are too long"
        )
        status = -signal.SIGKILL
        while status != 0 and len(done_at) < kills:
            pid = zygote.start(*arguments(run))
            time.sleep(pause())
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.kill(pid, signal.SIGKILL)
            status, _ = zygote.result()
            after(run)
            assert status in (0, -signal.SIGKILL), zygote.log()
            if status != 0:
                manifest = run / "manifest.json"
                done_at.append(
                    len(json.loads(manifest.read_text())["steps"]) if manifest.exists() else 0
                )
    if status != 0:
        zygote.start(*arguments(run))
        assert zygote.result()[0] == 0, zygote.log()
        after(run)
    return runs, done_at


def assert_same_files(run, expected):
    """All files of the steps, and what they left out, are byte for byte the same."""
    names = [name for step in STEPS.values() for name in step.files]
    names += [f"failures/{path.name}" for path in (expected / "failures").iterdir()]
    for name in names:
        assert (run / name).read_bytes() == (expected / name).read_bytes(), name
    assert not list((run / "partial").iterdir())


def peak_memory(zygote, encoder, folder, n):
    """The most memory of a run over n questions, up to the entities, in MiB."""
    dataset = scripted.write_dataset(folder / f"places{n}", n)
    config = scripted.write_config(
        folder / f"{n}.yaml",
        [dataset],
        sample={"n": 2},
        pair={"encoder": str(encoder)},
        label={"expert": {"kind": "scripted:FreeExpert"}},
    )
    zygote.start("entities", str(config), "--out", str(folder / f"run{n}"))
    status, mebibytes = zygote.result()
    assert status == 0, zygote.log()
    return mebibytes


def build_encoder(folder):
    """A random sentence encoder over single letters; returns its directory."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{letter}" for letter in letters),
    ]
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder / "bert")
    tokenizer = BertTokenizerFast(
        {piece: i for i, piece in enumerate(pieces)}, model_max_length=128
    )
    tokenizer.save_pretrained(folder / "bert")
    SentenceTransformer(modules=[Transformer(str(folder / "bert")), Pooling(32)]).save(
        str(folder / "sentences")
    )
    return folder / "sentences"
