"""The errors this package raises on purpose: one tree, one meaning each."""


class HandPerceptionError(Exception):
    """Anything the package refuses; the message says what was expected, what came, what to do."""


class ConfigError(HandPerceptionError):
    """A setting has a value outside what it allows."""


class ImageError(HandPerceptionError):
    """An image or depth image cannot be read: encoding, size, step or content."""


class BoxError(HandPerceptionError):
    """A hand box is not one: not finite, empty, too small or large, outside, or badly written."""


class CameraError(HandPerceptionError):
    """Camera intrinsics are missing, zero, or do not belong to the image."""


class WeightsError(HandPerceptionError):
    """A weight or hand model file is missing, corrupt, of the wrong shape, or not safe to read."""


class SourceError(HandPerceptionError):
    """A video, image folder or camera cannot be opened or stopped delivering."""


class DatasetError(HandPerceptionError):
    """Recorded data or its truth does not fit what it is used for."""


class MissingPackageError(HandPerceptionError):
    """An optional package is needed for what was asked and is not installed."""
