"""What a map is asked to satisfy."""
