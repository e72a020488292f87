"""Pictures and sound as an mp4 file, H.264 and AAC, aligned exactly on the presentation timeline."""

import io
from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

from sharding.scenes.picture import Pictures

BT601 = 6  # ISO/IEC 23091-2 matrix coefficients; what swscale converts RGB with when not told otherwise
AAC_BIT_RATE = 64_000


def film(pictures: Pictures, sound: NDArray[np.int16], fps: int, rate: int) -> bytes:
    """An mp4 of pictures (T, H, W, 3) and mono sound (S,). Picture 0 and sample 0 are presented at time 0."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=fps)
        video.height, video.width = pictures.shape[1:3]
        video.pix_fmt = "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, fps)
        video.codec_context.colorspace, video.codec_context.color_range = BT601, 1
        video.codec_context.thread_count = 1
        video.codec_context.flags |= Flags.bitexact
        video.options = {"crf": "18", "preset": "ultrafast"}
        audio = container.add_stream("aac", rate=rate, layout="mono")
        audio.bit_rate = AAC_BIT_RATE
        audio.options = {"aac_coder": "fast"}  # five times faster than the default coder
        audio.codec_context.flags |= Flags.bitexact
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound).reshape(1, -1), format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = rate, 0, Fraction(1, rate)
        container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    return sink.getvalue()
