"""Metrics over images and keypoints."""
