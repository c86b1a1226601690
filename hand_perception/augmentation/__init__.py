"""What training changes about images and their truth: drawn from a seed, applied to samples."""
