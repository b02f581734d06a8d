"""HTML forms as providers post them: an already read body in, ordered fields and files out. Pure."""

from shared.forms.parts import MAX_FIELDS, MAX_FILES, Form, Part, decoded, has_filename
from shared.forms.reading import JSON, MULTIPART, URLENCODED, media_type, read_form, sniff_type

__all__ = [
    "JSON",
    "MAX_FIELDS",
    "MAX_FILES",
    "MULTIPART",
    "URLENCODED",
    "Form",
    "Part",
    "decoded",
    "has_filename",
    "media_type",
    "read_form",
    "sniff_type",
]
