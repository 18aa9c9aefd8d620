"""The code of a model logged in MLflow: copied into it, and run where it is loaded.

Nothing of a study runner is needed there: no Ray, no data, no run folder. The model's weights are read as tensors only;
no pickle is loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class SegmentationModel(PythonModel):
    """Predicts masks of class indices, (N, H, W) uint8, from pictures (N, H, W, K) uint8 of any size.

    The parameter `point` is `argmax`, the default, or `shifted`: the background's logit is moved by the offset that was
    best on validation, the study's second operating point.
    """

    def load_context(self, context: PythonModelContext) -> None:
        from sweeper.training.predictor import Predictor

        description = json.loads(Path(context.artifacts["description"]).read_text(encoding="utf-8"))
        self._predictor = Predictor(description, Path(context.artifacts["weights"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,  # the one type that MLflow leaves to the signature
        params: dict[str, Any] | None = None,
    ) -> Any:
        return self._predictor(model_input, (params or {}).get("point", "argmax"))


mlflow.models.set_model(SegmentationModel())
