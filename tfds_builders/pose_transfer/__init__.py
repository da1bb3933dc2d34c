"""What the datasets of pose transfer (deepfashion, market1501) share."""
