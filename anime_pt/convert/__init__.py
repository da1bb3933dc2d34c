"""Weights of the public implementations, read into ours as tables of names."""
