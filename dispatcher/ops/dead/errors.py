"""Why a request about dead letters is refused."""

from dispatcher.ops.api.lookups import NoSuch
from shared.errors import EXIT_AWAY, FaxhookError


class UnknownLetter(FaxhookError):
    """There is no such dead letter, and there was not."""

    code = "dead_letter_not_found"
    status = 404


class NothingMatches(FaxhookError):
    """No dead letter matches; nothing was changed."""

    code = "nothing_matches"
    status = 404


class UnknownDelivery(FaxhookError):
    """There is no such delivery; nothing was sent."""

    code = "delivery_not_found"
    status = 404


class NothingToSend(FaxhookError):
    """Nothing of what was named can be sent again now; nothing was changed."""

    code = "nothing_to_send"
    status = 409


class UnknownJob(NoSuch):
    """There is no such job."""

    code = "job_not_found"


class EndpointOff(FaxhookError):
    """The endpoint takes nothing now: what it was not owed cannot be recovered."""

    code = "endpoint_disabled"
    status = 409


class BadSuccessor(FaxhookError):
    """What is named as successor is no endpoint, or a removed one."""

    code = "bad_successor"
    status = 422
    field = "to"


class TakenByAnother(FaxhookError):
    """Another request browses or replays the same at this moment: try again."""

    code = "taken_by_another"
    status = 409
    exit_code = EXIT_AWAY


class BadSelection(FaxhookError):
    """The request names neither ids nor a filter, or both."""

    code = "bad_selection"
    status = 422
