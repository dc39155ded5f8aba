"""What the system is, in software words."""
