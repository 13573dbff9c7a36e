"""autoresearch.toml: its tables, checked and frozen."""

from autoresearch.config.metric import MetricConfig, Take
from autoresearch.config.settings import (
    FILE,
    BudgetConfig,
    Config,
    HarnessConfig,
    KeepConfig,
    ResearcherConfig,
    RunnerConfig,
    TaskConfig,
    parse,
    tables,
)
from autoresearch.config.types import Bound, bound

__all__ = [
    "FILE",
    "Bound",
    "BudgetConfig",
    "Config",
    "HarnessConfig",
    "KeepConfig",
    "MetricConfig",
    "ResearcherConfig",
    "RunnerConfig",
    "Take",
    "TaskConfig",
    "bound",
    "parse",
    "tables",
]
