"""What a person runs once a model is trained."""
