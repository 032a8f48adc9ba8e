"""Turn aligned crops into embeddings."""

from vultus.embed.base import Embedder
from vultus.embed.mock import MockEmbedder
from vultus.embed.onnx import OnnxEmbedder

__all__ = ["Embedder", "MockEmbedder", "OnnxEmbedder"]
