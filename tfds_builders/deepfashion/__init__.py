"""The deepfashion dataset: people in clothes, with their joints and pairs."""
