"""Tells faxhook of the faxes that an Asterisk received, until faxhook has them. One file on a PBX: README.md makes it.

Asterisk does not repeat a report, so this does: a report is first a file, and goes only when faxhook answered 200.

  faxhook-report spool REPORT   what the dialplan calls by AGI: keep REPORT (a urlencoded form), then try it once
  faxhook-report sweep          what a timer calls: try every report that is due, and the TIFFs that have no report
  faxhook-report sweep --since 2026-11-28T08:00:00Z   the same, and every report since then once more, from the journal
  faxhook-report adopt          once, on a PBX that has old faxes: the TIFFs that lie there now are not to be reported

At least once: whatever is repeated, faxhook removes. Needs Python 3.9 and nothing else. Settings are read from
/etc/faxhook-report.env (or the file that FAXHOOK_REPORT_ENV names), lines of NAME=value; the environment wins.

  FAXHOOK_URL         e.g. http://faxhook:8080
  FAXHOOK_SECRET      the ingress's ASTERISK_INBOUND_SECRET
  FAXHOOK_FAX_DIR     where the TIFFs are, by the same path as on faxhook's side; default /var/spool/fax
  FAXHOOK_REPORT_DIR  where reports wait; default /var/spool/faxhook-report
  FAXHOOK_IDLE_SECONDS  a TIFF is finished when it has not changed for so long; default 600

Exit codes: 0 all reported, 75 something waits (faxhook is away), 77 faxhook does not take the secret, 78 bad settings.
"""
