"""Who may do what: named tokens with rights and an expiry, and refused log-ins in the audit."""
