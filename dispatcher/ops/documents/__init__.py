"""Documents of faxes and raw callbacks for people: served so that a browser runs nothing of them, each look audited."""
