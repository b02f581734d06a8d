"""The bench's modules are scripts beside each other: its tests import them as the scripts do."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
