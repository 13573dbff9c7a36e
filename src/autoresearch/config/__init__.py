"""autoresearch.toml: its tables, checked and frozen."""

from autoresearch.config.settings import (
    FILE,
    BudgetConfig,
    Config,
    HarnessConfig,
    KeepConfig,
    MetricConfig,
    ResearcherConfig,
    RunnerConfig,
    TaskConfig,
    parse,
    tables,
)

__all__ = [
    "FILE",
    "BudgetConfig",
    "Config",
    "HarnessConfig",
    "KeepConfig",
    "MetricConfig",
    "ResearcherConfig",
    "RunnerConfig",
    "TaskConfig",
    "parse",
    "tables",
]
