"""`faxhook migrate`: the ledger's schema, brought up to date."""

from dispatcher.ops.terminal import Json, console, print_json, run, settings_of
from dispatcher.settings import MigrateSettings
from shared.sql.migrate import migrate


def migrate_command(as_json: Json = False) -> None:
    """Bring the ledger's schema up to date. Safe to repeat, and to run from several places at once."""
    settings = settings_of(MigrateSettings)
    before, after = run(migrate(settings.database_url.reveal(), settings.database_application_role))
    if as_json:
        print_json({"before": before, "after": after})
    else:
        console.print(f"ledger: {'already at' if before == after else 'now at'} revision {after}")
