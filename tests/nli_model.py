"""A random three-label BERT over single letters: what a real NLI cross-encoder is in form,
and knows nothing.

There is no hub here to fetch a trained one from.
Its weights are large enough to be sure of something.
"""

LABELS = ("CONTRADICTION", "entailment", "neutral")


def build_nli_model(directory):
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(3)
    letters = "abcdefghijklmnopqrstuvwxyz?."
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
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=1.0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    BertForSequenceClassification(config).save_pretrained(directory)
    BertTokenizerFast({piece: i for i, piece in enumerate(pieces)}).save_pretrained(directory)
    return str(directory)
