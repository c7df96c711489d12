"""The five steps."""

from transforms.build_revision_score import BuildRevisionScore
from transforms.read_events import ReadEvents
from transforms.score_with_lift_wing import ScoreWithLiftWing
from transforms.select_models import SelectModels
from transforms.write_per_model import WritePerModel

__all__ = ["BuildRevisionScore", "ReadEvents", "ScoreWithLiftWing", "SelectModels", "WritePerModel"]
