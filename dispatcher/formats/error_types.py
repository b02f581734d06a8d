"""Error types of Phaxio and Sinch: one list in two spellings, because Sinch adopted Phaxio's numbers.

An application that keys on (type, number) keeps working across the two. Other providers' words are passed on unchanged.
"""

from typing import Final

SINCH_OF_PHAXIO: Final = {
    "documentConversionError": "DOCUMENT_CONVERSION_ERROR",
    "lineError": "CALL_ERROR",
    "faxError": "FAX_ERROR",
    "fatalError": "FATAL_ERROR",
    "generalError": "GENERAL_ERROR",
}
PHAXIO_OF_SINCH: Final = {
    **{sinch: phaxio for phaxio, sinch in SINCH_OF_PHAXIO.items()},
    "LINE_ERROR": "lineError",  # what one of Sinch's own SDKs calls it
}
