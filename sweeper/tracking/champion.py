"""A registered model under the alias `champion`: what a deployment loads by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

ALIAS = "champion"

VARIABLE = "MLFLOW_TRACKING_URI"
"""MLflow sets it along with the default store, for processes that are started."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A version of a registered model."""

    name: str
    version: str
    new: bool
    """Whether it was made now; else the same model was the champion, or a version, before."""

    @property
    def uri(self) -> str:
        """What `mlflow.pyfunc.load_model` takes."""
        return f"models:/{self.name}@{ALIAS}"


def register(
    client: MlflowClient, uri: str, name: str, model_id: str, *, why: str, tags: Mapping[str, str]
) -> Registered:
    """Make a logged model the champion of a registered model, which is made where it is missing.

    The same model is registered once, however often this is asked for.

    Args:
        uri: Address of the client's store.
        why: Shown as the description of the version.
    """
    _ensure(client, name)
    source = f"models:/{model_id}"
    known = [one for one in client.search_model_versions(f"name = '{_quoted(name)}'") if one.source == source]
    if known:
        version = str(min(int(one.version) for one in known))
        client.update_model_version(name, version, description=why)
    else:
        with _default_store(uri):
            made = client.create_model_version(name, source=source, tags=dict(tags), description=why, model_id=model_id)
        version = str(made.version)
    client.set_registered_model_alias(name, ALIAS, version)
    return Registered(name, version, new=not known)


@contextmanager
def _default_store(uri: str) -> Iterator[None]:
    """Make `uri` the process's default for a while: a database's model registry looks logged models up there.

    It should ask the client's own store (mlflow 3.17, `store/model_registry/sqlalchemy_store.py`, says so itself).
    """
    import mlflow

    before, environment = mlflow.get_tracking_uri(), os.environ.get(VARIABLE)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        if environment is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = environment


def _ensure(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _quoted(name: str) -> str:
    return name.replace("'", "\\'")
