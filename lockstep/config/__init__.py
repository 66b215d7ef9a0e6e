"""The configuration: typed, checked as a whole, and the same for the program and the CLI.

`load` reads the files; `lockstep.config.program.read_config` reads what the engine passed to a running program. Nothing
here imports Pulumi's SDK but that module, because the CLI starts without it.
"""

from lockstep.config.loading import load, stack_files
from lockstep.config.models import (
    Config,
    Database,
    DatabaseBorn,
    DatabaseMode,
    Fleet,
    HealthCheck,
    Objectives,
    Packages,
    RecordType,
    Site,
)
from lockstep.config.problems import ConfigError, Problem

__all__ = [
    "Config",
    "ConfigError",
    "Database",
    "DatabaseBorn",
    "DatabaseMode",
    "Fleet",
    "HealthCheck",
    "Objectives",
    "Packages",
    "Problem",
    "RecordType",
    "Site",
    "load",
    "stack_files",
]
