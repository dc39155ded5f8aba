"""The compiled event simulation: the test rig, independent of the solvers."""
