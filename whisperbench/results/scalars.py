"""Text and numbers as result files may hold them: printable, bounded, finite."""

from __future__ import annotations

from typing import Annotated

import msgspec

from whisperbench.errors import UNPRINTABLE

LINE = rf"^[^{UNPRINTABLE}]*\Z"
Line = Annotated[str, msgspec.Meta(pattern=LINE)]
"""Text that can be printed as it is."""
DeviceName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9]*\Z")]
"""A kind of device, such as cpu or cuda."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""No larger than what every reader of JSON holds exactly."""
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
Figure = Annotated[float, msgspec.Meta(ge=-1e18, le=1e18)]
"""Bounded, so that sums and products of them stay finite."""
