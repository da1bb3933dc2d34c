"""Posed anime characters with exact keypoints."""
