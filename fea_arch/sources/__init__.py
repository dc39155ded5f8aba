"""Foreign formats -> Architecture, one file each."""
