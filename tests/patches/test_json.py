"""What views send as JSON."""

from __future__ import annotations

from textwrap import dedent

from airflow_process import PatchedAirflow


def test_numbers_of_numpy_are_encoded(airflow: PatchedAirflow) -> None:
    """Integers, floats and booleans of NumPy become plain JSON numbers."""
    code = dedent(
        """
        import json
        import numpy as np
        from airflow.utils.json import AirflowJsonEncoder
        data = {"i": np.int64(1), "u": np.uint8(2), "f": np.float64(1.5), "h": np.float16(0.5), "b": np.bool_(True)}
        assert json.loads(json.dumps(data, cls=AirflowJsonEncoder)) == {"i": 1, "u": 2, "f": 1.5, "h": 0.5, "b": True}
        """
    )
    airflow.python(code)
