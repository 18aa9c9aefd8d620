import subprocess
import sys

ABSENT = ("pyarrow", "pydantic", "ray", "optuna", "mlflow")


def test_training_runs_with_torch_smp_numpy_and_scipy_alone():
    code = f"""
import sys
for name in {ABSENT!r}:
    sys.modules[name] = None  # makes any import of it fail
import sweeper.training.trainer, sweeper.training.panels, sweeper.training.checkpoint
print(sorted(name for name in sys.modules if name.startswith(("sweeper.search", "sweeper.study", "sweeper.tracking"))))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "[]"


def test_a_trial_is_described_without_torch():
    code = "import sys; sys.modules['torch'] = None; import sweeper.training.trial, sweeper.training.metrics"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
