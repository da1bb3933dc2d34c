"""Keypoints, skeletons and pose maps. Imports nothing else of the project."""
