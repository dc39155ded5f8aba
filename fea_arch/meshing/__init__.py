"""Architecture -> Mesh: the only translator from software words to finite element words."""

from fea_arch.meshing.architecture_mesh import mesh
from fea_arch.meshing.mesh import Block, Mesh

__all__ = ["Block", "Mesh", "mesh"]
