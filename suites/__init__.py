"""What is promised: one file a topic of the contract."""
