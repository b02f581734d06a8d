"""Lists of faxes, events and deliveries: what may be asked, and how it is found without a scan."""
