"""Remote read: all samples of a meter as a stream of compressed chunks, instead of the answers to questions."""
