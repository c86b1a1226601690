"""Hand landmarks from an image: MediaPipe's networks in torch, see docs/landmarks.md."""
