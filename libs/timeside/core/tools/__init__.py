"""What plug-ins written for TimeSide 1 import from `timeside.core.tools`."""
