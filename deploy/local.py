"""Private RabbitMQ and PostgreSQL for a laptop and for the tests, beside those of the system.

    python deploy/local.py up | down | status | reset [--data DIR]
    python deploy/local.py add-vhost NAME | delete-vhost NAME [--data DIR]

`up` writes the URLs to `.local/env` as `KEY=value` lines, for `set -a; . .local/env` and for Make. Both listen on
loopback only, and stay up until `down`. A second `up` changes nothing; what was killed is started again, its data
kept. AMQP_URL and DATABASE_URL of the environment win: that service is not started, and not written to the file.

Exit codes: 0 done · 3 `status`: not all runs · 69 a service cannot run here · 70 a start failed · 130 interrupted.

From Python: `deploy/services/control.py`.

This is not how to run faxhook in production: one broker node survives no loss of its disk.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script

from shared.programs import run_program

if __name__ == "__main__":
    sys.exit(run_program("local.py", "dev", "deploy.services.command"))
