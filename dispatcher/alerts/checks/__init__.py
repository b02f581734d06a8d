"""What is looked at regularly, by one dispatcher at a time, to raise and resolve matters."""
