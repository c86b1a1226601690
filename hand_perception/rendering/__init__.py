"""Draw triangle meshes in plain numpy: no GPU, no display, no other library."""
