"""The configuration as Pulumi's engine hands it to the running program."""

import json
from pathlib import Path
from typing import Any

import pulumi

from lockstep.config.files import NAMESPACE
from lockstep.config.keys import KEYS, Key
from lockstep.config.loading import load
from lockstep.config.models import Config
from lockstep.config.problems import ConfigError


def read_config() -> Config:
    """The configuration of the running stack; the only place that reads `pulumi.Config`.

    Raises pulumi.RunError, whose text the engine shows without a traceback, with every problem of every file.
    """
    settings = pulumi.Config(NAMESPACE)
    running = {key.name: _value(settings, key) for key in KEYS if settings.get(key.name) is not None}
    try:
        return load(Path(pulumi.get_root_directory()), pulumi.get_stack(), running)
    except ConfigError as error:
        raise pulumi.RunError(error.message) from None


def _value(settings: pulumi.Config, key: Key) -> Any:
    """The engine hands over objects and lists as JSON, and everything else as text."""
    text = settings.require(key.name)
    if not key.is_structured:
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        # Checked like any other value, and refused with what was found.
        return text
