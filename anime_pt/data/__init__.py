"""Grain pipelines over TFDS directories."""
