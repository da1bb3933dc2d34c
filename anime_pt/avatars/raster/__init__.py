"""The rasteriser's compiled loops and the arrays that they read; `rasterise` is its face."""
