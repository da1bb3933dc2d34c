"""The anime_keypoints dataset: drawings of characters with their joints."""
