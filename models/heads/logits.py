"""What a network answers about a batch of clips."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Answers:
    """The logits of both heads.

    Attributes:
        category_logits: `(B, K)`, of a softmax; None when there are no categories.
        tag_logits: `(B, C)`, each of a sigmoid; None when there are no tags.
    """

    category_logits: Tensor | None
    tag_logits: Tensor | None


@dataclass(frozen=True)
class HeadOutputs:
    """What the heads make of a batch of embeddings.

    Attributes:
        answers: The answers that count.
        branches: Answers that the loss looks at in their stead, each by itself; empty where it looks at
            `answers`.
    """

    answers: Answers
    branches: tuple[Answers, ...] = ()


@dataclass(frozen=True)
class Outputs:
    """What a network says about a batch.

    Attributes:
        answers: The answers that count.
        embedding: `(B, E)`, not normalised.
        branches: Answers that the loss looks at in the stead of `answers`; empty where it looks at `answers`.
        modalities: Modality -> answers of its own heads; empty without such heads.
        present: `(B, M)` bool, True where the clip has the modality and it was not hidden; M in the order of
            the network's modalities.
        experts: Answers of each expert of a mixture; empty without a mixture.
    """

    answers: Answers
    embedding: Tensor
    branches: tuple[Answers, ...]
    modalities: dict[str, Answers]
    present: Tensor
    experts: tuple[Answers, ...]

    @property
    def category_logits(self) -> Tensor | None:
        """`(B, K)` of the answers that count."""
        return self.answers.category_logits

    @property
    def tag_logits(self) -> Tensor | None:
        """`(B, C)` of the answers that count."""
        return self.answers.tag_logits
