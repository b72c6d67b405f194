"""What a run said, made into reports: by those who ask, while it runs or from its log."""
