"""The ids of a pipeline's components. A snapshot of Flink finds timers by the id of their transform, so that
of a transform is made of its label alone."""

from __future__ import annotations

import re
from typing import Any

from apache_beam.pipeline import AppliedPTransform, ComponentIdMap


class LabelIds(ComponentIdMap):
    """Gives a transform the same id in every pipeline that has its label, whatever else is there; Beam itself
    counts the transforms before it.

    For `pipeline.component_id_map`, before the first transform is applied.
    """

    def _unique_ref(self, obj: Any = None, obj_type: Any = None, label: str | None = None) -> str:
        if obj_type is not AppliedPTransform or not label:
            return str(super()._unique_ref(obj, obj_type, label))
        component_id = re.sub(r"[^a-zA-Z0-9_-]+", "-", label)
        if component_id in self._obj_to_id.values():
            raise ValueError(
                f"expected labels that differ in letters and digits, got {label!r} beside another that "
                f"makes {component_id!r} too"
            )
        return component_id
