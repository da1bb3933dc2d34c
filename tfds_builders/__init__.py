"""TFDS dataset builders of the project."""
