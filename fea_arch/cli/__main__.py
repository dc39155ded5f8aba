"""``python -m fea_arch.cli``."""

from fea_arch.cli import main

if __name__ == "__main__":
    main()
