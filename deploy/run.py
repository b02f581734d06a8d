"""Everything of faxhook on this machine, with one command. `make run` and `make demo` call it.

    python deploy/run.py run  [--data DIR]
    python deploy/run.py demo [--data DIR] [--seed N]

`run` brings up RabbitMQ and PostgreSQL (see local.py), ingress, dispatcher, a listener that verifies webhooks and a
mail catcher, sends a sample callback, shows its webhook, and stays until Ctrl-C. INGRESS_PORT and OPS_PORT are
8080 and 8081 unless they are set; all other settings of the services may be given in the environment, too.

`demo` does the same on a ledger and ports of its own, sends the samples of every provider twice in random order, and
shows that each event was told once, in order, and verified.

Exit codes: 0 done · 1 `demo`: something is missing · 69 a store or port is not available · 70 a service ended by
itself or did not start · 78 a setting is wrong · 130 interrupted before it was done.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script

from shared.programs import run_program

if __name__ == "__main__":
    sys.exit(run_program("run.py", "dev", "deploy.demo.run"))
