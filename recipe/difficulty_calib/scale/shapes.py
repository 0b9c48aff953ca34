"""LLaVA-1.5-7B in numbers: parameters, adapter, bytes a token, FLOPs a token."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Llava:
    """Shapes as the model's configuration has them; the defaults are LLaVA-1.5-7B's."""

    layers: int = 32
    hidden: int = 4096
    inner: int = 11008
    rows: int = 32064
    vision_layers: int = 24
    vision_hidden: int = 1024
    vision_inner: int = 4096
    image_size: int = 336
    patch_size: int = 14

    @property
    def image_tokens(self) -> int:
        """Tokens of a picture: CLIP's patches without its class token."""
        return int((self.image_size // self.patch_size) ** 2)

    @property
    def layer(self) -> int:
        """Parameters of a Llama layer: four attention and three MLP matrices, two norms."""
        return 4 * self.hidden**2 + 3 * self.hidden * self.inner + 2 * self.hidden

    @property
    def language(self) -> int:
        """Parameters of the language model, embedding and head (not tied) among them."""
        return self.layers * self.layer + 2 * self.rows * self.hidden + self.hidden

    @property
    def vision(self) -> int:
        """Parameters of CLIP's tower; matrices have biases, norms two vectors."""
        width, inner = self.vision_hidden, self.vision_inner
        layer = 4 * (width**2 + width) + 2 * width * inner + inner + width + 4 * width
        patches = 3 * self.patch_size**2 * width
        places = (self.image_tokens + 1) * width + width  # positions, and the class token
        return self.vision_layers * layer + patches + places + 4 * width

    @property
    def projector(self) -> int:
        """Parameters between them: two matrices with biases."""
        return (self.vision_hidden + 1) * self.hidden + (self.hidden + 1) * self.hidden

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.language + self.vision + self.projector

    def adapter(self, rank: int) -> int:
        """Parameters of a LoRA adapter on the seven matrices of each Llama layer."""
        attention = 4 * rank * 2 * self.hidden
        return self.layers * (attention + 3 * rank * (self.hidden + self.inner))

    @property
    def kv_bytes(self) -> int:
        """Bytes of keys and values of one token in bf16."""
        return 2 * self.layers * self.hidden * 2

    @property
    def forward_flops(self) -> float:
        """FLOPs of one token through the language model: two for each weight that multiplies it.

        Left out: attention scores (2 % at 1,000 tokens) and the vision tower (once a picture).
        """
        return 2.0 * (self.layers * self.layer + self.rows * self.hidden)

    @property
    def trained_flops(self) -> float:
        """FLOPs of one trained token with a frozen base and checkpointed activations.

        Forward, forward again, and the gradient of the activations; frozen weights have none.
        """
        return 3 * self.forward_flops
