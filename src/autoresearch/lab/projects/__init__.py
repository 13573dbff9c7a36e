"""Projects of a layout that is known, and the configuration that fits one. Pure, but for reading files.

What is recognised is a claim with its reason, and is said; what is not is never guessed.
"""

from autoresearch.lab.projects.base import Project, Sources
from autoresearch.lab.projects.metric import Found, Metric, described, direction_of, found_in
from autoresearch.lab.projects.recognise import KNOWN, recognise

__all__ = [
    "KNOWN",
    "Found",
    "Metric",
    "Project",
    "Sources",
    "described",
    "direction_of",
    "found_in",
    "recognise",
]
