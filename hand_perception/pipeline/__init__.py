"""Images in, metric hands out: the flow of one stream and its stages."""
