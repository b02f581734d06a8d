"""An endpoint is in force, in every process, for what is posted after the answer that added, changed or removed it."""

import asyncio
from typing import Any

import aiohttp
import callbacks
import pytest
from processes import ServiceProcess, running
from receiver import Receiver, Received
from running_stack import RunningStack
from waiting import until

OPS = {"OPS_TOKEN": "ops-token"}
NUMBERS = 200
AT_ONCE = 8
