"""startle watches video and says when and where something happened that should not be possible.

>>> import startle
>>> result = startle.analyze("clip.mp4")
>>> result.curve["surprise"].max(), [event.onset_s for event in result.events]

It needs FFmpeg's shared libraries of the version that the wheel was built with (Debian 12: FFmpeg 5.1, package ffmpeg);
ONNX Runtime comes with the wheel `onnxruntime` and is found by itself.
"""

from ._runtime import extension as _extension
from ._model import Model, analyze, calibrate, inputs
from ._ranking import Behind, Ranked, Ranking, rank
from ._result import CURVE, Event, Gap, Plot, Result
from ._stream import Health, Incident, Moment, stream

Error = _extension.StartleError
InputError = _extension.InputError
ModelError = _extension.ModelError
DeviceError = _extension.DeviceError
ConfigError = _extension.ConfigError
OutputError = _extension.OutputError
InternalError = _extension.InternalError

__version__ = _extension.VERSION
__all__ = [
    "CURVE", "Behind", "ConfigError", "DeviceError", "Error", "Event", "Gap", "Health", "Incident", "InputError", "InternalError",
    "Model", "ModelError", "Moment", "OutputError", "Plot", "Ranked", "Ranking", "Result",
    "analyze", "calibrate", "inputs", "rank", "stream",
]
