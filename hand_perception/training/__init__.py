"""What networks are trained on: losses, and the parts that only training needs."""
