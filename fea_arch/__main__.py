"""``python -m fea_arch``: the same as the command ``fea-arch``."""

from fea_arch.cli import main

if __name__ == "__main__":
    main()
