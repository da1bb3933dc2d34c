"""Anime pose transfer in JAX and Flax."""
