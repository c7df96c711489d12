"""What one would write instead of this pipeline, for `beside_peers.py` to compare with. Nothing here is used
by the pipeline."""
