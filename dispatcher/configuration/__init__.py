"""Parts of the settings: variables that belong together, and what follows from them."""
