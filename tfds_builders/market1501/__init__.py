"""The market1501 dataset: people in front of surveillance cameras, with their joints and pairs."""
