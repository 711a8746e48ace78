"""Contract tests and attacks for parts of other packages: `medenv check TARGET`."""

from medenv.conformance.report import Report, Result
from medenv.conformance.run import KINDS, check

__all__ = ["KINDS", "Report", "Result", "check"]
