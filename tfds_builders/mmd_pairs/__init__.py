"""The mmd_pairs dataset: a human and an anime character in the same motion."""
