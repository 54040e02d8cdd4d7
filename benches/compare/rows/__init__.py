"""The rows of the comparison, in the order in which they are run."""

from .base import Column, Outcome, Row
from .collapsing import CollapseRow
from .disk_hits import DiskRow
from .memory import IdleRow, ObjectsRow
from .requests import request_rows
from .slow import SlowHitRow, SlowPassRow

__all__ = ["Column", "Outcome", "Row", "all_rows"]


def all_rows():
    """Every row."""
    others = [IdleRow(), ObjectsRow(), CollapseRow(), SlowHitRow(), SlowPassRow()]
    return [*request_rows(), DiskRow("cold"), DiskRow("warm"), *others]
