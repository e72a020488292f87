"""Some 400 files that claim to be videos: small originals in nine containers, damaged or lying, the same in every run.

`write_hostile(folder)` writes them. What damages any bytes stands here, lies of single containers in hostile_lies.py
and hostile_streams.py.
"""

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from tests.media import Video, write_video
from tests.sharding.hostile_lies import mkv_lies, mp4_lies
from tests.sharding.hostile_streams import BOMBS, avi_lies, flv_lies, mpg_lies, ogg_lies, ts_lies

SMALL = {"width": 64, "height": 48, "fps": Fraction(10), "seconds": Fraction(6), "sample_rate": 16_000}
ORIGINALS = {
    "mp4": Video(**SMALL),
    "mov": Video(**SMALL, video_codec="mjpeg", audio_codec="pcm_s16le", pixel_format="yuvj420p"),
    "mkv": Video(**SMALL, video_codec="mpeg4", audio_codec="flac"),
    "webm": Video(**{**SMALL, "sample_rate": 48_000}, video_codec="libvpx", audio_codec="libopus"),
    "avi": Video(**SMALL, video_codec="mpeg4", audio_codec="libmp3lame"),
    "ts": Video(**SMALL),
    "flv": Video(**{**SMALL, "sample_rate": 22_050}, video_codec="flv", audio_codec="libmp3lame"),
    "mpg": Video(**{**SMALL, "fps": Fraction(25)}, video_codec="mpeg1video", audio_codec="mp2"),
    "ogg": Video(**SMALL, video_codec="libvpx", audio_codec="flac"),
}
"""Suffix -> what stands in the original."""

LIES = {
    "mp4": mp4_lies,
    "mov": mp4_lies,
    "mkv": mkv_lies,
    "webm": mkv_lies,
    "avi": avi_lies,
    "ts": ts_lies,
    "flv": flv_lies,
    "mpg": mpg_lies,
    "ogg": ogg_lies,
}
Damage = Callable[[bytes, random.Random], bytes]


def write_hostile(folder: Path, originals: Path) -> list[Path]:
    """Write them to `folder`, all different, from whole ones in `originals`, which are made if missing."""
    data = {suffix: _original(originals / f"whole.{suffix}", video) for suffix, video in ORIGINALS.items()}
    folder.mkdir(parents=True)
    written = dict[bytes, Path]()
    for name, content in _all(data):
        if content not in data.values() and content not in written:
            written[content] = folder / name
            written[content].write_bytes(content)
    return list(written.values())


def _original(path: Path, video: Video) -> bytes:
    if not path.exists():
        write_video(path, video)
    return path.read_bytes()


def _all(originals: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """(file name, content)"""
    for name, make in BOMBS.items():
        yield name, make()
    for name, text in TEXTS.items():
        yield name, text.encode("latin-1")
    for suffix, lies in LIES.items():
        for name, content in lies(originals[suffix], random.Random(suffix)):
            yield f"{suffix} {name}.{suffix}", content
    for name, damage in DAMAGES.items():
        for suffix, content in originals.items():
            yield f"{suffix} {name}.{suffix}", damage(content, random.Random(f"{suffix} {name}"))


TEXTS = {
    "empty.mp4": "",
    "one byte.mkv": "\0",
    "text.avi": "no video at all\n" * 1000,
    "concat.mp4": "ffconcat version 1.0\nfile /etc/passwd\nfile whole.mp4\n",
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "hls of itself.ts": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhls of itself.ts\n#EXT-X-ENDLIST\n",
    "net.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    "dash.webm": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
    "<Representation><BaseURL>/etc/passwd</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp.mov": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "smil.mov": 'SMILtext<smil><body><video src="/etc/passwd"/></body></smil>',
    "reference.mov": "\0\0\0\x24moov\0\0\0\x1crmda\0\0\0\x14rdrf\0\0\0\0url \0\0\0\x00",
    "image %d.mp4": "\xff\xd8\xff\xe0" + "\0" * 100,
    "script.mkv": "#!/bin/sh\ntouch /tmp/hostile\n",
}
"""No videos at all; some are playlists, which must lead nowhere."""


def _flip(share_of: Callable[[int], tuple[int, int]], bits: Callable[[int], int]) -> Damage:
    """Turn `bits` of the file's length over, in the stretch that `share_of` its length names."""

    def damage(data: bytes, rng: random.Random) -> bytes:
        out = bytearray(data)
        low, high = share_of(len(data))
        for _ in range(bits(len(data))):
            out[rng.randrange(max(0, low), high)] ^= 1 << rng.randrange(8)
        return bytes(out)

    return damage


def _everywhere(size: int) -> tuple[int, int]:
    return 0, size


def _over(content: Callable[[int, random.Random], bytes], start: float, share: float) -> Damage:
    """Write something over a share of the file."""

    def damage(data: bytes, rng: random.Random) -> bytes:
        first, size = int(len(data) * start), int(len(data) * share)
        return data[:first] + content(size, rng) + data[first + size :]

    return damage


def _words(value: int) -> Damage:
    """Eight words of four bytes at the head and eight at the tail say `value`."""

    def damage(data: bytes, rng: random.Random) -> bytes:
        out = bytearray(data)
        for _ in range(8):
            for place in (rng.randrange(8, 1024), rng.randrange(len(data) - 1024, len(data) - 4)):
                out[place : place + 4] = value.to_bytes(4)
        return bytes(out)

    return damage


def _shuffled(block: int, keep: int) -> Damage:
    """Blocks in another order; the first bytes stay."""

    def damage(data: bytes, rng: random.Random) -> bytes:
        blocks = [data[start : start + block] for start in range(keep, len(data), block)]
        rng.shuffle(blocks)
        return data[:keep] + b"".join(blocks)

    return damage


DAMAGES: dict[str, Damage] = {
    "few bits": _flip(_everywhere, lambda size: 8),
    "bits of the head": _flip(lambda size: (0, 1024), lambda size: 16),
    "bits of the tail": _flip(lambda size: (size - 4096, size), lambda size: 32),
    "many bits": _flip(_everywhere, lambda size: size // 200),
    "half": lambda data, rng: data[: len(data) // 2],
    "no tail": lambda data, rng: data[:-9],
    "no head": lambda data, rng: data[512:],
    "zeros": _over(lambda size, rng: bytes(size), 0.4, 0.1),
    "noise": _over(lambda size, rng: rng.randbytes(size), 0.4, 0.1),
    "largest words": _words(2**32 - 1),
    "large words": _words(2**31 - 1),
    "shuffled": _shuffled(1024, 4096),
    "twice the middle": lambda data, rng: data[: len(data) * 3 // 4] + data[len(data) // 4 :],
    "dense bits": _flip(lambda size: (size // 4, size), lambda size: size // 10),
    "kilobyte": lambda data, rng: data[:1024],
    "zero words": _words(0),
    "random": lambda data, rng: data[:64] + rng.randbytes(20_000),
    "no first bytes": lambda data, rng: bytes(16) + data[16:],
    "ones": _over(lambda size, rng: b"\xff" * size, 0.8, 0.2),
    "backward": lambda data, rng: data[:64] + data[:63:-1],
}
