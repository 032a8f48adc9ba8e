"""``vultus facenet``: the command lines of davidsandberg/facenet; one file per command.

Options have the originals' names; hyphens instead of underscores are understood as well.
"""

from __future__ import annotations

from collections.abc import Callable

import typer

from vultus.cli.facenet import (
    align,
    batch_represent,
    calculate_filtering_metrics,
    classifier,
    cluster,
    clustering,
    compare,
    export_embeddings,
    freeze,
    plot_learning_curves,
    predict,
    validate_on_lfw,
)
from vultus.cli.facenet._common import UNDERSCORES

__all__ = ["app"]

app = typer.Typer()
_COMMANDS: dict[str, Callable[..., None]] = {
    "align": align.align,
    "validate-on-lfw": validate_on_lfw.validate_on_lfw,
    "compare": compare.compare,
    "classifier": classifier.classifier,
    "cluster": cluster.cluster,
    "clustering": clustering.clustering,
    "export-embeddings": export_embeddings.export_embeddings,
    "batch-represent": batch_represent.batch_represent,
    "predict": predict.predict,
    "calculate-filtering-metrics": calculate_filtering_metrics.calculate_filtering_metrics,
    "plot-learning-curves": plot_learning_curves.plot_learning_curves,
    "freeze": freeze.freeze,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, context_settings=UNDERSCORES)(_command)
