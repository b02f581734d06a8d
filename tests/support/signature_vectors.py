"""Published vectors of signatures, and strategies for what they cover."""

import base64
import json
from pathlib import Path

from hypothesis import strategies as st

SAMPLES = Path(__file__).parents[1] / "samples"
PHAXIO = json.loads((SAMPLES / "phaxio" / "signature_vectors.json").read_text())["vectors"]
WIRE = [json.loads(path.read_text()) for path in sorted((SAMPLES / "phaxio" / "wire").glob("*.json"))]
TELNYX = json.loads((SAMPLES / "telnyx" / "vectors.json").read_text())
SINCH = json.loads((SAMPLES / "sinch" / "faxbot_hmac_vectors.json").read_text())["vectors"]
STANDARD = json.loads((SAMPLES / "standard-webhooks" / "vectors.json").read_text())
SEED = base64.b64decode(TELNYX["private_seed_b64"])
KEY = TELNYX["public_key_b64"]
OTHER = TELNYX["other_public_key_b64"]
NOW = 1_761_000_000

headers = (
    st.text()
    | st.text(st.characters(categories=["Cs", "Nd", "Ll"]))
    | st.binary().map(lambda octets: octets.decode("utf-8", "surrogateescape"))
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
pairs = st.lists(
    st.tuples(names, st.binary(max_size=12).map(lambda b: b.decode("utf-8", "surrogateescape"))), max_size=6
)
files = st.lists(st.tuples(names, st.binary(max_size=30)), max_size=3)
