"""What to answer where a result is not done."""

from timeside_api.http.problems import Problem
from timeside_api.models import Result, ResultState

AGAIN_S = 2
"""After which what is pending may be done."""


def done(result: Result) -> Result:
    """The result, if it is done; raises a problem that says why it is not."""
    if result.state is ResultState.DONE:
        return result
    if result.state is ResultState.PENDING:
        raise Problem(409, "pending", "the result is not done yet", headers={"Retry-After": str(AGAIN_S)})
    raise Problem(409, str(result.state), f"the result was not made: {result.reason or result.state}")
