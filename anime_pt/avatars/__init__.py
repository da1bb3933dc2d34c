"""3D characters as data: file formats, rigs, procedural characters, and a software rasteriser."""
