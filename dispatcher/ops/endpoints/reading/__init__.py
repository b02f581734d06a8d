"""What is read of endpoints: pages of them, how they are doing, what a removal leads to."""
