"""Pure numba functions over arrays; kernels do not call each other, subroutines are shared."""
