"""What runs inside a guest: its script, and pytest with plugins of its own."""
