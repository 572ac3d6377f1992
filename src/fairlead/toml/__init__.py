"""TOML files as typed values, and messages about what is wrong in them."""

from fairlead.toml.names import nearest, unknown
from fairlead.toml.problems import Problem, problems
from fairlead.toml.read import Located, all_problems, located, parse, read
from fairlead.toml.source import Renamed, Source, read_text

__all__ = [
    "Located",
    "Problem",
    "Renamed",
    "Source",
    "all_problems",
    "located",
    "nearest",
    "parse",
    "problems",
    "read",
    "read_text",
    "unknown",
]
