"""Models as typed records: what they are, what one may do with them, where their weights lie."""

from vultus.models.card import (
    CardThreshold,
    CompositePart,
    DetectorSpec,
    EmbeddingSpec,
    InputSpec,
    Kind,
    Licence,
    ModelCard,
    Origin,
    Published,
    WeightFile,
    load_card,
    parse_card,
)
from vultus.models.registry import Registry
from vultus.models.space import space_in, space_of
from vultus.models.store import Progress, Store, WeightStatus

__all__ = [
    "CardThreshold",
    "CompositePart",
    "DetectorSpec",
    "EmbeddingSpec",
    "InputSpec",
    "Kind",
    "Licence",
    "ModelCard",
    "Origin",
    "Progress",
    "Published",
    "Registry",
    "Store",
    "WeightFile",
    "WeightStatus",
    "load_card",
    "parse_card",
    "space_in",
    "space_of",
]
