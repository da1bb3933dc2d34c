"""Files of characters and motions, read into the arrays of the other modules."""
