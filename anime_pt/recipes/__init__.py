"""One file per training recipe: who trains whom, with which losses."""
