"""Pure numba functions over arrays; files do not import each other."""
