"""Traces of video compression: pictures through a real encoder and back."""

from __future__ import annotations

import io

import torch
import torch.nn.functional as F


def _encode(video, fps: float, crf: float, old: bool):
    """One video uint8 [F,H,W,3] as MP4 in memory: H.264 at this crf, or MPEG-4 part 2 at a like quality."""
    import av
    from fractions import Fraction

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        rate = Fraction(fps).limit_denominator(1000)
        if old:
            q = str(int(min(max((crf - 14) / 2, 2), 24)))
            stream = out.add_stream("mpeg4", rate=rate, options={"qmin": q, "qmax": q, "threads": "1"})
        else:
            # its macroblock tree reads beyond the picture's edge: the same video would not always give the same bytes
            stream = out.add_stream("libx264", rate=rate, options={
                "crf": str(crf), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"})
        stream.height, stream.width, stream.pix_fmt = video.shape[1], video.shape[2], "yuv420p"
        for picture in video:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            out.mux(stream.encode(frame.reformat(format="yuv420p")))
        out.mux(stream.encode())
    file.seek(0)
    return file


def through_encoder(video, fps: float, crf, old=None):
    """Videos uint8 [B,F,H,W,3] (H, W even) encoded and decoded; crf [B], about 18 (fine) to 40 (coarse);
    old [B] bool: MPEG-4 part 2 instead of H.264."""
    import av

    result = torch.empty(video.shape, dtype=torch.uint8)
    for i, pictures in enumerate(video.cpu().numpy()):
        file = _encode(pictures, fps, float(crf[i]), old is not None and bool(old[i]))
        with av.open(file) as source:
            source.streams.video[0].thread_type = "NONE"
            frames = [torch.from_numpy(f.to_ndarray(format="rgb24")) for f in source.decode(video=0)]
        result[i] = torch.stack(frames)
    return result.to(video.device)


def shrink(video, height: int, width: int):
    """Antialiased smaller version of uint8 [B,F,H,W,3]."""
    pictures = video.flatten(0, 1).permute(0, 3, 1, 2)
    small = F.interpolate(pictures, size=(height, width), mode="bilinear", antialias=True)
    return small.permute(0, 2, 3, 1).reshape(*video.shape[:2], height, width, 3)
