from __future__ import annotations

import subprocess
import sys


def test_a_report_needs_neither_training_nor_a_cluster():
    heavy = {"torch", "ray", "mlflow", "optuna", "segmentation_models_pytorch"}
    code = f"import sys, sweeper.report.page; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
